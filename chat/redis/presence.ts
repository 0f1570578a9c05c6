import type { Event } from "../events.ts";
import { StoreAnswerLost } from "../store.ts";
import type { Connection } from "./connection.ts";
import { type RoomKeys, roomKeys } from "./keys.ts";
import type { Lease } from "./lease.ts";
import { defineRoomScripts, type RoomScripts } from "./scripts.ts";

/** Told of a user of this instance whose name someone else has got meanwhile. */
export type OnLost = (room: string, user: string, session: string) => void;

/** More names than this in one run of a script would keep Redis from its other clients for too long. */
const RECLAIMED_AT_ONCE = 500;

/** How long after an outage others may take to come back before they count as dead, in milliseconds. */
const OTHERS_RETURN_WITHIN = 6_000;

/** Who is in which room, in Redis, and what becomes of it when Redis or an instance goes down. */
export class Presence {
  readonly #connection: Connection;
  readonly #lease: Lease;
  readonly #scripts: RoomScripts;
  readonly #onLost: OnLost;
  /** For each room that this instance is in, the names that it holds, each with its session. */
  readonly #rooms = new Map<string, Map<string, string>>();
  /** What this instance was before, and may still hold names as. */
  readonly #before = new Set<string>();
  #recovery: Promise<void> | undefined;
  #isRecovered = false;
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

  /** Whether Redis has this instance and all its names. */
  get isRecovered(): boolean {
    return this.#isRecovered;
  }

  /** Makes ready to hold names in a room, and frees what dead instances left there. */
  async enter(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? new Map());
    await this.#lease.enter(room);
    await this.sweep(room);
  }

  /** Holds no name in a room any more. */
  async exit(room: string): Promise<void> {
    this.#rooms.delete(room);
    // What could not be released is freed through this note when it is clear that it can.
    if (this.#isRecovered) await this.#lease.exit(room);
  }

  /** Claims a name; says whether it is this instance's now. */
  async claim(room: string, user: string, session: string): Promise<boolean> {
    const keys = roomKeys(room);
    const joined = JSON.stringify({ type: "joined", user, session } satisfies Event);
    try {
      for (;;) {
        const owner = await this.#scripts.claim(keys, user, this.#lease.id, joined);
        if (owner === null) break;
        if (!await this.#takeFrom(room, user, owner)) return false;
      }
    } catch (error) {
      // It may be this instance's, and counts as that until the caller releases it.
      if (error instanceof StoreAnswerLost) this.#rooms.get(room)?.set(user, session);
      throw error;
    }
    this.#rooms.get(room)?.set(user, session);
    return true;
  }

  /** Frees a name from a holder who has no right to it any more; says whether it may be claimed again. */
  async #takeFrom(room: string, user: string, owner: string): Promise<boolean> {
    if (owner === "") return false;
    if (owner === this.#lease.id || this.#before.has(owner)) {
      // A release that was lost, or a claim whose answer was.
      if (this.#rooms.get(room)?.has(user)) return false;
      await this.#scripts.release(roomKeys(room), user, owner, leftEvent(user));
      return true;
    }
    if (!await this.#isDead(owner)) return false;
    await this.#reap(room, owner);
    return true;
  }

  /** Frees a name; where Redis is away that comes to pass when it is back. */
  async release(room: string, user: string): Promise<void> {
    this.#rooms.get(room)?.delete(user);
    try {
      await this.#scripts.release(roomKeys(room), user, this.#lease.id, leftEvent(user));
    } catch {
      this.#isRecovered = false;
    }
  }

  /** Renews the lease; where it is lost, or something else has to be put right in Redis, does that. */
  async renew(): Promise<void> {
    // While Redis is away there is nothing to do: its return is the next call for a recovery.
    if (!this.#connection.isReady) return;
    if (!this.#isRecovered || !await this.#lease.renew()) await this.recover();
  }

  /**
   * Becomes a new instance: takes a lease, hands over every name from what it was before, takes those that are gone
   * from Redis, gives up those that others took, and frees what else it still held.
   */
  recover(): Promise<void> {
    return this.#recovery ??= this.#recover().finally(() => this.#recovery = undefined);
  }

  async #recover(): Promise<void> {
    this.#isRecovered = false;
    this.#nobodyIsDeadUntil = performance.now() + OTHERS_RETURN_WITHIN;
    this.#before.add(this.#lease.id);
    this.#lease.id = crypto.randomUUID();
    await this.#lease.take(this.#rooms.keys());
    // A second answer, after which every claim that was sent under an id of before is answered and noted.
    await this.#connection.ask((redis) => redis.ping());
    for (const room of this.#rooms.keys()) await this.#reclaim(room);
    for (const id of this.#before) {
      await this.#lease.bury(id, (room) => this.#reap(room, id));
      this.#before.delete(id);
    }
    this.#isRecovered = true;
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
      const answers = await this.#scripts.reclaim(keys, part, this.#lease.id, [...this.#before]);
      for (const [j, answer] of answers.entries()) {
        if (answer === "free") wereFree.push(part[j]);
        else if (answer !== "kept") this.#lose(room, part[j]);
      }
    }
    if (wereFree.length > 0 && await this.#lease.wasReaped(this.#before)) {
      await this.#announce(keys, room, wereFree);
    }
  }

  /** The others saw these users leave, and have to see them come back. */
  async #announce(keys: RoomKeys, room: string, users: string[]): Promise<void> {
    const sessions = this.#rooms.get(room);
    await this.#connection.ask((redis) =>
      Promise.all(users.map((user) => {
        const session = sessions?.get(user);
        if (session === undefined) return;
        return redis.publish(
          keys.channel,
          JSON.stringify({ type: "joined", user, session } satisfies Event),
        );
      }))
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
      await this.#lease.bury(next, (room) => this.#reap(room, next));
    }
  }

  /** Frees the names in a room of instances that nobody knows any more: what no watch has found. */
  async sweep(room: string): Promise<void> {
    for (const owner of await this.#scripts.owners(roomKeys(room))) {
      if (await this.#isDead(owner)) await this.#reap(room, owner);
    }
  }

  /** Sweeps every room that this instance is in. */
  async sweepAll(): Promise<void> {
    for (const room of this.#rooms.keys()) await this.sweep(room);
  }

  /** Gives up the lease, at the end. */
  async end(): Promise<void> {
    const holdsNothing = this.#isRecovered &&
      this.#rooms.values().every((users) => users.size === 0);
    await this.#lease.end(holdsNothing);
  }

  async #reap(room: string, instance: string): Promise<void> {
    await this.#scripts.reap(roomKeys(room), instance);
  }

  /** After an outage every lease has ended, and who is really dead is known only when the living are back. */
  async #isDead(instance: string): Promise<boolean> {
    if (instance === this.#lease.id || this.#before.has(instance)) return false;
    return performance.now() >= this.#nobodyIsDeadUntil && await this.#lease.isDead(instance);
  }

  /** Begins: takes the first lease. */
  async start(): Promise<void> {
    await this.#lease.take([]);
    this.#isRecovered = true;
  }
}

function leftEvent(user: string): string {
  return JSON.stringify({ type: "left", user } satisfies Event);
}
