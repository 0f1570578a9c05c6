import type { Joined, Left, RoomEvent } from "../../protocol/events.ts";
import { ByUser } from "../by_user.ts";
import {
  areRivals,
  type ClaimOptions,
  type NameLoss,
  StoreOutcomeUnknown,
  StoreUnavailable,
  type UsersPage,
} from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { Reaper } from "./reaper.ts";
import { type Claimant, defineClaimScripts } from "./scripts.ts";

/** A name that a session of this instance has. */
export interface Claim extends Claimant {
  /** When it was claimed, by the clock of Redis. */
  claimedAtMs: number;
  /** What the room has seen last of the user, after the claim. */
  lastSeen?: "joined" | "left";
}

/** A claim to a name in a room that Redis could not free. */
export interface Unreleased {
  readonly room: string;
  readonly claim: Claim;
}

/** The names of this instance in one room. */
interface Names {
  /** The claims that have their names: each is confirmed by a reply or by its event. */
  readonly held: ByUser<Claim>;
  /** The claims that have no reply yet, and those whose reply was lost, by session. */
  readonly unconfirmed: Map<string, Claim>;
}

/** Claims and releases names in rooms, and knows the names that this instance holds. */
export class NameClaims {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #reaper: Reaper;
  readonly #scripts: ReturnType<typeof defineClaimScripts>;
  readonly #onNameLost: (room: string, claim: Claim, loss: NameLoss) => void;
  readonly #rooms = new Map<string, Names>();
  /** The claims and the releases that have no reply yet. */
  readonly #pending = new Set<Promise<unknown>>();
  /** The names that were released here while Redis could not free them. */
  readonly #unreleased: Unreleased[] = [];
  /** Rooms that may have names without an owner, although this instance may have left them. */
  readonly #doubtful = new Set<string>();

  /** @param onNameLost called with each claim whose name another session has got */
  constructor(
    connection: CommandConnection,
    instances: Instances,
    reaper: Reaper,
    historySeconds: number,
    onNameLost: (room: string, claim: Claim, loss: NameLoss) => void,
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

  /** The rooms in which names may be wrong: those of this instance, and some that it has left. */
  get roomsToSweep(): string[] {
    return [...new Set([...this.#rooms.keys(), ...this.#doubtful])];
  }

  /** Notes whether a room may have names without an owner. */
  doubt(room: string, isDoubtful: boolean): void {
    if (isDoubtful) this.#doubtful.add(room);
    else this.#doubtful.delete(room);
  }

  /** Whether this instance may hold names in a room. */
  isIn(room: string): boolean {
    return this.#rooms.has(room);
  }

  /** Whether this instance holds any name. */
  get holdsNames(): boolean {
    return this.#rooms.values().some(({ held, unconfirmed }) => held.size + unconfirmed.size > 0);
  }

  /** Whether Redis may still have a name that was released. */
  get hasUnreleased(): boolean {
    return this.#unreleased.length > 0;
  }

  /** The claims of this instance that have their names in a room. */
  heldIn(room: string): ByUser<Claim> {
    return this.#rooms.get(room)?.held ?? new ByUser();
  }

  /** Finds the claim by which a session of this instance has a name. */
  find(room: string, user: string, session: string): Claim | undefined {
    return this.heldIn(room).of(user).find((held) => held.session === session);
  }

  /** How many sessions of this instance have names in a room, and how many more may have some. */
  count(room: string): { confirmed: number; unconfirmed: number } {
    const names = this.#rooms.get(room);
    return { confirmed: names?.held.size ?? 0, unconfirmed: names?.unconfirmed.size ?? 0 };
  }

  /** Holds the name of a claim no longer, because another session has it. */
  lose(room: string, claim: Claim, loss: NameLoss): void {
    if (this.heldIn(room).delete(claim)) this.#onNameLost(room, claim, loss);
  }

  /** Prepares for names in a room. */
  async enterRoom(room: string): Promise<void> {
    this.#rooms.set(room, this.#rooms.get(room) ?? { held: new ByUser(), unconfirmed: new Map() });
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
    { maxDevices = 1, ...options }: ClaimOptions = {},
  ): Promise<"claimed" | NameLoss> {
    return this.#track(
      this.#claim(room, { ...options, maxDevices, user, session, claimedAtMs: 0 }),
    );
  }

  async #claim(room: string, claim: Claim): Promise<"claimed" | NameLoss> {
    const { user, session, secret, maxDevices } = claim;
    const keys = this.#connection.keys.room(room);
    const names = this.#rooms.get(room);
    if (!names) throw new StoreUnavailable(`room ${room} is not subscribed to`);
    // Redis may have lost the name.
    const holder = names.held.of(user).find((held) => areRivals(claim, held));
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
        if (reply === 0) return "replaced";
        if (reply === -1) return "banned";
        return maxDevices > 1 ? "full" : "taken";
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
      for (const held of names.held.of(user)) {
        if (areRivals(claim, held)) this.lose(room, held, "replaced");
      }
      this.#confirm(names, claim);
    }
    return "claimed";
  }

  #confirm({ held, unconfirmed }: Names, claim: Claim): void {
    unconfirmed.delete(claim.session);
    // A claim of the same device that has had the name is replaced by this one.
    for (const other of held.of(claim.user)) {
      if (areRivals(claim, other)) held.delete(other);
    }
    held.add(claim);
  }

