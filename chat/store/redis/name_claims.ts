import type { RoomEvent } from "../../protocol/events.ts";
import { StoreOutcomeUnknown, StoreUnavailable, type UsersPage } from "../store.ts";
import type { Connection } from "./connections.ts";
import { type RoomKeys, roomKeys } from "./keys.ts";
import type { Lease } from "./instances.ts";
import { defineRoomScripts, type RoomScripts } from "./scripts.ts";

/** Told of a user of this instance whose name someone else has got meanwhile. */
export type OnLost = (room: string, user: string, session: string) => void;

/** More names than this in one run of a script would keep Redis from its other clients for too long. */
const RECLAIMED_AT_ONCE = 500;

/** How long after an outage others may take to come back before they count as dead, in milliseconds. */
const OTHERS_RETURN_WITHIN = 6_000;

/** So many ids of its own an instance remembers: a Redis that comes back with old data may know it by any of them. */
const IDS_REMEMBERED = 100;

/** Who is in which room, in Redis, and what becomes of it when Redis or an instance goes down. */
export class NameClaims {
  readonly #connection: Connection;
  readonly #lease: Lease;
  readonly #scripts: RoomScripts;
  readonly #onLost: OnLost;
  /** For each room that this instance is in, the names that it holds, each with its session. */
  readonly #rooms = new Map<string, Map<string, string>>();
  /** The claims that are not answered yet. */
  readonly #claims = new Set<Promise<unknown>>();
  /** What this instance was before, the latest last. */
  readonly #before: string[] = [];
  /** Those of them that may still hold names. */
  readonly #unburied = new Set<string>();
  /** Who left while Redis could not free the name: by room, the users. */
  readonly #unreleased = new Map<string, Set<string>>();
  #recovery: Promise<void> | undefined;
  #isRecovered = false;
  #isEnding = false;
  #nobodyIsDeadUntil = 0;

  /**
   * @param connection where to send commands
   * @param lease what says that this instance is alive
   * @param onLost told of each name that was lost in an outage
   */
  constructor(connection: Connection, lease: Lease, onLost: OnLost) {
    this.#connection = connection;
    this.#lease = lease;
    this.#scripts = defineRoomScripts(connection);
    this.#onLost = onLost;
  }

  /** Begins: takes the first lease. */
  async start(): Promise<void> {
    await this.#lease.take([]);
    this.#isRecovered = true;
  }

  /** Whether Redis has this instance and all its names. */
  get isRecovered(): boolean {
    return this.#isRecovered;
  }

