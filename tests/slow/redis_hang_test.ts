import { assert, assertEquals } from "@std/assert";
import { assertCrowdWorks, joinCrowd } from "../support/crowd.ts";
import { startInstance } from "../support/instance.ts";
import { untilNotReady, untilReady } from "../support/readiness.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince, sleep } from "../support/wait.ts";

const NOT_DELIVERED = "message not delivered. please try again";
const MAYBE_DELIVERED = "message may not have been delivered";

Deno.test("a Redis that hangs for 20 s blocks nobody, and loses nothing", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const crowd = await joinCrowd(redis, one, two);
  const { names, clients } = crowd;
  redis.process.signal("SIGSTOP");
  const stopped = performance.now();

  clients[0].send("into the void");
  assertEquals(await clients[0].next(), MAYBE_DELIVERED);
  console.log(`the message in flight got a reply after ${secondsSince(stopped)}`);
  clients[0].send("into the void again");
  assertEquals(await clients[0].next(), NOT_DELIVERED);
  const late = new TextClient(one.port, "late");
  assertEquals((await late.closed).code, 1013);
  assertEquals(late.frames, ["failed to connect. please try again"]);
  await untilNotReady(one);

  await sleep(Math.max(0, stopped + 20_000 - performance.now()));
  redis.process.signal("SIGCONT");
  const resumed = performance.now();
  await Promise.all([untilReady(one), untilReady(two)]);
  console.log(`both instances were ready ${secondsSince(resumed)} after Redis`);
  // Redis may have taken the message in flight when it stopped. Then everyone receives it once.
  await untilCaughtUp(redis, clients);
  for (const [i, client] of clients.entries()) {
    const delivered = client.frames.filter((frame) => frame === `${names[0]}: into the void`);
    const replies = i === 0 ? 2 : 0;
    assert(
      delivered.length <= 1 && client.frames.length === delivered.length + replies,
      client.frames.join("\n"),
    );
    client.clear();
  }
  await assertCrowdWorks(redis, crowd);
  await Promise.all(clients.map((client) => client.leave()));
});
