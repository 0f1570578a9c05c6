import type { RedisSettings } from "../../config/redis_settings.ts";
import { payloadOf } from "../../protocol/events.ts";
import { type LogLimits, type RoomListener, type Store, StoreUnavailable } from "../store.ts";
import { cannotUse, connect } from "./connections.ts";
import { checkDataFormat } from "./data_format.ts";
import { ignoreOutage } from "./ignore_outage.ts";
import { Incidents } from "./incidents.ts";
import { Instances, makeInstanceId } from "./instances.ts";
import { Log } from "./log.ts";
import { manageLogLifetime } from "./log_lifetime.ts";
import { startMaintenance } from "./maintenance.ts";
import { openModeration } from "./moderation.ts";
import { NameClaims } from "./name_claims.ts";
import { makeReaper } from "./reaper.ts";
import { makeNameRecovery } from "./name_recovery.ts";
import { cleanWords } from "./redis_errors.ts";
import { RoomSubscription } from "./room_subscription.ts";
import { defineProbe } from "./scripts.ts";
import publishTypingScript from "./scripts/publish_typing.lua" with { type: "text" };
import { warnWithoutMemoryUsage } from "./server_check.ts";
import { Subscriber } from "./subscriber.ts";
import { makeSweeper } from "./sweeper.ts";

/** How long a start waits for Redis, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Opens a store on Redis. It has two connections: one for commands, and one that receives what is
 * published.
 *
 * @param settings where Redis is
 * @param limits how much of each room's log to keep
 * @param instanceId the id of this instance; after an outage, a number is added
 * @returns a store that recovers by itself after every outage
 * @throws {StoreUnavailable} if it cannot connect within five seconds, or if Redis refuses what the
 * chat needs; the message names host, port and cause
 */
