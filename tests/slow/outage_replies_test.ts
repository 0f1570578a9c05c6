import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { type EventOf, JsonClient, type ServerEvent } from "../support/json_client.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { sleep } from "../support/wait.ts";

const OUTAGE_MS = 10_000;

const isReply = (event: ServerEvent): event is EventOf<"ack"> | EventOf<"error"> =>
  event.type === "ack" || event.type === "error";

/**
 * Publishes 100 messages a second for 17 seconds while Redis fails for 10 of them, and asserts that
 * each message gets exactly one reply, and that the reply is true.
 */
async function publishThroughOutage(
  outage: string,
  fail: (redis: TestRedis, folder: string) => Promise<TestRedis>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  let redis = await startRedis({ folder, appendOnly: true });
  stack.defer(() => redis[Symbol.asyncDispose]());
  await using one = await startInstance({ ...redis.env, HISTORY_LIMIT: "100000" });
  await using two = await startInstance({ ...redis.env, HISTORY_LIMIT: "100000" });
  const sender = await JsonClient.join(one.port, "sender");
  const receiver = await JsonClient.join(two.port, "receiver");

  const count = 1_700;
  const start = Date.now();
  const failed = sleep(2_000).then(() => fail(redis, folder)).then((next) => redis = next);
  for (let n = 0; n < count; n++) {
    sender.send({ type: "message", text: `message ${n}`, ref: `${n}` });
    await sleep(Math.max(0, start + n * 10 - Date.now()));
  }
  await failed;
  await sender.find("ack", ({ ref }) => ref === `${count - 1}`);
  // The server retries an unknown outcome for at most five seconds, which have passed.
  const replies = sender.events.filter(isReply);
  const codes = Map.groupBy(replies, (reply) => reply.type === "error" ? reply.code : reply.type);
  const counts = [...codes].map(([code, all]) => `${all.length} ${code}`);
  console.log(`${outage}: ${counts.join(", ")}`);
  assertEquals(new Set(replies.map(({ ref }) => ref)).size, count, "every message has a reply");
  assertEquals(replies.length, count, "no message has two replies");
  assert(codes.get("ack")!.length >= 200);
  assert(codes.get("not_delivered")!.length >= 100);

  // Publishing a message again with the same ref resolves an unknown outcome.
  const ids = new Map(sender.all("ack").map(({ ref, id }) => [ref, id]));
  for (const { ref, code } of sender.all("error")) {
    if (code !== "unknown") continue;
    ids.set(ref!, await sender.publish(`message ${ref}`, ref));
  }
  const last = await sender.publish("the end");
  for (const client of [sender, receiver]) {
    await client.find("message", ({ id }) => id === last);
    const received = client.all("message").slice(0, -1);
    assertEquals(new Map(received.map(({ ref, id }) => [ref, id])), ids);
    assertEquals(received.length, ids.size, "every message is received once");
    received.forEach(({ prev }, i) => assertEquals(prev, received[i - 1]?.id ?? "0-0"));
  }
  await Promise.all([sender.leave(), receiver.leave()]);
}

Deno.test("every message gets one true reply during an outage of 10 s", async () => {
  await Promise.all([
    publishThroughOutage("Redis hung", async (redis) => {
      redis.process.signal("SIGSTOP");
      await sleep(OUTAGE_MS);
      redis.process.signal("SIGCONT");
      return redis;
    }),
    publishThroughOutage("Redis was killed", async (redis, folder) => {
      await redis[Symbol.asyncDispose]();
      await sleep(OUTAGE_MS);
      return await startRedis({ port: redis.port, folder, appendOnly: true });
    }),
  ]);
});
