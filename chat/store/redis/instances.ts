import { StoreUnavailable } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import { DATA_FORMAT, FORMAT_MEMBER } from "./data_format.ts";

/** How long a lease lives after its last renewal, in milliseconds. */
export const LEASE_TTL_MS = 10_000;

/** The time between two renewals of the lease, in milliseconds. */
export const RENEWAL_INTERVAL_MS = 4_000;

/** How long Redis remembers that an instance was reaped, in milliseconds. */
const REAPED_TTL_MS = 3_600_000;

/** A difference that is no drift: the clock of Redis was set, or this process was suspended. */
const CLOCK_JUMP_MS = 1_000;

/**
 * No lease has more left, in milliseconds, unless the clock of Redis was set back: then its
 * instance died before it noticed that.
 */
const MAX_REMAINING_MS = LEASE_TTL_MS + 2 * CLOCK_JUMP_MS;

/** A reply that took longer tells too little about the drift, in milliseconds. */
const MAX_CLOCK_LAG_MS = 500;

/**
 * A member of every SET of an instance's rooms. It is written together with all of them, so a SET
 * without it has lost some.
 */
const ALL_ROOMS = "";

/** Members of a ZSET with their scores: pairs in RESP3, one after the other in RESP2. */
type Scores = readonly (string | readonly [member: string, score: string])[];

/** Tells whether an instance is alive whose lease has so many milliseconds left. */
export function isAlive(remainingMs: number): boolean {
  return remainingMs > 0 && remainingMs <= MAX_REMAINING_MS;
}

/** Makes a random id for an instance. */
export function makeInstanceId(): string {
  return crypto.randomUUID().slice(-12);
}

/**
 * The instances that share a Redis, and this one's place among them.
 *
 * A lease in Redis says that an instance is alive. One lease covers all names that the instance
 * holds, so an idle user costs Redis nothing. Only the clock of Redis counts. Each instance knows
 * how far its own clock is from it, and checks that now and then: a script that renews a lease by
 * the clock of Redis would need four commands each time.
 *
 * An instance that lost its lease, or its connection to Redis, registers again under a new id. So
 * an instance that reaps the names of a dead id cannot take a name from an instance that is alive:
 * see `reclaim.lua`.
 */
export class Instances {
  /** What every id of this instance, and no other, starts with. */
  readonly ownPrefix: string;
  readonly #connection: CommandConnection;
  #registrations = 0;
  #id = "";
  /** The former ids under which Redis may still have names, the earliest first. */
  readonly #retiredIds = new Set<string>();
  /** The ids that were registered when this instance last looked. */
  #registeredIds = new Set<string>();
  /** When the lease of this instance ends, by the clock of Redis. */
  #leaseEndsAtMs = 0;
  /** The clock of Redis less the clock of this process. */
  #clockOffsetMs = 0;

  constructor(connection: CommandConnection, baseId: string) {
    this.#connection = connection;
    this.ownPrefix = `${baseId}-`;
  }

  /** The current id of this instance. */
  get id(): string {
    return this.#id;
  }

  /** The former ids that are not deregistered yet, the earliest first. */
  get retiredIds(): ReadonlySet<string> {
    return this.#retiredIds;
  }

  /** Whether the lease has not ended, as far as this instance knows. */
  get hasOwnLease(): boolean {
    return this.nowMs < this.#leaseEndsAtMs;
  }

  /** Whether an id is or was this instance's own. */
  isOwn(id: string): boolean {
    return id.startsWith(this.ownPrefix);
  }

