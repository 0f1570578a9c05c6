import type { Joined, Kicked, Left, RoomEvent } from "../../protocol/events.ts";
import {
  type NameLoss,
  type NameSecret,
  StoreOutcomeUnknown,
  StoreUnavailable,
  type UsersPage,
} from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { Reaper } from "./reaper.ts";
import { type Claimant, type ClaimScripts, defineClaimScripts } from "./scripts.ts";

/** A name that a session of this instance has. */
export interface Claim extends Claimant {
  /** When it was claimed, by the clock of Redis. */
  claimedAtMs: number;
}

/** A name in a room that Redis could not free. */
export interface Unreleased {
  readonly room: string;
  readonly user: string;
}

/** The names of this instance in one room. */
interface Names {
  /** The names that this instance holds, by user: each is confirmed by a reply or by its event. */
  readonly held: Map<string, Claim>;
  /** The claims that have no reply yet, and those whose reply was lost, by session. */
  readonly unconfirmed: Map<string, Claim>;
}

/** Called with each claim of this instance whose name another session has got. */
export type OnNameLost = (room: string, claim: Claim, loss: NameLoss) => void;

/** Claims and releases names in rooms, and knows the names that this instance holds. */
export class NameClaims {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #reaper: Reaper;
  readonly #scripts: ClaimScripts;
  readonly #onNameLost: OnNameLost;
  readonly #rooms = new Map<string, Names>();
  /** The claims that have no reply yet. */
  readonly #pending = new Set<Promise<unknown>>();
  /** The names that were released here while Redis could not free them. */
  readonly #unreleased: Unreleased[] = [];

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param reaper frees names of dead instances that stand in the way of a claim
   * @param historySeconds how long a log is kept
   * @param onNameLost called with each claim whose name was lost, unless an event tells it
   */
  constructor(
    connection: CommandConnection,
    instances: Instances,
    reaper: Reaper,
    historySeconds: number,
    onNameLost: OnNameLost,
  ) {
    this.#connection = connection;
    this.#instances = instances;
    this.#reaper = reaper;
    this.#scripts = defineClaimScripts(connection, historySeconds);
    this.#onNameLost = onNameLost;
  }

  /** The rooms of this instance. */
  get rooms(): Iterable<string> {
    return this.#rooms.keys();
  }

  /** Whether this instance holds any name. */
  get holdsNames(): boolean {
    return this.#rooms.values().some(({ held, unconfirmed }) => held.size + unconfirmed.size > 0);
  }

  /** Whether Redis may still have a name that was released. */
  get hasUnreleased(): boolean {
    return this.#unreleased.length > 0;
  }

  /** The names that this instance holds in a room. */
  heldIn(room: string): ReadonlyMap<string, Claim> {
    return this.#rooms.get(room)?.held ?? new Map();
  }

  /** How many names in a room this instance holds, and how many more it may have. */
  count(room: string): { confirmed: number; unconfirmed: number } {
    const names = this.#rooms.get(room);
    return { confirmed: names?.held.size ?? 0, unconfirmed: names?.unconfirmed.size ?? 0 };
  }

  /** Whether the session of a claim still has the name. */
  isHeld(room: string, claim: Claim): boolean {
    return this.heldIn(room).get(claim.user) === claim;
  }

  /** Holds the name of a claim no longer, because another session has it. */
  lose(room: string, claim: Claim, loss: NameLoss): void {
    if (!this.isHeld(room, claim)) return;
    this.#rooms.get(room)?.held.delete(claim.user);
    this.#onNameLost(room, claim, loss);
  }

