import type { Event } from "../events.ts";
import type { Store } from "../store.ts";
import { Connection, openConnections, type RedisSettings } from "./connection.ts";
import { roomKeys } from "./keys.ts";
import { makePresence } from "./presence.ts";
import { startSubscriber } from "./subscriber.ts";

/** How long a start waits for Redis, in milliseconds. */
const OPEN_WITHIN = 5_000;

/**
 * Opens a store on Redis, with two connections: one that publishes and sends every other command, one that hears.
 *
 * @param settings where Redis is
 * @returns a store that keeps the contract of {@linkcode Store}; a ping has been answered
 * @throws {StoreUnavailable} if Redis cannot be used; the message names host, port and cause
 */
export async function openRedisStore(settings: RedisSettings): Promise<Store> {
  const instance = crypto.randomUUID();
  const commands = new Connection(settings, "chat-commands");
  const hearing = new Connection(settings, "chat-subscriber");
  const presence = makePresence(commands, instance);
  const subscriber = startSubscriber(hearing);
  await openConnections([commands, hearing], settings, OPEN_WITHIN);
  commands.reportOutages();
  hearing.reportOutages();

  return {
    subscribe: (room, listener) => subscriber.subscribe(roomKeys(room).channel, listener),
    unsubscribe: (room) => subscriber.unsubscribe(roomKeys(room).channel),
    claim: (room, user, session) => presence.claim(roomKeys(room), user, session),
    release: (room, user) => presence.release(roomKeys(room), user),
    async say(room, user, text) {
      const message: Event = { type: "message", user, text };
      const payload = JSON.stringify(message);
      await commands.ask((redis) => redis.publish(roomKeys(room).channel, payload));
    },
    async ping() {
      await Promise.all([commands, hearing].map((one) => one.ask((redis) => redis.ping())));
    },
    async close() {
      await Promise.all([commands.close(), hearing.close()]);
    },
  };
}