  /**
   * Whether an id is this instance's own, and may have names of its sessions. A former id that is
   * deregistered can come back with old data, and has none once the names are handed over.
   */
  isInUse(id: string): boolean {
    return this.isOwn(id) && (id === this.#id || this.#retiredIds.size > 0);
  }

  /**
   * Counts the current id as a former one. It stays in use until {@linkcode register} has a new
   * one.
   */
  retireId(): void {
    this.#retiredIds.add(this.#id);
  }

  /**
   * Registers this instance under a new id. The instance uses the id only after it
   * has the lease: others would reap a name whose holder has none.
   *
   * @param rooms the rooms in which the instance may hold names
   */
  async register(rooms: Iterable<string>): Promise<void> {
    const id = `${this.ownPrefix}${++this.#registrations}`;
    const { keys } = this.#connection;
    const names = [...rooms];
    const { nowMs } = await this.#readClock();
    this.#clockOffsetMs = nowMs - performance.now();
    const endsAtMs = nowMs + LEASE_TTL_MS;
    // If only a part takes effect, this id too has to be deregistered.
    this.#retiredIds.add(id);
    const failures = (await Promise.allSettled([
      this.#connection.run("ZADD", keys.leases, endsAtMs, id, DATA_FORMAT, FORMAT_MEMBER),
      this.#connection.run("SADD", keys.instanceRooms(id), ALL_ROOMS, ...names),
    ])).flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    if (failures.length === 2 && failures.every((error) => error instanceof StoreUnavailable)) {
      this.#retiredIds.delete(id);
    }
    if (failures.length > 0) throw failures[0];
    this.#leaseEndsAtMs = endsAtMs;
    this.#retiredIds.delete(id);
    this.#id = id;
  }

  /**
   * Renews the lease. Returns whether there still was one. If the clock of Redis has jumped, nobody
   * knows: then the lease counts as lost, on all instances alike.
   *
   * @param checksClock whether to find out
   */
  async renewLease(checksClock: boolean): Promise<boolean> {
    const { leases } = this.#connection.keys;
    const id = this.#id;
    if (!this.hasOwnLease) return false;
    const endsAtMs = this.nowMs + LEASE_TTL_MS;
    const [clock, changed] = await Promise.all([
      checksClock && this.#readClock(),
      this.#connection.run<number>("ZADD", leases, "XX", "CH", endsAtMs, id),
    ]);
    // Nothing changes also if this is the second renewal within a millisecond.
    const isHeld = !(clock && clock.hasJumped) &&
      (changed === 1 || await this.#connection.run("ZSCORE", leases, id) !== null);
    if (isHeld && id === this.#id) this.#leaseEndsAtMs = endsAtMs;
    return isHeld;
  }

  /**
   * Writes down again the rooms in which the instance may hold names, and the format, in case Redis
   * has lost them.
   */
  async rewriteRooms(rooms: Iterable<string>): Promise<void> {
    const key = this.#connection.keys.instanceRooms(this.#id);
    await this.#rewriteFormat();
    await this.#connection.run("SADD", key, ALL_ROOMS, ...rooms);
  }

  async #rewriteFormat(): Promise<void> {
    const { leases } = this.#connection.keys;
    await this.#connection.run("ZADD", leases, "NX", DATA_FORMAT, FORMAT_MEMBER);
  }

  /** The time by the clock of Redis, in milliseconds. */
  get nowMs(): number {
    return Math.round(performance.now() + this.#clockOffsetMs);
  }

  /** Reads the clock of Redis, and follows its drift. */
  async #readClock(): Promise<{ nowMs: number; hasJumped: boolean }> {
    const earliestMs = this.nowMs;
    const [seconds, microseconds] = await this.#connection.run<string[]>("TIME");
    const nowMs = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
    const latestMs = this.nowMs;
    const hasJumped = nowMs < earliestMs - CLOCK_JUMP_MS || nowMs > latestMs + CLOCK_JUMP_MS;
    if (!hasJumped && latestMs - earliestMs < MAX_CLOCK_LAG_MS) {
      this.#clockOffsetMs = nowMs - performance.now();
    }
    return { nowMs, hasJumped };
  }

  /**
   * Records in Redis that the instance may hold names in a room. This comes before its first claim
   * there.
   */
  async enterRoom(room: string): Promise<void> {
    await this.#connection.run("SADD", this.#connection.keys.instanceRooms(this.#id), room);
  }

  /** Records in Redis that the instance holds no name in a room any more. */
  async leaveRoom(room: string): Promise<void> {
    await this.#connection.run("SREM", this.#connection.keys.instanceRooms(this.#id), room);
  }

  /** Whether an instance has a lease. */
  async hasLease(id: string): Promise<boolean> {
    const [{ nowMs }, endsAtMs] = await Promise.all([
      this.#readClock(),
      this.#connection.run<string | null>("ZSCORE", this.#connection.keys.leases, id),
    ]);
    if (endsAtMs !== null) this.#registeredIds.add(id);
    return isAlive(Number(endsAtMs) - nowMs);
  }

  /**
   * Whether an instance was registered, under this id or another one, when this one last looked,
   * some seconds ago at most.
   */
  isRegistered(id: string): boolean {
    const prefix = id.replace(/\d+$/, "");
    return this.#registeredIds.has(id) ||
      this.#registeredIds.values().some((other) => other.startsWith(prefix));
  }

  /**
   * Reads in which rooms the other instances may hold names.
   *
   * @returns the rooms of each by its id; `undefined` if that cannot be told now
   */
  async readOthers(): Promise<ReadonlyMap<string, ReadonlySet<string>> | undefined> {
    const leases = await this.#readLeases();
    leases.delete(this.#id);
    const others = await Promise.all([...leases].map(async ([id, endsAtMs]) => {
      const key = this.#connection.keys.instanceRooms(id);
      const rooms = new Set(await this.#connection.run<string[]>("SMEMBERS", key));
      return { id, rooms, isKnown: endsAtMs > this.nowMs && rooms.has(ALL_ROOMS) };
    }));
    if (!others.every(({ isKnown }) => isKnown)) return undefined;
    return new Map(others.map(({ id, rooms }) => [id, rooms]));
  }

  /**
   * Finds the next instance in a ring of all ids. Each instance watches the next one, so however
   * many there are, each is watched by one.
   *
   * @returns its id, and how long its lease lives unless it is renewed, in milliseconds; or
   * `undefined` if this instance is alone
   */
  async nextInRing(): Promise<{ id: string; remainingMs: number } | undefined> {
    const leases = await this.#readLeases();
    const ids = [...leases.keys()].sort();
    const id = ids.find((id) => id > this.#id) ?? ids[0] ?? this.#id;
    return id === this.#id ? undefined : { id, remainingMs: leases.get(id)! - this.nowMs };
  }

  /** Reads when each lease ends, by id. */
  async #readLeases(): Promise<Map<string, number>> {
    const { leases } = this.#connection.keys;
    const entries = (await this.#connection.run<Scores>("ZRANGE", leases, 0, -1, "WITHSCORES"))
      .flat();
    const endsAtMs = new Map<string, number>();
    for (let i = 0; i < entries.length; i += 2) endsAtMs.set(entries[i], Number(entries[i + 1]));
    endsAtMs.delete(FORMAT_MEMBER);
    this.#registeredIds = new Set(endsAtMs.keys());
    return endsAtMs;
  }

  /**
   * Marks an instance as reaped. If it is alive after all, it learns from this that its names were
   * freed.
   */
  async markReaped(id: string): Promise<void> {
    const { reaped } = this.#connection.keys;
    await Promise.all([
      this.#connection.run("ZADD", reaped, this.nowMs, id),
      this.#connection.run("ZREMRANGEBYSCORE", reaped, "-inf", this.nowMs - REAPED_TTL_MS),
    ]);
  }

  /** Whether others have reaped the current id, or one of the retired ones. */
  async wasReaped(): Promise<boolean> {
    const { reaped } = this.#connection.keys;
    const scores = await Promise.all(
      [this.#id, ...this.#retiredIds].map((id) => this.#connection.run("ZSCORE", reaped, id)),
    );
    return scores.some((score) => score !== null);
  }

  /** Whether Redis knows an instance, dead or alive. */
  async isKnown(id: string): Promise<boolean> {
    return await this.#connection.run("ZSCORE", this.#connection.keys.leases, id) !== null;
  }

  /**
   * Removes an instance that is dead, or a retired id of this one, after its names are freed.
   *
   * @param id the instance
   * @param free frees its names in one room
   */
  async deregister(id: string, free: (room: string) => Promise<void>): Promise<void> {
    const key = this.#connection.keys.instanceRooms(id);
    const rooms = await this.#connection.run<string[]>("SMEMBERS", key);
    await Promise.all(rooms.filter((room) => room !== ALL_ROOMS).map(free));
    // The id goes last. If this instance dies before that, another one continues.
    await this.#connection.run("DEL", key);
    await this.#connection.run("ZREM", this.#connection.keys.leases, id);
    this.#retiredIds.delete(id);
  }

  /**
   * Gives up the lease.
   *
   * @param holdsNames whether names are left: then the instance stays registered, so that others
   * reap them
   */
  async close(holdsNames: boolean): Promise<void> {
    const { leases } = this.#connection.keys;
    if (holdsNames) return await this.#connection.run("ZADD", leases, "XX", 0, this.#id);
    const [, , registeredIds] = await Promise.all([
      this.#connection.run("DEL", this.#connection.keys.instanceRooms(this.#id)),
      this.#connection.run("ZREM", leases, this.#id),
      this.#readLeases(),
    ]);
    if (registeredIds.size > 0) return;
    await this.#connection.run("ZREM", leases, FORMAT_MEMBER);
    // Another instance may have registered since.
    if ((await this.#readLeases()).size > 0) await this.#rewriteFormat();
  }
}
