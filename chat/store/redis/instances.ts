import type { CommandConnection } from "./connections.ts";

/**
 * How long a lease lives after its last renewal, in milliseconds. Only the clock of Redis counts.
 */
export const LEASE_TTL_MS = 10_000;

/** The time between two renewals of the lease, in milliseconds. */
export const RENEWAL_INTERVAL_MS = 3_000;

/** How long Redis remembers that an instance was reaped, in seconds. */
const REAPED_TTL_SECONDS = 3_600;

/**
 * How many of its former ids an instance remembers. A Redis that returns with old data may know it
 * by any of them.
 */
const MAX_FORMER_IDS = 100;

/** Makes a random id for an instance. */
export function makeInstanceId(): string {
  return crypto.randomUUID().slice(-12);
}

/**
 * The instances that share a Redis, and this one's place among them.
 *
 * A lease in Redis says that an instance is alive. One lease covers all names that the instance
 * holds, so an idle user costs Redis nothing.
 *
 * An instance that lost its lease, or its connection to Redis, registers again under a new id. So
 * an instance that reaps the names of a dead id cannot take a name from an instance that is alive:
 * see `reclaim.lua`.
 */
export class Instances {
  readonly #connection: CommandConnection;
  readonly #baseId: string;
  #registrations = 0;
  #id = "";
  /** The ids that this instance had before, the latest last. */
  readonly #formerIds: string[] = [];
  /** The former ids under which Redis may still have names, the earliest first. */
  readonly #retiredIds = new Set<string>();

  /**
   * @param connection where to send commands
   * @param baseId what every id of this instance starts with
   */
  constructor(connection: CommandConnection, baseId: string) {
    this.#connection = connection;
    this.#baseId = baseId;
  }

  /** The current id of this instance. */
  get id(): string {
    return this.#id;
  }

  /** The ids that this instance had before, the latest last. */
  get formerIds(): readonly string[] {
    return this.#formerIds;
  }

  /** The former ids that are not deregistered yet, the earliest first. */
  get retiredIds(): ReadonlySet<string> {
    return this.#retiredIds;
  }

  /** Whether an id is or was this instance's own. */
  isOwn(id: string): boolean {
    return id === this.#id || this.#formerIds.includes(id);
  }

  /**
   * Counts the current id as a former one. It stays in use until {@linkcode register} has a new
   * one.
   */
  retireId(): void {
    this.#retiredIds.add(this.#id);
    if (this.#formerIds.at(-1) !== this.#id) this.#formerIds.push(this.#id);
    this.#formerIds.splice(0, this.#formerIds.length - MAX_FORMER_IDS);
  }

  /**
   * Registers this instance under a new id. The instance uses the id only after it
   * has the lease: others would reap a name whose holder has none.
   *
   * @param rooms the rooms in which the instance may hold names
   */
  async register(rooms: Iterable<string>): Promise<void> {
    const id = `${this.#baseId}-${++this.#registrations}`;
    const keys = this.#connection.keys.instance(id);
    const names = [...rooms];
    await Promise.all([
      this.#connection.run("SET", keys.lease, 1, "PX", LEASE_TTL_MS),
      this.#connection.run("SADD", this.#connection.keys.instances, id),
      names.length > 0 && this.#connection.run("SADD", keys.rooms, ...names),
    ]);
    this.#id = id;
  }

  /** Renews the lease. Returns whether there still was one. */
  async renewLease(): Promise<boolean> {
    const { lease } = this.#connection.keys.instance(this.#id);
    return await this.#connection.run("SET", lease, 1, "PX", LEASE_TTL_MS, "XX") === "OK";
  }

  /**
   * Records in Redis that the instance may hold names in a room. This comes before its first claim
   * there.
   */
  async enterRoom(room: string): Promise<void> {
    await this.#connection.run("SADD", this.#connection.keys.instance(this.#id).rooms, room);
  }

  /** Records in Redis that the instance holds no name in a room any more. */
  async leaveRoom(room: string): Promise<void> {
    await this.#connection.run("SREM", this.#connection.keys.instance(this.#id).rooms, room);
  }

  /** Whether an instance has a lease. */
  async hasLease(id: string): Promise<boolean> {
    return await this.#connection.run("EXISTS", this.#connection.keys.instance(id).lease) !== 0;
  }

  /**
   * How long an instance's lease lives unless it is renewed, in milliseconds; not positive if it
   * has none.
   */
  async leaseRemainingMs(id: string): Promise<number> {
    return await this.#connection.run<number>("PTTL", this.#connection.keys.instance(id).lease);
  }

  /**
   * Finds the next instance in a ring of all ids. Each instance watches the next one, so however
   * many there are, each is watched by one.
   *
   * @returns its id; `undefined` if this instance is alone
   */
  async nextInRing(): Promise<string | undefined> {
    const ids = (await this.#connection.run<string[]>("SMEMBERS", this.#connection.keys.instances))
      .sort();
    const next = ids.find((id) => id > this.#id) ?? ids[0] ?? this.#id;
    return next === this.#id ? undefined : next;
  }

  /**
   * Marks an instance as reaped. If it is alive after all, it learns from this that its names were
   * freed.
   */
  async markReaped(id: string): Promise<void> {
    await this.#connection.run(
      "SET",
      this.#connection.keys.instance(id).reaped,
      1,
      "EX",
      REAPED_TTL_SECONDS,
    );
  }

  /** Whether others have reaped one of the retired ids. */
  async wasReaped(): Promise<boolean> {
    const keys = [...this.#retiredIds].map((id) => this.#connection.keys.instance(id).reaped);
    return await this.#connection.run<number>("EXISTS", ...keys) > 0;
  }

  /** Whether Redis knows an instance, dead or alive. */
  async isKnown(id: string): Promise<boolean> {
    return await this.#connection.run("SISMEMBER", this.#connection.keys.instances, id) === 1;
  }

  /**
   * Removes an instance that is dead, or a retired id of this one, after its names are freed.
   *
   * @param id the instance
   * @param free frees its names in one room
   */
  async deregister(id: string, free: (room: string) => Promise<void>): Promise<void> {
    const keys = this.#connection.keys.instance(id);
    const rooms = await this.#connection.run<string[]>("SMEMBERS", keys.rooms);
    await Promise.all(rooms.map(free));
    // The id goes last. If this instance dies before that, another one continues.
    await this.#connection.run("DEL", keys.lease, keys.rooms);
    await this.#connection.run("SREM", this.#connection.keys.instances, id);
    this.#retiredIds.delete(id);
  }

  /**
   * Gives up the lease.
   *
   * @param holdsNames whether names are left: then the instance stays registered, so that others
   * reap them
   */
  async close(holdsNames: boolean): Promise<void> {
    const { lease, rooms } = this.#connection.keys.instance(this.#id);
    await this.#connection.run("DEL", lease);
    if (holdsNames) return;
    await Promise.all([
      this.#connection.run("SREM", this.#connection.keys.instances, this.#id),
      this.#connection.run("DEL", rooms),
    ]);
  }
}
