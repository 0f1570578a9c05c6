import { getLogger } from "@logtape/logtape";
import type { CommandConnection } from "./connections.ts";
import { type Instances, isAlive, LEASE_TTL_MS, RENEWAL_INTERVAL_MS } from "./instances.ts";
import { defineReap } from "./scripts.ts";

const logger = getLogger(["chat", "redis"]);

/**
 * After an outage, nobody is reaped for this long, in milliseconds: the others may still be
 * reconnecting. After a jump of the clock of Redis they notice it within two renewals.
 */
const REAP_GRACE_MS = 2 * RENEWAL_INTERVAL_MS + 1_000;

/** When to watch again after an instance without a lease could not be reaped, in milliseconds. */
const UNREAPED_RECHECK_MS = 1_000;

/** See {@linkcode makeReaper}. */
export type Reaper = ReturnType<typeof makeReaper>;

/**
 * Makes what frees the names that dead instances left in Redis.
 *
 * @param historySeconds how long a log is kept
 * @param onLeaseLost called when it turns out that this instance itself has no lease
 */
export function makeReaper(
  connection: CommandConnection,
  instances: Instances,
  historySeconds: number,
  onLeaseLost: () => void,
) {
  const reapNames = defineReap(connection, historySeconds);
  /** The dead instances that are being reaped now. */
  const reaping = new Map<string, Promise<void>>();
  let reapGraceEndsAt = 0;

  /** Starts the grace period after an outage, in which no instance counts as dead. */
  function startGracePeriod(): void {
    reapGraceEndsAt = performance.now() + REAP_GRACE_MS;
  }

  /**
   * Checks the next instance in the ring, and reaps it if it is dead, until it meets one that is
   * not.
   *
   * @returns when to check again, in milliseconds: normally the remaining time of the lease
   */
  async function watchNext(): Promise<number> {
    for (;;) {
      const next = await instances.nextInRing();
      if (next === undefined) return LEASE_TTL_MS - RENEWAL_INTERVAL_MS;
      if (isAlive(next.remainingMs)) return Math.min(next.remainingMs, LEASE_TTL_MS);
      if (!await isDead(next.id)) return UNREAPED_RECHECK_MS;
      await (instances.isOwn(next.id) ? reapRetired(next.id) : reapDead(next.id));
    }
  }

  /**
   * Frees all names that an instance holds, if it is dead.
   *
   * @param instance the instance
   * @param room a room in which it holds names, in case Redis does not know its rooms
   * @returns whether it is dead
   */
  async function reapIfDead(instance: string, room: string): Promise<boolean> {
    if (!await isDead(instance)) return false;
    await reapDead(instance, room);
    return true;
  }

  /** Frees the names that a retired id of this instance still holds, and deregisters it. */
  async function reapRetired(id: string): Promise<void> {
    await instances.deregister(id, async (room) => void await reap(room, id));
  }

  /** Frees all names in a room that an instance holds, and returns their number. */
  async function reap(room: string, instance: string): Promise<number> {
    return await reapNames(connection.keys.room(room), instance);
  }

  async function reapDead(instance: string, room?: string): Promise<void> {
    async function reapRooms(): Promise<void> {
      await instances.markReaped(instance);
      let users = room === undefined ? 0 : await reap(room, instance);
      await instances.deregister(instance, async (room) => {
        const freed = await reap(room, instance);
        users += freed;
      });
      logger.info`Instance ${instance.replace(/-\d+$/, "")} is gone: ${users} users left`;
    }
    const reaped = reaping.get(instance) ?? reapRooms();
    reaping.set(instance, reaped);
    await reaped.finally(() => reaping.delete(instance));
  }

  async function isDead(instance: string): Promise<boolean> {
    if (instances.isInUse(instance) || await instances.hasLease(instance)) return false;
    return await canJudge();
  }

  /** Whether this instance can tell now which others are dead. */
  async function canJudge(): Promise<boolean> {
    // During an outage every lease ends. Live instances must register again before it is clear
    // which ones are dead.
    if (performance.now() < reapGraceEndsAt) return false;
    // An instance without a lease was cut off itself, and cannot judge others. If the clock of
    // Redis has jumped, all leases seem to have ended, this one too.
    if (await instances.renewLease(true)) return true;
    onLeaseLost();
    return false;
  }

  return { startGracePeriod, watchNext, reapIfDead, reapRetired, reap, canJudge };
}
