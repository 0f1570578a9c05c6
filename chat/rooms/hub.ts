import { deadline } from "../store/deadline.ts";
import { History } from "./history.ts";
import { DEFAULT_ROOM } from "../protocol/names.ts";
import type { Member } from "./member.ts";
import { Room } from "./room.ts";
import { type Store, StoreUnavailable } from "../store/store.ts";

/** How long after a claim was granted the room may take to hear of it, in milliseconds. */
const HEARD_WITHIN = 2_000;

interface Opened {
  readonly room: Room;
  /** Resolves once the store hands this instance what happens in the room. */
  readonly subscribed: Promise<void>;
}

/** The rooms that have a session on this instance; what the store hears goes to the right one. */
export class Hub {
  /** What was said in all rooms. */
  readonly history: History;
  readonly #store: Store;
  readonly #maxFlushMs: number;
  readonly #rooms = new Map<string, Opened>();
  readonly #underWay = new Set<Promise<unknown>>();

  /**
   * @param store where the rooms are
   * @param maxFlushMs the longest that something may wait to be sent together with more, in milliseconds
   */
  constructor(store: Store, maxFlushMs: number) {
    this.#store = store;
    this.#maxFlushMs = maxFlushMs;
    this.history = new History(store);
  }

  /**
   * Opens the default room, which stays open with nobody in it too.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be heard
   */
  async start(): Promise<void> {
    await this.#enter(DEFAULT_ROOM).subscribed;
  }

  /**
   * Brings a session into a room.
   *
   * @returns whether it has its name and was admitted; `false` if the name is taken
   * @throws {StoreUnavailable}, {@linkcode StoreOutcomeUnknown} or `Deno.errors.TimedOut` if it could not be brought in
   */
  async join(name: string, member: Member): Promise<boolean> {
    return await this.#track(this.#join(name, member));
  }

  async #join(name: string, member: Member): Promise<boolean> {
    const { room, subscribed } = this.#enter(name);
    if (room.has(member.user)) return false;
    const admitted = room.reserve(member);
    try {
      await subscribed;
      if (!await this.#store.claim(name, member.user, member.id)) return false;
      await deadline(admitted, HEARD_WITHIN);
      return true;
    } catch (error) {
      // The claim's answer was lost, but the room heard of it.
      if (room.isMember(member)) return true;
      // The place is kept until the release is on its way: nobody here claims the name between the two.
      if (!(error instanceof StoreUnavailable)) this.#track(this.#store.release(name, member.user));
      throw error;
    } finally {
      room.cancel(member);
      this.#closeIfEmpty(name);
    }
  }

  /** Takes a session out of a room and frees its name. Does nothing if it is not a member. */
  leave(name: string, member: Member): void {
    if (!this.#rooms.get(name)?.room.remove(member)) return;
    this.#track(this.#store.release(name, member.user));
    this.#closeIfEmpty(name);
  }

  /**
   * Says something in a room, for one of its members.
   *
   * @param ref what its sender named it with, if it was named: see {@linkcode Store.publish}
   * @returns its id
   * @throws {StoreUnavailable} if it was not taken, also because the room is behind, {@linkcode StoreOutcomeUnknown} if nobody can tell
   */
  publish(name: string, user: string, text: string, ref?: string): Promise<string> {
    const { room } = this.#rooms.get(name)!;
    if (room.isOverloaded) return Promise.reject(new StoreUnavailable(`room ${name} is behind`));
    const said = this.#store.publish(name, user, text, ref);
    room.trackPublish(said);
    return said;
  }

  /** Whether a member is sure to hear something of its room soon: see {@linkcode Broadcaster.willTell}. */
  willTell(name: string, member: Member): boolean {
    return this.#rooms.get(name)?.room.willTell(member) ?? false;
  }

  /** Resolves once every join and every release that is under way has come to its end. */
  async drained(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  #enter(name: string): Opened {
    let opened = this.#rooms.get(name);
    if (!opened) {
      const room = new Room(this.#maxFlushMs);
      const subscribed = this.#store.subscribe(name, {
        onEvent: (event, line) => room.handleEvent(event, line),
        onNameLost: (user, session) => room.handleNameLost(user, session),
      }).then((newest) => room.start(newest));
      opened = { room, subscribed };
      this.#rooms.set(name, opened);
    }
    return opened;
  }

  #closeIfEmpty(name: string): void {
    if (name === DEFAULT_ROOM || !this.#rooms.get(name)?.room.isEmpty) return;
    this.#rooms.delete(name);
    // A store that is away forgets the room by itself.
    this.#track(this.#store.unsubscribe(name)).catch(() => {});
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#underWay.add(promise);
    promise.catch(() => {}).finally(() => this.#underWay.delete(promise));
    return promise;
  }
}