  /**
   * Notes by an event of a room which session has a name now.
   *
   * @returns whether Redis must have lost a name that this instance holds
   */
  note(room: string, event: RoomEvent): boolean {
    const names = this.#rooms.get(room);
    if (!names) return false;
    if (event.type === "left") {
      // Redis may be back at an earlier state, in which the user had another session.
      for (const claim of names.held.of(event.user)) claim.lastSeen &&= "left";
      return false;
    }
    if (event.type !== "added" && event.type !== "joined" && event.type !== "replaced") {
      return false;
    }
    const claim = names.unconfirmed.get(event.session);
    if (claim) {
      claim.claimedAtMs ||= this.#instances.nowMs;
      this.#confirm(names, claim);
    }
    const held = names.held.of(event.user);
    for (const claim of held) {
      if (claim.session === event.session) claim.lastSeen = "joined";
    }
    if (event.type === "replaced") {
      names.unconfirmed.delete(event.former);
      const former = held.find(({ session }) => session === event.former);
      if (former && names.held.delete(former)) return false;
    }
    return held.some(({ session, maxDevices }) =>
      session !== event.session && (event.type === "joined" || maxDevices === 1)
    );
  }

  /** Frees a name from an owner that is gone. Returns whether to claim it again. */
  async #freeFrom(room: string, names: Names, user: string, owner: string): Promise<boolean> {
    if (owner === "") return false;
    for (const line of owner.split("\n")) {
      const [id, , session] = line.split(" ");
      if (!this.#instances.isOwn(id)) {
        if (await this.#reaper.reapIfDead(id, room)) return true;
        continue;
      }
      const isHeld = names.unconfirmed.has(session) ||
        this.find(room, user, session) !== undefined;
      // Only a recovery frees a name that no session has claimed.
      if (isHeld || session === undefined) continue;
      // An earlier release never reached Redis, or an earlier claim took effect without a reply.
      await this.#scripts.release(this.#connection.keys.room(room), user, session, false);
      return true;
    }
    return false;
  }

  /**
   * Releases a name. If Redis cannot free it now, a recovery does.
   *
   * @returns whether the room was left `"empty"`, or empty by one who was always `"alone"`
   */
  release(room: string, user: string, session: string): Promise<"empty" | "alone" | undefined> {
    return this.#track(this.#release(room, user, session));
  }

  async #release(
    room: string,
    user: string,
    session: string,
  ): Promise<"empty" | "alone" | undefined> {
    const names = this.#rooms.get(room);
    const held = this.find(room, user, session);
    const claim = held ?? names?.unconfirmed.get(session);
    // A name that was taken over, or lost in an outage, needs no release.
    if (!names || !claim) return;
    names.held.delete(claim);
    names.unconfirmed.delete(session);
    try {
      return await this.free(room, claim, claim === held);
    } catch {
      this.#unreleased.push({ room, claim });
    }
  }

  /**
   * Frees the name of a claim.
   *
   * @param isCertain whether the session is certain to have had the name
   * @returns as {@linkcode NameClaims.release} does
   */
  async free(
    room: string,
    { user, session, maxDevices }: Claim,
    isCertain: boolean,
  ): Promise<"empty" | "alone" | undefined> {
    const keys = this.#connection.keys.room(room);
    const isSole = maxDevices === 1;
    const freed = await this.#scripts.release(keys, user, session, isCertain && isSole);
    if (freed > 1) return freed === 3 ? "empty" : "alone";
    if (freed >= 0 || !isCertain || await this.#instances.wasReaped()) return;
    // Redis had lost the name, so nobody has seen the user leave.
    if (isSole) await this.announce(room, { type: "left", user });
    else {
      // The sweeps find out whether the user has another device, on any instance.
      await this.#connection.run("SADD", keys.users, user);
      this.doubt(room, true);
    }
  }

  /** Resolves once every claim and every release that is pending now has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#pending.add(promise);
    return promise.finally(() => this.#pending.delete(promise));
  }

  /** Publishes an event that others have missed, if it is still true: see `announce.lua`. */
  async announce(room: string, event: Joined | Left): Promise<void> {
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
