/**
 * A chat server for Deno and Redis.
 *
 * The path of a message: a client's frame arrives at its session, which decodes it and publishes
 * the message through the hub to the {@linkcode Store}. The store appends the message to the room's
 * log and publishes it to every instance, in one step. On each instance, the sender's own included,
 * the subscriber receives it, first fills any gap from the log, and passes it through the hub to
 * the room. The room's broadcaster encodes it once for each protocol and delivers it to every
 * session. Every message takes this path.
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
 * const welcome = await new Promise<MessageEvent>((resolve) => socket.onmessage = resolve);
 * assertEquals(welcome.data, "Welcome foo!");
 *
 * const closed = new Promise((resolve) => socket.onclose = resolve);
 * await server.close();
 * await closed;
 * await store.close();
 * ```
 *
 * @module
 */
export { type Config, ConfigError, type Environment, readConfig } from "./config/config.ts";
export {
  type CamelCase,
  type ChoiceSetting,
  type ChoiceValues,
  type IntegerSetting,
  type IntegerValues,
  type SettingName,
  SETTINGS,
  type TextSetting,
} from "./config/settings.ts";
export type { RedisSettings } from "./config/redis_settings.ts";
export { type Instance, makeInstanceId, startInstance } from "./instance.ts";
export { startWorkers } from "./workers/start_workers.ts";
export type { AuthOptions } from "./auth/authenticate.ts";
export { type ChatServer, type ServerOptions, startServer } from "./http/server.ts";
export type { AddressLimits } from "./limits/address_budgets.ts";
export type { ClientRates } from "./limits/session_budget.ts";
export type { SessionLimits } from "./session/session.ts";
export type * from "./protocol/events.ts";
export {
  type ClaimOptions,
  type LogEntry,
  type LogLimits,
  type NameLoss,
  type NameSecret,
  type RoomListener,
  type Sender,
  type Store,
  StoreOutcomeUnknown,
  StoreUnavailable,
  type UsersPage,
} from "./store/store.ts";
export type * from "./store/moderation.ts";
export { openMemoryStore } from "./store/memory/memory_store.ts";
export { openRedisStore } from "./store/redis/redis_store.ts";
