import { assert } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import { startRedis } from "../support/redis.ts";
import { sleep } from "../support/wait.ts";

Deno.test("an instance with 1,000 rooms sends at most 100 commands a second", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, readConfig({}));
  const rooms = Array.from({ length: 1_000 }, (_, i) => `room-${i}`);
  for (const room of rooms) {
    await store.subscribe(room, { onEvent() {}, onNameLost() {} });
    await store.claim(room, "foo", "s1");
  }
  await using monitor = await redis.monitor();
  /** Counts what the store sends in each second until a condition holds. */
  async function countPerSecond(isOver: (seconds: number) => Promise<boolean>): Promise<number[]> {
    const counts: number[] = [];
    while (!await isOver(counts.length)) {
      const before = monitor.count();
      await sleep(1_000);
      counts.push(monitor.count() - before);
    }
    return counts;
  }
  const exist = async (keys: readonly string[]) =>
    await redis.command("EXISTS", ...keys) === keys.length;
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
  const all = rooms.map((room) => `{chat-users:${room}}:owners`);
  for (const [what, keys] of Object.entries({ "40 rooms": damaged, "all rooms": all })) {
    await redis.command("DEL", ...keys);
    const healing = await countPerSecond(() => exist(keys));
    console.log(
      `${what} healed after ${healing.length} s, at most ${Math.max(...healing)} a second`,
    );
    assert(healing.length <= 60, what);
    assert(Math.max(...healing) <= 100, `${what}: ${healing}`);
  }
  await store.close();
});
