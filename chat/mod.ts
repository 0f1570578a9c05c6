/**
 * A chat server for Deno and Redis.
 *
 * The way of a message: a socket's frame reaches its session, which says it through the hub to the
 * {@linkcode Store}; the store publishes it; the subscriber of every instance hears it, the sender's own too; the hub
 * hands it to the room, which builds its frame once and sends it to every session. There is no other way.
 *
 * @example
 * ```ts
 * import { openMemoryStore, readConfig, startServer } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const store = openMemoryStore();
 * const server = await startServer(readConfig({ HOST: "127.0.0.1", PORT: "0" }), store);
 * const socket = new WebSocket(`ws://127.0.0.1:${server.port}/chat/foo`);
 * const welcome = await new Promise<string>((resolve) => socket.onmessage = (e) => resolve(e.data));
 * assertEquals(welcome, "Welcome foo!");
 *
 * const closed = new Promise((resolve) => socket.onclose = resolve);
 * await server.stop();
 * await closed;
 * await store.close();
 * ```
 *
 * @module
 */
export { type Config, ConfigError, type Environment, readConfig } from "./config.ts";
export { openMemoryStore, World } from "./memory/store.ts";
export type { RedisSettings } from "./redis/connection.ts";
export { openRedisStore } from "./redis/store.ts";
export type { SessionLimits } from "./session.ts";
export { type ChatServer, type ServerOptions, startServer } from "./server.ts";
export { type Listener, type Store, StoreAnswerLost, StoreUnavailable } from "./store.ts";
