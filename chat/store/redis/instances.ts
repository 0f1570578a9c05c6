import type { Connection } from "./connections.ts";
import { instanceKeys, INSTANCES_KEY } from "./keys.ts";

/** How long a lease lives after it was renewed, in milliseconds. Time is Redis's alone. */
export const LEASE_TTL_MS = 10_000;

/** The time between two renewals, in milliseconds. */
export const RENEW_INTERVAL_MS = 3_000;

/** How long others know that an instance was taken for dead, in seconds. */
const REAPED_KNOWN_FOR = 3_600;

/**
 * What says in Redis that this instance is alive. Nothing is written for a user while nothing happens: the lease stands
 * for all names that the instance holds.
 *
 * An instance that lost its lease, or Redis, becomes a new one with a new id. So whoever frees the names of a dead id
 * can never meet the living: see `reclaim.lua`.
 */
export class Lease {
  #id = "";
  readonly #connection: Connection;

  /** @param connection where to send commands */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The id of this instance as it is now. */
  get id(): string {
    return this.#id;
  }

  /**
   * Registers the instance under a new id, as one that may hold names in some rooms. It has the id only when it has the
   * lease: a name under an id without one would be freed by whoever sees it.
   */
  async take(rooms: Iterable<string>): Promise<void> {
    const id = crypto.randomUUID();
    const keys = instanceKeys(id);
    const names = [...rooms];
    await this.#connection.run((redis) =>
      Promise.all([
        redis.set(keys.lease, "1", "PX", LEASE_TTL_MS),
        redis.sadd(INSTANCES_KEY, id),
        names.length > 0 && redis.sadd(keys.rooms, ...names),
      ])
    );
    this.#id = id;
  }

  /** Renews the lease; says whether there still was one. */
  async renew(): Promise<boolean> {
    const { lease } = instanceKeys(this.id);
    return await this.#connection.run((redis) =>
      redis.set(lease, "1", "PX", LEASE_TTL_MS, "XX")
    ) ===
      "OK";
  }

  /** Notes a room in which the instance may hold names, before it does. */
  async enter(room: string): Promise<void> {
    await this.#connection.run((redis) => redis.sadd(instanceKeys(this.id).rooms, room));
  }

  /** Notes that the instance holds no name in a room any more. */
  async exit(room: string): Promise<void> {
    await this.#connection.run((redis) => redis.srem(instanceKeys(this.id).rooms, room));
  }

  /** Whether an instance has no lease. */
  async isDead(id: string): Promise<boolean> {
    return await this.#connection.run((redis) => redis.exists(instanceKeys(id).lease)) === 0;
  }

  /**
   * Looks at the next instance in a ring of all, so that each is looked at by one however many there are.
   *
   * @returns its id if it is dead; else the milliseconds after which its lease ends unless it is renewed, which is when
   * to look again
   */
  async lookAtNext(): Promise<string | number> {
    const ids = (await this.#connection.run((redis) => redis.smembers(INSTANCES_KEY))).sort();
    const next = ids.find((id) => id > this.id) ?? ids[0] ?? this.id;
    if (next === this.id) return LEASE_TTL_MS - RENEW_INTERVAL_MS;
    const left = await this.#connection.run((redis) => redis.pttl(instanceKeys(next).lease));
    return left > 0 ? left : next;
  }

  /** Lets an instance know, should it be alive after all, that its names are being freed. */
  async noteReaped(id: string): Promise<void> {
    const { reaped } = instanceKeys(id);
    await this.#connection.run((redis) => redis.set(reaped, "1", "EX", REAPED_KNOWN_FOR));
  }

  /**
   * Forgets an instance that is no more, after its names are freed.
   *
   * @param id the instance
   * @param free frees its names in one room
   */
  async deregister(id: string, free: (room: string) => Promise<void>): Promise<void> {
    const keys = instanceKeys(id);
    const rooms = await this.#connection.run((redis) => redis.smembers(keys.rooms));
    await Promise.all(rooms.map(free));
    // Last, so that another one goes on if this one dies in between.
    await this.#connection.run((redis) => redis.del(keys.lease, keys.rooms));
    await this.#connection.run((redis) => redis.srem(INSTANCES_KEY, id));
  }

  /** Whether Redis knows an instance, dead or alive. */
  async isKnown(id: string): Promise<boolean> {
    return await this.#connection.run((redis) => redis.sismember(INSTANCES_KEY, id)) === 1;
  }

  /** Whether others took one of these ids for dead. */
  async wasReaped(ids: Iterable<string>): Promise<boolean> {
    const keys = [...ids].map((id) => instanceKeys(id).reaped);
    return await this.#connection.run((redis) => redis.exists(...keys)) > 0;
  }

  /** Gives the lease up. Where names are still held, others free them as soon as they look. */
  async end(holdsNothing: boolean): Promise<void> {
    const { lease, rooms } = instanceKeys(this.id);
    await this.#connection.run((redis) => redis.del(lease));
    if (!holdsNothing) return;
    await this.#connection.run((redis) =>
      Promise.all([redis.srem(INSTANCES_KEY, this.id), redis.del(rooms)])
    );
  }
}