  /** Makes ready to hold names in a room, and frees what dead instances left there. */
  async enter(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? new Map());
    await this.#lease.enter(room);
    await this.#sweep(room);
  }

  /** Holds no name in a room any more. */
  async exit(room: string): Promise<void> {
    this.#rooms.delete(room);
    // What could not be released is freed through this note when it is clear that it can.
    if (this.#isRecovered) await this.#lease.exit(room);
  }

  /** Claims a name; says whether it is this instance's now. */
  async claim(room: string, user: string, session: string): Promise<boolean> {
    const claim = this.#claim(room, user, session);
    this.#claims.add(claim);
    try {
      return await claim;
    } finally {
      this.#claims.delete(claim);
    }
  }

  async #claim(room: string, user: string, session: string): Promise<boolean> {
    const keys = roomKeys(room);
    // The script adds how many users there are.
    const joined = JSON.stringify({ type: "joined", user, session } satisfies Partial<RoomEvent>)
      .slice(0, -1);
    const held = this.#rooms.get(room);
    if (!held) throw new StoreUnavailable(`room ${room} is not subscribed to`);
    if (held.has(user)) return false;
    // Noted before it is sent: a release, which may come before the answer does, finds what it has to release.
    held.set(user, session);
    try {
      for (;;) {
        const owner = await this.#scripts.claim(keys, user, this.#lease.id, joined);
        if (owner === null) break;
        if (held.get(user) !== session || !await this.#takeFrom(keys, room, user, owner)) {
          if (held.get(user) === session) held.delete(user);
          return false;
        }
      }
    } catch (error) {
      // Where the answer was lost, it counts as this instance's until the caller releases it.
      if (!(error instanceof StoreOutcomeUnknown) && held.get(user) === session) held.delete(user);
      throw error;
    }
    // Given up meanwhile, either by a release that is on its way, or because someone else had it for a moment.
    if (!held.has(user)) {
      await this.#scripts.release(keys, user, this.#lease.id, leftEvent(user));
    }
    return held.get(user) === session;
  }

  /** Frees a name from a holder who has no right to it any more; says whether to claim it again. */
  async #takeFrom(keys: RoomKeys, room: string, user: string, owner: string): Promise<boolean> {
    if (owner === "") return false;
    if (!this.#isMine(owner)) return await this.#reapIfDead(room, owner);
    // A release that was lost, or a claim whose answer was.
    await this.#scripts.release(keys, user, owner, leftEvent(user));
    return true;
  }

  /** Frees a name; where Redis is away that comes to pass when it is back. */
  async release(room: string, user: string): Promise<void> {
    // Whoever lost the name in an outage has nothing to release.
    if (!this.#rooms.get(room)?.delete(user)) return;
    const { id } = this.#lease;
    const freed = await this.#scripts.release(roomKeys(room), user, id, leftEvent(user))
      .catch(() => 0);
    if (freed === 1) return;
    this.#isRecovered = false;
    const users = this.#unreleased.get(room) ?? new Set();
    this.#unreleased.set(room, users.add(user));
  }

  /** Lists who is in a room: see {@linkcode Store.listUsers}. */
  async users(room: string, from: string | undefined, count: number): Promise<UsersPage> {
    const { users } = roomKeys(room);
    const [[next, names], total] = await this.#connection.run((redis) =>
      Promise.all([redis.sscan(users, from ?? "0", "COUNT", count), redis.scard(users)])
    );
    return { users: names, total, next: next === "0" ? undefined : next };
  }

  /** Renews the lease; where it is lost, or something else has to be put right in Redis, does that. */
  async renew(): Promise<void> {
    // While Redis is away there is nothing to do: its return is the next call for a recovery.
    if (!this.#connection.isReady) return;
    let isHeld = false;
    try {
      isHeld = await this.#lease.renew();
    } catch (error) {
      this.#isRecovered = false;
      // A primary that was made a replica: whoever answers to its name now may be another one.
      if ((error as Error).message.startsWith("READONLY")) this.#connection.reset("read-only");
      throw error;
    }
    if (!isHeld || !this.#isRecovered) await this.recover();
  }

  /**
   * Becomes a new instance: takes a lease, hands over every name from what it was before, takes those that are gone
   * from Redis, gives up those that others took, and frees what else it still held.
   */
  async recover(): Promise<void> {
    if (this.#isEnding) return;
    await (this.#recovery ??= this.#recover().finally(() => this.#recovery = undefined));
  }

  async #recover(): Promise<void> {
    this.#isRecovered = false;
    this.#nobodyIsDeadUntil = performance.now() + OTHERS_RETURN_WITHIN;
    const former = this.#lease.id;
    this.#unburied.add(former);
    if (this.#before.at(-1) !== former) this.#before.push(former);
    this.#before.splice(0, this.#before.length - IDS_REMEMBERED);
    const [asOfLastRecovery] = this.#unburied;
    const hasForgotten = !await this.#lease.isKnown(asOfLastRecovery);
    const noted = new Set(this.#rooms.keys());
    await this.#lease.take(noted);
    // Those that were entered meanwhile were noted under the former id.
    for (const room of this.#rooms.keys()) if (!noted.has(room)) await this.#lease.enter(room);
    // Those that were sent under an id of before.
    await Promise.allSettled(this.#claims);

    const unreleased = [...this.#unreleased];
    this.#unreleased.clear();
    await Promise.all([...this.#rooms.keys()].map((room) => this.#reclaim(room)));
    if (hasForgotten && !await this.#lease.wasReaped(this.#unburied)) {
      await Promise.all(unreleased.map(([room, users]) => this.#bidFarewell(room, users)));
    }
    for (const id of this.#unburied) {
      await this.#lease.deregister(id, (room) => this.#reap(room, id));
      this.#unburied.delete(id);
    }
    // Somebody may have left meanwhile, and not been released.
    this.#isRecovered = this.#unreleased.size === 0;
  }

  async #reclaim(room: string): Promise<void> {
    const keys = roomKeys(room);
    const users = [...this.#rooms.get(room)?.keys() ?? []];
    const wereFree: string[] = [];
    for (let i = 0; i < users.length; i += RECLAIMED_AT_ONCE) {
      // Whoever left while the last part was under way is not claimed again.
      const part = users.slice(i, i + RECLAIMED_AT_ONCE)
        .filter((user) => this.#rooms.get(room)?.has(user));
      if (part.length === 0) continue;
      const answers = await this.#scripts.reclaim(keys, part, this.#lease.id, this.#before);
      for (const [j, answer] of answers.entries()) {
        if (answer === "free") wereFree.push(part[j]);
        else if (answer !== "kept") this.#lose(room, part[j]);
      }
    }
    if (wereFree.length > 0 && await this.#lease.wasReaped(this.#unburied)) {
      await this.#announce(keys, room, wereFree);
    }
  }

  /** The others saw these users leave, and have to see them come back. */
  async #announce(keys: RoomKeys, room: string, users: string[]): Promise<void> {
    const count = await this.#connection.run((redis) => redis.scard(keys.users));
    const sessions = this.#rooms.get(room);
    await this.#connection.run((redis) =>
      Promise.all(users.map((user) => {
        const session = sessions?.get(user);
        if (session === undefined) return;
        const joined: RoomEvent = { type: "joined", user, session, users: count };
        return redis.publish(keys.channel, JSON.stringify(joined));
      }))
    );
  }

  /** The others did not see these users leave, because Redis had forgotten them when they did. */
  async #bidFarewell(room: string, users: Set<string>): Promise<void> {
    await Promise.all(
      [...users].map((user) => this.#scripts.announceLeft(roomKeys(room), user, leftEvent(user))),
    );
  }

  #lose(room: string, user: string): void {
    const session = this.#rooms.get(room)?.get(user);
    if (session === undefined) return;
    this.#rooms.get(room)?.delete(user);
    this.#onLost(room, user, session);
  }

  /**
   * Looks whether the instance next to this one is alive, and frees its names if it is not.
   *
   * @returns after how many milliseconds to look again
   */
  async watch(): Promise<number> {
    for (;;) {
      const next = await this.#lease.lookAtNext();
      if (typeof next === "number") return next;
      if (!await this.#isDead(next)) return 1_000;
      await this.#lease.noteReaped(next);
      await this.#lease.deregister(next, (room) => this.#reap(room, next));
    }
  }

  /** Sweeps the room that was swept longest ago, for names of instances that nobody knows any more. */
  async sweepNext(): Promise<void> {
    const [room] = this.#rooms.keys();
    if (room === undefined) return;
    const users = this.#rooms.get(room)!;
    this.#rooms.delete(room);
    this.#rooms.set(room, users);
    await this.#sweep(room);
  }

  async #sweep(room: string): Promise<void> {
    for (const owner of await this.#scripts.owners(roomKeys(room))) {
      await this.#reapIfDead(room, owner);
    }
  }

  /** Gives up the lease, at the end. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#recovery?.catch(() => {});
    const holdsNothing = this.#isRecovered &&
      this.#rooms.values().every((users) => users.size === 0);
    await this.#lease.end(holdsNothing);
  }

  async #reapIfDead(room: string, instance: string): Promise<boolean> {
    if (!await this.#isDead(instance)) return false;
    await this.#lease.noteReaped(instance);
    await this.#reap(room, instance);
    return true;
  }

  async #reap(room: string, instance: string): Promise<void> {
    await this.#scripts.reap(roomKeys(room), instance);
  }

  async #isDead(instance: string): Promise<boolean> {
    if (this.#isMine(instance) || !await this.#lease.isDead(instance)) return false;
    // After an outage every lease has ended, and who is really dead is known only when the living are back. Whoever has
    // no lease itself was away too.
    if (performance.now() < this.#nobodyIsDeadUntil) return false;
    if (await this.#lease.renew()) return true;
    this.recover().catch(() => {});
    return false;
  }

  #isMine(instance: string): boolean {
    return instance === this.#lease.id || this.#before.includes(instance);
  }
}

function leftEvent(user: string): string {
  return JSON.stringify({ type: "left", user } satisfies RoomEvent);
}
