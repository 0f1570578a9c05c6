import type { Config } from "./config/config.ts";
import { startServer } from "./http/server.ts";
import { openMemoryStore } from "./store/memory/memory_store.ts";
import { makeInstanceId } from "./store/redis/instances.ts";
import { openRedisStore } from "./store/redis/redis_store.ts";
import { StoreUnavailable } from "./store/store.ts";

export { makeInstanceId };

/** A server with its store. */
export interface Instance {
  /** The port it listens on. */
  readonly port: number;
  /** Resolves if the instance can serve every request now, and rejects if it cannot. */
  ready(): Promise<void>;
  /** Takes every session out of its room, closes every socket and then the store. */
  close(): Promise<void>;
}

/**
 * Starts an instance.
 *
 * @param config all settings
 * @param id the id under which the instance is known in Redis and in the log
 * @param ready is called for `/readyz`; by default it asks whether this instance is ready
 * @throws {StoreUnavailable} if the store cannot be used
 * @throws an error that names host and port if the server cannot listen there
 */
export async function startInstance(
  config: Config,
  id: string = makeInstanceId(),
  ready?: () => Promise<void>,
): Promise<Instance> {
  const store = config.redis
    ? await openRedisStore(config.redis, config, id)
    : openMemoryStore(config);
  const server = await startServer(config, store, ready).catch(async (error) => {
    await store.close();
    if (error instanceof StoreUnavailable) throw error;
    throw new Error(`at HOST ${config.host} and PORT ${config.port}: ${error.message}`);
  });
  return {
    port: server.port,
    ready: () => store.ping(),
    async close() {
      await server.close();
      await store.close();
    },
  };
}
