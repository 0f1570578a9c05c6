/**
 * A chat server for Deno and Redis.
 *
 * The way of a message: a socket's frame reaches its session, which says it through the hub to the
 * {@linkcode Store}; the store appends it to the room's log and publishes it, in one step; the subscriber of every
 * instance hears it, the sender's own too, and fills from the log what it could not hear; the hub hands it to the room,
 * which builds its frame once for each protocol and sends it to every session. There is no other way.
 *
 * @example
 * ```ts
 * import { openMemoryStore, readConfig, startServer } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const config = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const store = openMemoryStore(config);
 * const server = await startServer(config, store);
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
export { type Config, ConfigError, type Environment, readConfig } from "./config/config.ts";
export { MemoryLog } from "./store/memory/memory_log.ts";
export { MemoryBackend, openMemoryStore } from "./store/memory/memory_store.ts";
export { type Instance, startInstance } from "./instance.ts";
export type { RedisSettings } from "./config/redis_settings.ts";
export { openRedisStore } from "./store/redis/redis_store.ts";
export type { SessionLimits } from "./session/session.ts";
export { startWorkers } from "./workers/start_workers.ts";
export { type ChatServer, type ServerOptions, startServer } from "./http/server.ts";
export type { Joined, Left, Message, Notice, RoomEvent } from "./protocol/events.ts";
export {
  type LogEntry,
  type LogLimits,
  type RoomListener,
  type Store,
  StoreOutcomeUnknown,
  StoreUnavailable,
  type UsersPage,
} from "./store/store.ts";