  /** Prepares for names in a room. */
  async enterRoom(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? { held: new Map(), unconfirmed: new Map() });
    await this.#instances.enterRoom(room);
  }

  /** Holds no names in a room any more. */
  leaveRoom(room: string): void {
    this.#rooms.delete(room);
  }

  /** Claims a name for a session: see {@linkcode Store.claim}. */
  claim(
    room: string,
    user: string,
    session: string,
    secret?: NameSecret,
    keys?: readonly string[],
    address?: string,
  ): Promise<"claimed" | NameLoss> {
    const claim = this.#claim(room, { user, session, secret, keys, address, claimedAtMs: 0 });
    this.#pending.add(claim);
    return claim.finally(() => this.#pending.delete(claim));
  }

  async #claim(room: string, claim: Claim): Promise<"claimed" | NameLoss> {
    const { user, session, secret } = claim;
    const keys = this.#connection.keys.room(room);
    const names = this.#rooms.get(room);
    if (!names) throw new StoreUnavailable(`room ${room} is not subscribed to`);
    // Redis may have lost the name.
    const holder = names.held.get(user);
    if (holder && (!secret || holder.secret?.hash !== secret.hash)) return "taken";
    if (holder?.secret && secret && holder.secret.attempt >= secret.attempt) return "replaced";
    // Recorded before the claim is sent: a release that comes before the reply must find it.
    names.unconfirmed.set(session, claim);
    const send = () => this.#scripts.claim(keys, this.#instances.id, claim);
    try {
      let reply = await send();
      while (typeof reply === "object") {
        const isFreed = await this.#freeFrom(room, names, ...reply);
        // The caller may have released the name meanwhile.
        if (!isFreed || !names.unconfirmed.has(session)) break;
        reply = await send();
      }
      if (typeof reply === "object" || reply <= 0) {
        names.unconfirmed.delete(session);
        return reply === 0 ? "replaced" : reply === -1 ? "banned" : "taken";
      }
      claim.claimedAtMs = reply;
    } catch (error) {
      // If the outcome is unknown, the event of the claim confirms it, or the caller releases it.
      if (!(error instanceof StoreOutcomeUnknown)) names.unconfirmed.delete(session);
      throw error;
    }
    // Its event may have come before, and the name may have been released or taken over since.
    if (names.unconfirmed.has(session)) {
      // The event may be lost, and then nothing else ends the former session.
      const former = names.held.get(user);
      if (former) this.lose(room, former, "replaced");
      this.#confirm(names, claim);
    }
    return "claimed";
  }

  #confirm({ held, unconfirmed }: Names, claim: Claim): void {
    unconfirmed.delete(claim.session);
    // A claim of the same user that has had the name is replaced by this one.
    held.set(claim.user, claim);
  }

  /**
   * Notes by an event of a room which session has a name now.
   *
   * @returns whether another session of this instance has the name, as far as it knows
   */
  note(room: string, event: RoomEvent): boolean {
    const names = this.#rooms.get(room);
    if (!names || event.type !== "joined" && event.type !== "replaced") return false;
    const claim = names.unconfirmed.get(event.session);
    if (claim) {
      claim.claimedAtMs ||= this.#instances.nowMs;
      this.#confirm(names, claim);
    }
    const holder = names.held.get(event.user);
    if (event.type === "replaced") {
      names.unconfirmed.delete(event.former);
      if (holder?.session === event.former) {
        names.held.delete(event.user);
        return false;
      }
    }
    return holder !== undefined && holder.session !== event.session;
  }

  /** Frees a name from an owner that is gone. Returns whether to claim it again. */
  async #freeFrom(room: string, names: Names, user: string, owner: string): Promise<boolean> {
    if (owner === "") return false;
    const [id, , session] = owner.split(" ");
    if (!this.#instances.isOwn(id)) return await this.#reaper.reapIfDead(id, room);
    const isHeld = names.unconfirmed.has(session) || names.held.get(user)?.session === session;
    // Only a recovery frees a name that no session has claimed.
    if (isHeld || session === undefined) return false;
    // An earlier release never reached Redis, or an earlier claim took effect without a reply.
    await this.#scripts.release(this.#connection.keys.room(room), user, session, false);
    return true;
  }

  /**
   * Releases a name. If Redis cannot free it now, a recovery does.
   *
   * @returns whether the room was left `"empty"`, or empty by one who was always `"alone"`
   */
  async release(
    room: string,
    user: string,
    session: string,
  ): Promise<"empty" | "alone" | undefined> {
    const names = this.#rooms.get(room);
    const isCertain = names?.held.get(user)?.session === session;
    // A name that was taken over, or lost in an outage, needs no release.
    if (!names?.unconfirmed.delete(session) && !isCertain) return;
    if (isCertain) names?.held.delete(user);
    try {
      const keys = this.#connection.keys.room(room);
      const freed = await this.#scripts.release(keys, user, session, isCertain);
      if (freed > 1) return freed === 3 ? "empty" : "alone";
      if (freed >= 0 || !isCertain || await this.#instances.wasReaped()) return;
      // Redis had lost the name, so nobody has seen the user leave.
      await this.announce(room, { type: "left", user });
    } catch {
      this.#unreleased.push({ room, user });
    }
  }

  /** Resolves once every claim that is pending now has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  /** Publishes an event if it is still true: see `announce.lua`. */
  async announce(room: string, event: Joined | Kicked | Left): Promise<void> {
    await this.#scripts.announce(this.#connection.keys.room(room), event);
  }

  /** Removes and returns the names that could not be released. */
  takeUnreleased(): Unreleased[] {
    return this.#unreleased.splice(0);
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
