import type { TestRedis } from "./redis.ts";
import { sleep } from "./wait.ts";

/** How much memory Redis has for the filler, in bytes. */
const FILLER_BYTES = 2 * 1024 * 1024;

/** Writes 100 keys of 1 KiB: ARGV[1] is their number, ARGV[2] their time to live, 0 for none. */
const FILL = `
for i = 1, 100 do
  local reply = redis.pcall('SET', 'filler:' .. ARGV[1] .. ':' .. i, string.rep('x', 1024))
  if type(reply) == 'table' and reply.err then return 0 end
  if ARGV[2] ~= '0' then redis.call('EXPIRE', 'filler:' .. ARGV[1] .. ':' .. i, ARGV[2]) end
end
return 1`;

/**
 * Keeps the memory of a Redis full with keys of another program, and then empties it again.
 *
 * @param policy its `maxmemory-policy`
 * @param seconds how long
 * @param fillerTtlSeconds how long those keys live; 0 for ever
 * @returns how many keys Redis evicted, and how often it refused a write
 */
export async function fillMemory(
  redis: TestRedis,
  policy: string,
  seconds: number,
  fillerTtlSeconds: number,
): Promise<{ evicted: number; refused: number }> {
  const info = await redis.command("INFO", "memory") as string;
  const used = Number(/used_memory:(\d+)/.exec(info)![1]);
  await redis.command("CONFIG", "SET", "maxmemory-policy", policy);
  await redis.command("CONFIG", "SET", "maxmemory", `${used + FILLER_BYTES}`);
  const end = performance.now() + seconds * 1000;
  let refused = 0;
  for (let i = 0; performance.now() < end; i++) {
    const isFull = await redis.command("EVAL", FILL, "0", `${i}`, `${fillerTtlSeconds}`)
      .catch(() => 0) === 0;
    await sleep(10);
    // The other program makes room, so that commands which need memory succeed now and then.
    if (!isFull) continue;
    refused++;
    await redis.command("EVAL", "return redis.call('DEL', unpack(KEYS))", ...oldest(i));
  }
  await redis.command("CONFIG", "SET", "maxmemory", "0");
  await redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction");
  const stats = await redis.command("INFO", "stats") as string;
  return { evicted: Number(/evicted_keys:(\d+)/.exec(stats)![1]), refused };
}

function oldest(batch: number): string[] {
  const first = Math.max(0, batch - 10);
  const keys = Array.from({ length: 100 }, (_, i) => `filler:${first}:${i + 1}`);
  return [`${keys.length}`, ...keys];
}
