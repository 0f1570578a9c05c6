import { type LogLimits, type RoomListener, type Store, StoreUnavailable } from "../store.ts";
import { Connection, openConnections, type RedisSettings } from "./connections.ts";
import { RoomSubscription } from "./room_subscription.ts";
import { roomKeys } from "./keys.ts";
import { Lease } from "./instances.ts";
import { Log } from "./log.ts";
import { NameClaims } from "./name_claims.ts";
import { Subscriber } from "./subscriber.ts";
import { startMaintenance } from "./maintenance.ts";

/** How long a start waits for Redis, in milliseconds. */
const OPEN_WITHIN = 5_000;

/**
 * Opens a store on Redis, with two connections: one that publishes and sends every other command, one that hears.
 *
 * @param settings where Redis is
 * @param limits how much of what was said to keep
 * @returns a store that keeps the contract of {@linkcode Store}, and goes on keeping it after every outage
 * @throws {StoreUnavailable} if Redis cannot be used; the message names host, port and cause
 */
export async function openRedisStore(
  settings: RedisSettings,
  limits: LogLimits,
): Promise<Store> {
  const commands = new Connection(settings, "chat-commands");
  const hearing = new Connection(settings, "chat-subscriber");
  await openConnections([commands, hearing], settings, OPEN_WITHIN);

  const listeners = new Map<string, RoomListener>();
  const lease = new Lease(commands);
  const presence = new NameClaims(
    commands,
    lease,
    (room, user, session) => listeners.get(room)?.onNameLost(user, session),
  );
  const log = new Log(commands, limits);
  const subscriber = new Subscriber(hearing);
  await presence.start();
  commands.redis.on("ready", () => presence.recover().catch(() => {}));
  commands.reportOutages();
  hearing.reportOutages();
  const stopUpkeep = startMaintenance(presence, subscriber);

  /** Whose joining nobody here would hear does not join. */
  function requireHearing(): void {
    if (!subscriber.isHearing) throw new StoreUnavailable("the subscriber is away");
  }

  return {
    async subscribe(room, listener) {
      listeners.set(room, listener);
      const [newest] = await Promise.all([
        subscriber.subscribe(
          roomKeys(room).channel,
          new RoomSubscription(room, log, subscriber, listener),
        ),
        presence.enter(room),
      ]);
      return newest;
    },
    async unsubscribe(room) {
      listeners.delete(room);
      await Promise.all([subscriber.unsubscribe(roomKeys(room).channel), presence.exit(room)]);
    },
    async claim(room, user, session) {
      requireHearing();
      log.flush(room);
      return await presence.claim(room, user, session);
    },
    async release(room, user) {
      log.leave(room, user);
      await presence.release(room, user);
    },
    publish: (room, user, text, ref) => log.publish(room, user, text, ref),
    readAfter: (room, position, count) => log.readAfter(room, position, count),
    readBefore: (room, position, count) => log.readBefore(room, position, count),
    listUsers: (room, from, count) => presence.users(room, from, count),
    async ping() {
      requireHearing();
      if (!presence.isRecovered) throw new StoreUnavailable("names are being claimed again");
      await Promise.all([commands.run((redis) => redis.ping()), subscriber.ping()]);
    },
    async close() {
      stopUpkeep();
      await presence.end().catch(() => {});
      await Promise.all([commands.close(), hearing.close()]);
    },
  };
}
