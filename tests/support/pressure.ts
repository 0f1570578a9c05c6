import type { TestRedis } from "./redis.ts";
import { sleep } from "./wait.ts";

/** How much memory Redis has for the keys of another program, in bytes. */
const FILLER_BYTES = 2 * 1024 * 1024;

/** Writes 100 keys of 1 KiB. */
const FILL = `
for i = 1, 100 do
  redis.call('SET', 'filler:' .. ARGV[1] .. ':' .. i, string.rep('x', 1024))
end`;

async function readInfo(redis: TestRedis, section: string, field: string): Promise<number> {
  const info = await redis.command("INFO", section) as string;
  return Number(new RegExp(`${field}:(\\d+)`).exec(info)![1]);
}

/** Returns how many keys Redis has evicted. */
export async function countEvicted(redis: TestRedis): Promise<number> {
  return await readInfo(redis, "stats", "evicted_keys");
}

/** Keeps the memory of a Redis full for some seconds, so that it evicts keys of all kinds. */
export async function fillMemory(redis: TestRedis, seconds: number): Promise<void> {
  const used = await readInfo(redis, "memory", "used_memory");
  await redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  await redis.command("CONFIG", "SET", "maxmemory", `${used + FILLER_BYTES}`);
  const end = performance.now() + seconds * 1000;
  for (let i = 0; performance.now() < end; i++) {
    await redis.command("EVAL", FILL, "0", `${i}`);
    await sleep(10);
  }
  await redis.command("CONFIG", "SET", "maxmemory", "0");
}

/**
 * Gives a Redis less and less memory until it has evicted a key, and then enough again. If it may
 * not evict any, it refuses writes for a moment.
 */
export async function evictOne(redis: TestRedis, policy: string): Promise<void> {
  await redis.command("CONFIG", "SET", "maxmemory-policy", policy);
  const before = await countEvicted(redis);
  const used = await readInfo(redis, "memory", "used_memory");
  for (let less = 0; less < 20_000 && await countEvicted(redis) === before; less += 50) {
    await redis.command("CONFIG", "SET", "maxmemory", `${used - less}`);
  }
  await redis.command("CONFIG", "SET", "maxmemory", "0");
}