export async function openRedisStore(
  settings: RedisSettings,
  limits: LogLimits,
  instanceId: string = makeInstanceId(),
): Promise<Store> {
  const connections = await connect(settings, CONNECT_TIMEOUT_MS);
  const { commands } = connections;
  const listeners = new Map<string, RoomListener>();
  const instances = new Instances(commands, instanceId);
  const reaper = makeReaper(commands, instances, limits.historySeconds, recover);
  const claims = new NameClaims(
    ...[commands, instances, reaper, limits.historySeconds] as const,
    (room, { user, session }, loss) => listeners.get(room)?.onNameLost(user, session, loss),
  );
  const recovery = makeNameRecovery(commands, instances, claims, reaper);
  const sweeper = makeSweeper(commands, instances, claims, recovery, reaper);
  const subscriptions = new Map<string, RoomSubscription>();
  const log = new Log(commands, limits, {
    nowMs: () => instances.nowMs,
    observerOf: (room) => subscriptions.get(room),
    hasName: (room, user, session) =>
      !recovery.mayHaveLostNames && claims.find(room, user, session) !== undefined,
    hasMembers: (room) => claims.heldIn(room).size > 0,
  });
  const lifetime = manageLogLifetime(
    ...[commands, log, limits.historySeconds, () => instances.nowMs] as const,
  );
  const channel = commands.keys.hearing(instanceId);
  const subscriber = new Subscriber(connections.subscriber, commands, channel);
  const probe = defineProbe(commands, channel);
  const publishTyping = commands.defineScript<number>("publishTyping", 1, publishTypingScript);
  const incidents = new Incidents(async () => {
    const refusal = await probe();
    if (refusal === null) await subscriber.prove();
    return refusal;
  });

  async function closeConnections(): Promise<void> {
    incidents.close();
    await Promise.all([commands.close(), connections.subscriber.close()]);
  }

  try {
    const refusal = await probe();
    if (refusal !== null) throw new StoreUnavailable(cleanWords(refusal));
    await subscriber.prove();
    await checkDataFormat(commands);
    if (limits.historyBytes) {
      await warnWithoutMemoryUsage(commands.run("MEMORY", "USAGE", commands.keys.probes[0]));
    }
    await recovery.start();
  } catch (error) {
    await closeConnections();
    throw cannotUse(settings, (error as Error).message);
  }
  for (const connection of Object.values(connections)) {
    connection.onRefusal((message) => incidents.note(message));
  }
  commands.onReady(() => {
    recovery.reconnect().catch(ignoreOutage);
    // It may lead to another server now, unlike the connection of the subscriber.
    subscriber.proveAnew().catch(ignoreOutage);
  });
  const stopMaintenance = startMaintenance(recovery, reaper, sweeper, subscriber);

  function recover(): void {
    // A recovery that fails is repeated when the connection is back, or with the next renewal of
    // the lease.
    recovery.recover().catch(ignoreOutage);
  }

  /** A user whose `joined` this instance would not receive must not claim a name. */
  function requireSubscriber(): void {
    if (subscriber.isHearing) return;
    throw new StoreUnavailable("the subscriber connection is down");
  }

  async function enterRoom(room: string): Promise<void> {
    await claims.enterRoom(room);
    await sweeper.sweep(room);
  }

  async function leaveRoom(room: string): Promise<void> {
    claims.leaveRoom(room);
    // Redis may have refused to free a name in this room. The recovery finds the room through its
    // record, and frees the name.
    await claims.settled();
    // A recovery writes down the rooms with which it began.
    await recovery.settled();
    if (recovery.isRecovered && !claims.isIn(room)) await instances.leaveRoom(room);
  }

  return {
    async subscribe(room, listener) {
      listeners.set(room, listener);
      const subscription = new RoomSubscription(room, log, connections.subscriber, {
        ...listener,
        onEvent(event, line) {
          // Redis had lost a name that this instance holds, and someone else has got it.
          if (claims.note(room, event)) sweeper.sweep(room).catch(ignoreOutage);
          if (event.type === "joined" && event.users === 1) {
            lifetime.restore(room).catch(ignoreOutage);
          }
          listener.onEvent(event, line);
        },
      });
      subscriptions.set(room, subscription);
      const [newest] = await Promise.all([
        subscriber.subscribe(commands.keys.room(room).channel, subscription),
        enterRoom(room),
      ]);
      return newest;
    },
    async unsubscribe(room) {
      listeners.delete(room);
      subscriptions.get(room)?.close();
      subscriptions.delete(room);
      await Promise.all([
        subscriber.unsubscribe(commands.keys.room(room).channel),
        leaveRoom(room),
      ]);
    },
    async claim(room, ...claimant) {
      requireSubscriber();
      log.flush(room);
      return await claims.claim(room, ...claimant);
    },
    async release(room, user, session) {
      log.flush(room);
      const end = await claims.release(room, user, session);
      if (end) await lifetime.noteEmpty(room, end === "empty").catch(ignoreOutage);
    },
    publish(room, user, text, ref, after, sender) {
      if (sender && recovery.mayHaveLostNames) {
        return Promise.reject(new StoreUnavailable("somebody else may have the sender's name"));
      }
      const id = log.publish(room, user, text, ref, after, sender);
      if (!sender) id.then(() => lifetime.noteShared(room)).catch(() => {});
      return id;
    },
    async publishUnlogged(room, event) {
      log.flush(room);
      const { channel, mutes } = commands.keys.room(room);
      const payload = payloadOf(event);
      if (event.type === "typing" && limits.auth) {
        await publishTyping(mutes, event.user, channel, payload);
      } else await commands.run("PUBLISH", channel, payload);
    },
    remove: (room, ...removal) => log.remove(room, ...removal),
    moderation: openModeration(commands, () => instances.nowMs, (room) => log.flush(room)),
    readRemovals: (room, position) => log.readRemovals(room, position),
    readAfter: (room, position, count) => log.readAfter(room, position, count),
    readBefore: (room, position, count) => log.readBefore(room, position, count),
    listUsers: (room, cursor, count) => claims.listUsers(room, cursor, count),
    async ping() {
      await incidents.check();
      requireSubscriber();
      if (!recovery.isRecovered) throw new StoreUnavailable("names are being reclaimed");
    },
    async close() {
      stopMaintenance();
      for (const subscription of subscriptions.values()) subscription.close();
      await recovery.close().catch(ignoreOutage);
      await closeConnections();
    },
  };
}
