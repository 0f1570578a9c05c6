import { startInstance } from "./instance.ts";
import { startRedis } from "./redis.ts";

/** Starts two instances that share a Redis. */
export async function startTwoInstances(env: Record<string, string> = {}) {
  const redis = await startRedis();
  const [one, two] = await Promise.all([1, 2].map(() => startInstance({ ...redis.env, ...env })));
  return {
    redis,
    one: one.port,
    two: two.port,
    async [Symbol.asyncDispose]() {
      for (const process of [one, two, redis]) await process[Symbol.asyncDispose]();
    },
  };
}
