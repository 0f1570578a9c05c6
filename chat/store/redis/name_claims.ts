import { StoreOutcomeUnknown, StoreUnavailable, type UsersPage } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { Reaper } from "./reaper.ts";
import { type ClaimScripts, defineClaimScripts } from "./scripts.ts";

/** A name that this instance holds or is claiming. */
interface Claim {
  /** The session that has claimed it. */
  readonly session: string;
  /** When, by the clock of Redis; `undefined` until Redis has replied. */
  claimedAtMs: number | undefined;
}

/** Claims and releases names in rooms, and knows the names that this instance holds. */
export class NameClaims {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #reaper: Reaper;
  readonly #scripts: ClaimScripts;
  /** The names that this instance holds, by room. */
  readonly #rooms = new Map<string, Map<string, Claim>>();
  /** The claims that have no reply yet. */
  readonly #pending = new Set<Promise<unknown>>();
  /** By room, the names that were released here while Redis could not free them. */
  readonly #unreleased = new Map<string, Set<string>>();

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param reaper frees names of dead instances that stand in the way of a claim
   */
  constructor(connection: CommandConnection, instances: Instances, reaper: Reaper) {
    this.#connection = connection;
    this.#instances = instances;
    this.#reaper = reaper;
    this.#scripts = defineClaimScripts(connection);
  }

  /** The rooms of this instance. */
  get rooms(): Iterable<string> {
    return this.#rooms.keys();
  }

  /** Whether this instance holds any name. */
  get holdsNames(): boolean {
    return this.#rooms.values().some((held) => held.size > 0);
  }

  /** Whether Redis may still have a name that was released. */
  get hasUnreleased(): boolean {
    return this.#unreleased.size > 0;
  }

  /** The names that this instance holds in a room. */
  heldIn(room: string): ReadonlyMap<string, Claim> {
    return this.#rooms.get(room) ?? new Map();
  }

  /** How many names in a room this instance has, and how many it is claiming. */
  count(room: string): { confirmed: number; pending: number } {
    const held = this.heldIn(room);
    let confirmed = 0;
    for (const { claimedAtMs } of held.values()) if (claimedAtMs !== undefined) confirmed++;
    return { confirmed, pending: held.size - confirmed };
  }

  /** Holds a name no longer, and leaves Redis as it is. */
  forget(room: string, user: string): void {
    this.#rooms.get(room)?.delete(user);
  }

  /** Prepares for names in a room. */
  async enterRoom(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? new Map());
    await this.#instances.enterRoom(room);
  }

  /** Holds no names in a room any more. */
  leaveRoom(room: string): void {
    this.#rooms.delete(room);
  }

  /** Claims a name for a session. Returns whether this instance holds it for that session now. */
  async claim(room: string, user: string, session: string): Promise<boolean> {
    const claim = this.#claim(room, user, session);
    this.#pending.add(claim);
    try {
      return await claim;
    } finally {
      this.#pending.delete(claim);
    }
  }

  async #claim(room: string, user: string, session: string): Promise<boolean> {
    const keys = this.#connection.keys.room(room);
    const held = this.#rooms.get(room);
    if (!held) throw new StoreUnavailable(`room ${room} is not subscribed to`);
    if (held.has(user)) return false;
    // Recorded before the claim is sent: a release that comes before the reply must find the name.
    const claim: Claim = { session, claimedAtMs: undefined };
    held.set(user, claim);
    try {
      for (;;) {
        const reply = await this.#scripts.claim(keys, user, this.#instances.id, session);
        if (typeof reply === "number") {
          claim.claimedAtMs = reply;
          break;
        }
        if (held.get(user) !== claim || !await this.#freeFrom(reply, room, user)) {
          if (held.get(user) === claim) held.delete(user);
          return false;
        }
      }
    } catch (error) {
      // If the outcome is unknown, the name counts as held until the caller releases it.
      if (!(error instanceof StoreOutcomeUnknown) && held.get(user) === claim) held.delete(user);
      throw error;
    }
    // While the claim was pending, the caller released the name, or a recovery gave it up.
    if (!held.has(user)) await this.#scripts.release(keys, user, this.#instances.ownPrefix, false);
    return held.get(user) === claim;
  }

  /** Frees a name from an owner that is gone. Returns whether to claim it again. */
  async #freeFrom(owner: string, room: string, user: string): Promise<boolean> {
    if (owner === "") return false;
    const [id] = owner.split(" ", 1);
    if (!this.#instances.isOwn(id)) return await this.#reaper.reapIfDead(id, room);
    // An earlier release never reached Redis, or an earlier claim took effect without a reply.
    const keys = this.#connection.keys.room(room);
    await this.#scripts.release(keys, user, this.#instances.ownPrefix, false);
    return true;
  }

  /** Releases a name. If Redis cannot free it now, a recovery does. */
  async release(room: string, user: string): Promise<void> {
    const claim = this.heldIn(room).get(user);
    // A name that was lost in an outage needs no release.
    if (claim === undefined) return;
    this.forget(room, user);
    const keys = this.#connection.keys.room(room);
    const isCertain = claim.claimedAtMs !== undefined;
    try {
      const freed = await this.#scripts.release(keys, user, this.#instances.ownPrefix, isCertain);
      if (freed >= 0 || !isCertain || await this.#instances.wasReaped()) return;
      // Redis had lost the name, so nobody has seen the user leave.
      await this.announceLeft(room, user);
    } catch {
      const users = this.#unreleased.get(room) ?? new Set();
      this.#unreleased.set(room, users.add(user));
    }
  }

  /** Resolves once every claim that is pending now has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  /** Publishes that a user left, whose name Redis had lost, unless someone has it now. */
  async announceLeft(room: string, user: string): Promise<void> {
    await this.#scripts.announceLeft(this.#connection.keys.room(room), user);
  }

  /** Removes and returns the names that could not be released, by room. */
  takeUnreleased(): [room: string, users: Set<string>][] {
    const unreleased = [...this.#unreleased];
    this.#unreleased.clear();
    return unreleased;
  }

  /** Lists the users in a room: see {@linkcode Store.listUsers}. */
  async listUsers(room: string, cursor: string | undefined, count: number): Promise<UsersPage> {
    const { users } = this.#connection.keys.room(room);
    const [[next, names], total] = await Promise.all([
      this.#connection.run<[string, string[]]>("SSCAN", users, cursor ?? "0", "COUNT", count),
      this.#connection.run<number>("SCARD", users),
    ]);
    return { users: names, total, next: next === "0" ? undefined : next };
  }
}
