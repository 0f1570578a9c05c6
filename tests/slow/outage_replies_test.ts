import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { type ServerEvent, JsonClient } from "../support/json_client.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const AWAY = 10_000;

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Says 100 messages a second for 17 seconds, in the middle of which Redis goes away for ten, and looks that each has
 * exactly one answer, which is true.
 */
async function sayThroughOutage(
  name: string,
  goAway: (redis: TestRedis, folder: string) => Promise<TestRedis>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  let redis = await startRedis({ folder, appendOnly: true });
  await using one = await startInstance({ ...redis.env, HISTORY_LIMIT: "100000" });
  await using two = await startInstance({ ...redis.env, HISTORY_LIMIT: "100000" });
  const sender = await JsonClient.join(one.port, "sender");
  const listener = await JsonClient.join(two.port, "listener");

  const count = 1_700;
  const start = Date.now();
  const gone = sleep(2_000).then(() => goAway(redis, folder)).then((back) => redis = back);
  for (let n = 0; n < count; n++) {
    sender.send({ type: "message", text: `message ${n}`, ref: `${n}` });
    await sleep(start + n * 10 - Date.now());
  }
  await gone;
  const isAnswer = (event: ServerEvent) => event.type === "ack" || event.type === "error";
  await sender.find("ack", ({ ref }) => ref === `${count - 1}`);
  // Whatever was lost is settled within five seconds of its loss, and that is over by now.
  const answers = sender.events.filter(isAnswer) as { type: string; ref: string; id?: string }[];
  const codes = Map.groupBy(
    sender.events.filter(isAnswer),
    (event) => event.type === "error" ? event.code : event.type,
  );
  console.log(
    `${name}: ${
      codes.entries().map(([code, all]) => `${all.length} ${code}`).toArray().join(", ")
    }`,
  );
  assertEquals(new Set(answers.map(({ ref }) => ref)).size, count, "each has an answer");
  assertEquals(answers.length, count, "each has one answer");
  assert(codes.get("ack")!.length >= 200);
  assert(codes.get("not_delivered")!.length >= 500);

  // Repeating those of which nobody knew settles them.
  const ids = new Map(sender.all("ack").map(({ ref, id }) => [ref, id]));
  for (const { ref, code } of sender.all("error")) {
    if (code !== "unknown") continue;
    ids.set(ref!, await sender.publish(`message ${ref}`, ref));
  }
  const last = await sender.publish("the end");
  for (const client of [sender, listener]) {
    await client.find("message", ({ id }) => id === last);
    const arrived = client.all("message").slice(0, -1);
    assertEquals(new Map(arrived.map(({ ref, id }) => [ref, id])), ids);
    assertEquals(arrived.length, ids.size, "each arrived once");
    arrived.forEach(({ prev }, i) => assertEquals(prev, arrived[i - 1]?.id ?? "0-0"));
  }
  await Promise.all([sender.leave(), listener.leave()]);
  await redis[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
}

Deno.test("while Redis is away for 10 s every send gets exactly one answer, which is true", async () => {
  await Promise.all([
    sayThroughOutage("Redis hung", async (redis) => {
      redis.process.signal("SIGSTOP");
      await sleep(AWAY);
      redis.process.signal("SIGCONT");
      return redis;
    }),
    sayThroughOutage("Redis was killed", async (redis, folder) => {
      await redis[Symbol.asyncDispose]();
      await sleep(AWAY);
      return await startRedis({ port: redis.port, folder, appendOnly: true });
    }),
  ]);
});
