import type { Event } from "../events.ts";
import { type Listener, type Store, StoreUnavailable } from "../store.ts";
import { Connection, openConnections, type RedisSettings } from "./connection.ts";
import { roomKeys } from "./keys.ts";
import { Lease } from "./lease.ts";
import { Presence } from "./presence.ts";
import { Subscriber } from "./subscriber.ts";
import { startUpkeep } from "./upkeep.ts";

/** How long a start waits for Redis, in milliseconds. */
const OPEN_WITHIN = 5_000;

/**
 * Opens a store on Redis, with two connections: one that publishes and sends every other command, one that hears.
 *
 * @param settings where Redis is
 * @returns a store that keeps the contract of {@linkcode Store}, and goes on keeping it after every outage
 * @throws {StoreUnavailable} if Redis cannot be used; the message names host, port and cause
 */
export async function openRedisStore(settings: RedisSettings): Promise<Store> {
  const commands = new Connection(settings, "chat-commands");
  const hearing = new Connection(settings, "chat-subscriber");
  await openConnections([commands, hearing], settings, OPEN_WITHIN);

  const listeners = new Map<string, Listener>();
  const lease = new Lease(commands);
  const presence = new Presence(
    commands,
    lease,
    (room, user, session) => listeners.get(room)?.lost(user, session),
  );
  const subscriber = new Subscriber(hearing);
  await presence.start();
  commands.redis.on("ready", () => presence.recover().catch(() => {}));
  commands.reportOutages();
  hearing.reportOutages();
  const stopUpkeep = startUpkeep(presence, subscriber);

  /** What nobody here would hear is not said: it would look as if it had been. */
  function requireHearing(): void {
    if (!subscriber.isHearing) throw new StoreUnavailable("the subscriber is away");
  }

  return {
    async subscribe(room, listener) {
      listeners.set(room, listener);
      await Promise.all([
        subscriber.subscribe(roomKeys(room).channel, listener.hear),
        presence.enter(room),
      ]);
    },
    async unsubscribe(room) {
      listeners.delete(room);
      await Promise.all([subscriber.unsubscribe(roomKeys(room).channel), presence.exit(room)]);
    },
    async claim(room, user, session) {
      requireHearing();
      return await presence.claim(room, user, session);
    },
    release: (room, user) => presence.release(room, user),
    async say(room, user, text) {
      requireHearing();
      const payload = JSON.stringify({ type: "message", user, text } satisfies Event);
      await commands.ask((redis) => redis.publish(roomKeys(room).channel, payload));
    },
    async ping() {
      requireHearing();
      if (!presence.isRecovered) throw new StoreUnavailable("names are being claimed again");
      await Promise.all([commands.ask((redis) => redis.ping()), subscriber.ping()]);
    },
    async close() {
      stopUpkeep();
      await presence.end().catch(() => {});
      await Promise.all([commands.close(), hearing.close()]);
    },
  };
}
