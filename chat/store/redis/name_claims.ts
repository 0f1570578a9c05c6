import { StoreOutcomeUnknown, StoreUnavailable, type UsersPage } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { RoomKeys } from "./keys.ts";
import type { Reaper } from "./reaper.ts";
import { type ClaimScripts, defineClaimScripts } from "./scripts.ts";

/** Claims and releases names in rooms, and knows the names that this instance holds. */
export class NameClaims {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #reaper: Reaper;
  readonly #scripts: ClaimScripts;
  /** For each room, the names that this instance holds, each with the session that claimed it. */
  readonly #rooms = new Map<string, Map<string, string>>();
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
  heldIn(room: string): string[] {
    return [...this.#rooms.get(room)?.keys() ?? []];
  }

  /** The session that claimed a name; `undefined` if this instance does not hold it. */
  sessionOf(room: string, user: string): string | undefined {
    return this.#rooms.get(room)?.get(user);
  }

  /** Holds a name no longer, and leaves Redis as it is. */
  forget(room: string, user: string): void {
    this.#rooms.get(room)?.delete(user);
  }

  /** Prepares for names in a room, and frees what dead instances left there. */
  async enterRoom(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? new Map());
    this.#reaper.addRoom(room);
    await this.#instances.enterRoom(room);
    await this.#reaper.sweep(room);
  }

  /** Holds no names in a room any more. */
  leaveRoom(room: string): void {
    this.#rooms.delete(room);
    this.#reaper.removeRoom(room);
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
    held.set(user, session);
    try {
      for (;;) {
        const owner = await this.#scripts.claim(keys, user, this.#instances.id, session);
        if (owner === null) break;
        if (held.get(user) !== session || !await this.#freeFrom(owner, keys, room, user)) {
          if (held.get(user) === session) held.delete(user);
          return false;
        }
      }
    } catch (error) {
      // If the outcome is unknown, the name counts as held until the caller releases it.
      if (!(error instanceof StoreOutcomeUnknown) && held.get(user) === session) held.delete(user);
      throw error;
    }
    // While the claim was pending, the caller released the name, or a recovery gave it up.
    if (!held.has(user)) await this.#scripts.release(keys, user, this.#instances.id);
    return held.get(user) === session;
  }

  /** Frees a name from an owner that is gone. Returns whether to claim it again. */
  async #freeFrom(owner: string, keys: RoomKeys, room: string, user: string): Promise<boolean> {
    if (owner === "") return false;
    if (!this.#instances.isOwn(owner)) return await this.#reaper.reapIfDead(room, owner);
    // An earlier release never reached Redis, or an earlier claim took effect without a reply.
    await this.#scripts.release(keys, user, owner);
    return true;
  }

  /** Releases a name. If Redis cannot free it now, a recovery does. */
  async release(room: string, user: string): Promise<void> {
    // A name that was lost in an outage needs no release.
    if (!this.#rooms.get(room)?.delete(user)) return;
    const freed = await this.#scripts.release(
      this.#connection.keys.room(room),
      user,
      this.#instances.id,
    )
      .catch(() => 0);
    if (freed === 1) return;
    const users = this.#unreleased.get(room) ?? new Set();
    this.#unreleased.set(room, users.add(user));
  }

  /** Resolves once every claim that is pending now has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending);
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
