import { assert } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { sleep } from "../support/wait.ts";

/** How many commands Redis has processed, those in scripts included. */
async function countCommands(redis: TestRedis): Promise<number> {
  const info = await redis.command("INFO", "stats") as string;
  return Number(/total_commands_processed:(\d+)/.exec(info)![1]);
}

Deno.test("an idle instance with 10,000 users sends less than a command a second", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, readConfig({}));
  const other = await openRedisStore(redis.settings, readConfig({}));
  await store.subscribe("chat", { onEvent() {}, onNameLost() {} });
  await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => store.claim("chat", `user-${i}`, `s${i}`)),
  );
  const [before, start] = [await countCommands(redis), performance.now()];
  await sleep(30_000);
  // The first INFO is among the commands.
  const count = await countCommands(redis) - before - 1;
  const perSecond = count / ((performance.now() - start) / 1000) / 2;
  console.log(`each of two idle instances sends ${perSecond.toFixed(2)} commands a second`);
  assert(perSecond < 1);
  await Promise.all([store.close(), other.close()]);
});

Deno.test("an instance with 1,000 rooms sends at most 100 commands a second", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, readConfig({}));
  const rooms = Array.from({ length: 1_000 }, (_, i) => `room-${i}`);
  for (const room of rooms) {
    await store.subscribe(room, { onEvent() {}, onNameLost() {} });
    await store.claim(room, "foo", "s1");
  }
  /** Counts the commands of each second until a condition holds, less the INFO in each. */
  async function countPerSecond(isOver: (seconds: number) => Promise<boolean>): Promise<number[]> {
    const counts: number[] = [];
    for (let before = await countCommands(redis); !await isOver(counts.length);) {
      await sleep(1_000);
      const after = await countCommands(redis);
      counts.push(after - before - 1);
      before = after;
    }
    return counts;
  }
  await sleep(10_000);
  const idle = await countPerSecond((seconds) => Promise.resolve(seconds === 30));
  console.log(
    `${idle.reduce((a, b) => a + b) / 30} commands a second, at most ${Math.max(...idle)}`,
  );
  assert(Math.max(...idle) <= 100, `${idle}`);

  const damaged = rooms.slice(0, 40).flatMap((room) => [
    `chat-users:${room}`,
    `{chat-users:${room}}:owners`,
  ]);
  await redis.command("DEL", ...damaged);
  // The condition is a command, too.
  const healing = await countPerSecond(async () =>
    await redis.command("EXISTS", ...damaged) === damaged.length
  );
  console.log(
    `healed after ${healing.length} s, at most ${Math.max(...healing)} commands a second`,
  );
  await redis.command("DEL", ...rooms.map((room) => `{chat-users:${room}}:owners`));
  const all = await countPerSecond(async () =>
    await redis.command("EXISTS", ...rooms.map((room) => `{chat-users:${room}}:owners`)) === 1_000
  );
  console.log(`all healed after ${all.length} s, at most ${Math.max(...all)} commands a second`);
  await store.close();
});
