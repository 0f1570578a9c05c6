import { getLogger } from "@logtape/logtape";
import type { CommandConnection } from "./connections.ts";
import { type Instances, LEASE_TTL_MS, RENEWAL_INTERVAL_MS } from "./instances.ts";
import { defineReap } from "./scripts.ts";

const logger = getLogger(["chat", "redis"]);

/**
 * After an outage, nobody is reaped for this long, in milliseconds: the others may still be
 * reconnecting. After a jump of the clock of Redis they notice it within two renewals.
 */
const REAP_GRACE_MS = 2 * RENEWAL_INTERVAL_MS + 1_000;

/** When to watch again after an instance without a lease could not be reaped, in milliseconds. */
const UNREAPED_RECHECK_MS = 1_000;

/** Frees the names that dead instances left in Redis. */
export class Reaper {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #reap: ReturnType<typeof defineReap>;
  readonly #onLeaseLost: () => void;
  /** The dead instances that are being reaped now. */
  readonly #reaping = new Map<string, Promise<void>>();
  #reapGraceEndsAt = 0;

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param historySeconds how long a log is kept
   * @param onLeaseLost called when it turns out that this instance itself has no lease
   */
  constructor(
    connection: CommandConnection,
    instances: Instances,
    historySeconds: number,
    onLeaseLost: () => void,
  ) {
    this.#connection = connection;
    this.#instances = instances;
    this.#reap = defineReap(connection, historySeconds);
    this.#onLeaseLost = onLeaseLost;
  }

  /** Starts the grace period after an outage, in which no instance counts as dead. */
  startGracePeriod(): void {
    this.#reapGraceEndsAt = performance.now() + REAP_GRACE_MS;
  }

  /**
   * Checks the next instance in the ring, and reaps it if it is dead, until it meets one that is
   * not.
   *
   * @returns when to check again, in milliseconds: normally the remaining time of the lease
   */
  async watchNext(): Promise<number> {
    for (;;) {
      const next = await this.#instances.nextInRing();
      if (next === undefined) return LEASE_TTL_MS - RENEWAL_INTERVAL_MS;
      // More is left of a lease if the clock of Redis was set back.
      if (next.remainingMs > 0) return Math.min(next.remainingMs, LEASE_TTL_MS);
      if (!await this.#isDead(next.id)) return UNREAPED_RECHECK_MS;
      await this.#reapDead(next.id);
    }
  }

  /**
   * Frees all names that an instance holds, if it is dead.
   *
   * @param instance the instance
   * @param room a room in which it holds names, in case Redis does not know its rooms
   * @returns whether it is dead
   */
  async reapIfDead(instance: string, room: string): Promise<boolean> {
    if (!await this.#isDead(instance)) return false;
    await this.#reapDead(instance, room);
    return true;
  }

  /** Frees the names that a retired id of this instance still holds, and deregisters it. */
  async reapRetired(id: string): Promise<void> {
    await this.#instances.deregister(id, async (room) => void await this.reap(room, id));
  }

  /** Frees all names in a room that an instance holds, and returns their number. */
  async reap(room: string, instance: string): Promise<number> {
    return await this.#reap(this.#connection.keys.room(room), instance);
  }

  async #reapDead(instance: string, room?: string): Promise<void> {
    const reap = async () => {
      await this.#instances.markReaped(instance);
      let users = room === undefined ? 0 : await this.reap(room, instance);
      await this.#instances.deregister(instance, async (room) => {
        const freed = await this.reap(room, instance);
        users += freed;
      });
      logger.info`Instance ${instance.replace(/-\d+$/, "")} is gone: ${users} users left`;
    };
    const reaping = this.#reaping.get(instance) ?? reap();
    this.#reaping.set(instance, reaping);
    await reaping.finally(() => this.#reaping.delete(instance));
  }

  async #isDead(instance: string): Promise<boolean> {
    if (this.#instances.isOwn(instance) || await this.#instances.hasLease(instance)) return false;
    return await this.canJudge();
  }

  /** Whether this instance can tell now which others are dead. */
  async canJudge(): Promise<boolean> {
    // During an outage every lease ends. Live instances must register again before it is clear
    // which ones are dead.
    if (performance.now() < this.#reapGraceEndsAt) return false;
    // An instance without a lease was cut off itself, and cannot judge others. If the clock of
    // Redis has jumped, all leases seem to have ended, this one too.
    if (await this.#instances.renewLease(true)) return true;
    this.#onLeaseLost();
    return false;
  }
}
