import type { CommandConnection } from "./connections.ts";
import { type Instances, LEASE_TTL_MS, RENEWAL_INTERVAL_MS } from "./instances.ts";
import { defineReaperScripts, type ReaperScripts } from "./scripts.ts";

/**
 * After an outage, nobody is reaped for this long, in milliseconds: the others may still be
 * reconnecting.
 */
const REAP_GRACE_MS = 6_000;

/** When to watch again after an instance without a lease could not be reaped, in milliseconds. */
const UNREAPED_RECHECK_MS = 1_000;

/** Frees the names that dead instances left in Redis. */
export class Reaper {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #scripts: ReaperScripts;
  readonly #onLeaseLost: () => void;
  /** The rooms to sweep, the one that was swept longest ago first. */
  readonly #rooms = new Set<string>();
  #reapGraceEndsAt = 0;

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param onLeaseLost called when it turns out that this instance itself has no lease
   */
  constructor(connection: CommandConnection, instances: Instances, onLeaseLost: () => void) {
    this.#connection = connection;
    this.#instances = instances;
    this.#scripts = defineReaperScripts(connection);
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
      if (next.remainingMs > 0) return next.remainingMs;
      if (!await this.#isDead(next.id)) return UNREAPED_RECHECK_MS;
      await this.#instances.markReaped(next.id);
      await this.reapInstance(next.id);
    }
  }

  /** Adds a room to those that are swept in turn. */
  addRoom(room: string): void {
    this.#rooms.add(room);
  }

  /** Removes a room from those that are swept in turn. */
  removeRoom(room: string): void {
    this.#rooms.delete(room);
  }

  /** Sweeps the room that was swept longest ago. */
  async sweepNext(): Promise<void> {
    const [room] = this.#rooms;
    if (room === undefined) return;
    this.#rooms.delete(room);
    this.#rooms.add(room);
    await this.sweep(room);
  }

  /**
   * Frees all names in a room that dead instances hold, also those of instances that are not
   * registered any more.
   */
  async sweep(room: string): Promise<void> {
    for (const owner of await this.#scripts.owners(this.#connection.keys.room(room))) {
      await this.reapIfDead(room, owner);
    }
  }

  /** Frees all names in a room that an instance holds, if it is dead. Returns whether it is. */
  async reapIfDead(room: string, instance: string): Promise<boolean> {
    if (!await this.#isDead(instance)) return false;
    await this.#instances.markReaped(instance);
    await this.#reap(room, instance);
    return true;
  }

  /**
   * Frees all names that an instance holds, in every room, and deregisters it. The caller knows
   * that it is dead.
   */
  async reapInstance(instance: string): Promise<void> {
    await this.#instances.deregister(instance, (room) => this.#reap(room, instance));
  }

  async #reap(room: string, instance: string): Promise<void> {
    await this.#scripts.reap(this.#connection.keys.room(room), instance);
  }

  async #isDead(instance: string): Promise<boolean> {
    if (this.#instances.isOwn(instance) || await this.#instances.hasLease(instance)) return false;
    // During an outage every lease ends. Live instances must register again before it is clear
    // which ones are dead.
    if (performance.now() < this.#reapGraceEndsAt || !this.#instances.isClockSettled) return false;
    // An instance without a lease was cut off itself, and cannot judge others.
    if (await this.#instances.renewLease()) return true;
    this.#onLeaseLost();
    return false;
  }
}
