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
