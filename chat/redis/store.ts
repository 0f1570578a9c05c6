import type { Redis } from "ioredis";
import type { Event } from "../events.ts";
import type { Store } from "../store.ts";
import {
  asStoreError,
  describe,
  makeConnection,
  openConnections,
  type RedisSettings,
} from "./connection.ts";
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
  const commands = makeConnection(settings, "chat-commands");
  const hearing = makeConnection(settings, "chat-subscriber");
  const presence = makePresence(commands, instance);
  const subscriber = startSubscriber(hearing);
  await openConnections([commands, hearing], settings, OPEN_WITHIN);
  reportOutages(commands, "commands");
  reportOutages(hearing, "subscriber");

  return {
    subscribe: (room, listener) =>
      translate(subscriber.subscribe(roomKeys(room).channel, listener)),
    unsubscribe: (room) => translate(subscriber.unsubscribe(roomKeys(room).channel)),
    claim: (room, user, session) => translate(presence.claim(roomKeys(room), user, session)),
    async release(room, user) {
      await translate(presence.release(roomKeys(room), user));
    },
    async say(room, user, text) {
      const message: Event = { type: "message", user, text };
      await translate(commands.publish(roomKeys(room).channel, JSON.stringify(message)));
    },
    async ping() {
      await translate(Promise.all([commands.ping(), hearing.ping()]));
    },
    async close() {
      await Promise.all([commands, hearing].map(quit));
    },
  };
}

/** Turns what ioredis rejects with into what a caller of a store may see. */
async function translate<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw asStoreError(error);
  }
}

/** One line when a connection is lost and one when it is back, however many attempts lie between. */
function reportOutages(redis: Redis, name: string): void {
  let cause = "closed";
  let away = false;
  redis.on("error", (error: Error) => cause = describe(error));
  redis.on("reconnecting", () => {
    if (!away) console.error(`Redis connection for ${name} lost (${cause}), trying again`);
    away = true;
  });
  redis.on("ready", () => {
    if (away) console.error(`Redis connection for ${name} is back`);
    away = false;
    cause = "closed";
  });
}

/** Lets the answers on their way arrive where Redis is there, and does not wait where it is not. */
async function quit(redis: Redis): Promise<void> {
  await redis.quit().catch(() => {});
  redis.disconnect();
}
