import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { untilReady } from "../support/readiness.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { countLeft, TextClient, untilCaughtUp } from "../support/text_client.ts";
import { sleep, until } from "../support/wait.ts";

/** Waits until a lease has just been renewed: it lasts 10 s and is renewed every 4 s. */
async function untilRenewed(redis: TestRedis, id: string): Promise<void> {
  await until(async () => {
    const [seconds] = await redis.command("TIME") as string[];
    const endsAtMs = await redis.command("ZSCORE", "chat-leases", id);
    return Number(endsAtMs) / 1000 - Number(seconds) >= 9;
  }, 20);
}

Deno.test("an instance keeps its lease for 6 s of a stall, and recovers from 15 s", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env, { mayBeStopped: true });
  const [id] = await redis.instances();
  await using two = await startInstance(redis.env);
  const keeps = await TextClient.join(one.port, "keeps");
  const loses = await TextClient.join(one.port, "loses");
  const watcher = await TextClient.join(two.port, "watcher");
  await untilCaughtUp(redis, [keeps, loses, watcher]);
  for (const client of [keeps, loses, watcher]) client.clear();

  await untilRenewed(redis, id);
  one.signal("SIGSTOP");
  await sleep(6_000);
  one.signal("SIGCONT");
  keeps.send("back");
  await watcher.until("keeps: back");
  assertEquals(countLeft(watcher.frames).size, 0);
  assertEquals(await redis.users(), ["keeps", "loses", "watcher"]);

  one.signal("SIGSTOP");
  const stalled = sleep(15_000);
  await watcher.until("loses: has left the chat!");
  const thief = await TextClient.join(two.port, "loses");
  for (const client of [keeps, loses]) client.send("said too late");
  await stalled;
  one.signal("SIGCONT");
  assertEquals(await loses.closed, { code: 4409, reason: "the name is taken" });
  await watcher.until("keeps: has joined the chat!");
  await redis.untilReply("SCARD chat-users", 3);
  assertEquals(await redis.users(), ["keeps", "loses", "watcher"]);
  await untilReady(one);
  keeps.send("here again");
  await watcher.until("keeps: here again");
  await untilCaughtUp(redis, [watcher, thief]);
  assertEquals(countLeft(watcher.frames), new Map([["loses", 1], ["keeps", 1]]));
  // Nobody speaks who is not there, nor under a name that another user has.
  assert(!watcher.frames.includes("loses: said too late"), `${watcher.frames}`);
  const [joined, said] = ["keeps: has joined the chat!", "keeps: said too late"]
    .map((line) => watcher.frames.indexOf(line));
  assert(said === -1 || said > joined, `${watcher.frames}`);
  await Promise.all([keeps, thief, watcher].map((client) => client.leave()));
});
