import { type Environment, readConfig } from "../../chat/config/config.ts";
import { startServer } from "../../chat/http/server.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import type { Store } from "../../chat/store/store.ts";

/** Starts a server in this process. It keeps its data in memory, unless a store is given. */
export async function startHttpServer(store?: Store, env: Environment = {}) {
  const config = readConfig({ HOST: "127.0.0.1", PORT: "0", LIMITS: "off", ...env });
  const server = await startServer(config, store ?? openMemoryStore(config));
  return {
    port: server.port,
    routes: server.routes,
    sessionCount: () => server.sessionCount,
    connectionCount: () => server.connectionCount,
    origin: `http://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.close(),
  };
}
