import { setTimeout as sleep } from "node:timers/promises";
import type { Access } from "../auth/access.ts";
import type { UnloggedEvent } from "../protocol/events.ts";
import type { Moderation } from "../protocol/from_client.ts";
import { BEFORE_FIRST_ID, previousId } from "../protocol/ids.ts";
import { DEFAULT_ROOM } from "../protocol/names.ts";
import { deadline } from "../store/deadline.ts";
import { type NameLoss, type Sender, type Store, StoreUnavailable } from "../store/store.ts";
import type { BroadcasterOptions } from "./broadcaster.ts";
import { History } from "./history.ts";
import type { Member, Position, Receiver } from "./member.ts";
import { moderate } from "./moderation.ts";
import { Room } from "./room.ts";

/** How long the room's `joined` event may take after the store granted a claim. */
const JOINED_TIMEOUT_MS = 2_000;

/** How often it is checked whether this instance has received what a listener has, and how long. */
const BEHIND_CHECK_MS = 50;
const BEHIND_TIMEOUT_MS = 2_000;

/** The same if the log has it. A store that receives nothing more notices that before. */
const DEAF_TIMEOUT_MS = 15_000;

interface ActiveRoom {
  readonly room: Room;
  /** Resolves when the store delivers the room's events to this instance. */
  readonly subscribed: Promise<void>;
}

/**
 * The rooms that have sessions or listeners on this instance. The hub subscribes to a room when the
 * first one arrives, and unsubscribes when the last one has left.
 */
export class Hub {
  /** The messages of all rooms, for sessions that resume or ask for history. */
  readonly history: History;
  readonly #store: Store;
  readonly #options: BroadcasterOptions;
  readonly #rooms = new Map<string, ActiveRoom>();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(store: Store, options: BroadcasterOptions) {
    this.#store = store;
    this.#options = options;
    this.history = new History(store, options.now);
  }

  /**
   * Subscribes to the default room, which stays subscribed even when it is empty.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store does not answer
   */
  async start(): Promise<void> {
    await this.#activate(DEFAULT_ROOM).subscribed;
  }

  /**
   * Joins a session to a room.
   *
   * @returns `"claimed"` when the session is a member; else why it does not have the name
   * @throws {StoreUnavailable}, {@linkcode StoreOutcomeUnknown} or `Deno.errors.TimedOut` if the
   * store or the room's channel does not answer; the name is released then
   */
  async join(name: string, member: Member): Promise<"claimed" | NameLoss> {
    return await this.#track(this.#join(name, member));
  }

  async #join(name: string, member: Member): Promise<"claimed" | NameLoss> {
    const { room, subscribed } = this.#activate(name);
    const { user, id, secret, nameKeys: keys, maxDevices, access } = member;
    const joined = room.reserve(member);
    try {
      await subscribed;
      await this.noteModerator(name, access);
      const canBeBanned = access.user !== undefined && !access.canModerate;
      const address = canBeBanned ? member.address : undefined;
      const options = { secret, keys, maxDevices, address };
      const outcome = await this.#store.claim(name, user, id, options);
      if (outcome === "claimed") await deadline(joined, JOINED_TIMEOUT_MS);
      return outcome;
    } catch (error) {
      // The outcome of the claim is unknown to the store, but the room has received the event.
      if (room.isMember(member)) return "claimed";
      if (!(error instanceof StoreUnavailable)) this.#track(this.#store.release(name, user, id));
      throw error;
    } finally {
      room.cancel(member);
      this.#deactivateIfEmpty(name);
    }
  }

  /**
   * Removes a session from its room and releases its name. Does nothing if it is no member.
   * Resolves when the store has replied.
   */
  async leave(name: string, member: Member): Promise<void> {
    if (!this.#rooms.get(name)?.room.remove(member)) return;
    const released = this.#track(this.#store.release(name, member.user, member.id));
    this.#deactivateIfEmpty(name);
    await released;
  }

  /**
   * Lets a listener receive the events of a room. It is not in the room, and nobody there sees it.
   *
   * @param since the id of the listener's last message, if it has one. Another instance may have
   * delivered it before it comes to this one, which is waited for
   * @returns where the room is now; every later event is delivered
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store does not answer, or
   * delivers nothing
   */
  async listen(name: string, listener: Receiver, since = BEFORE_FIRST_ID): Promise<Position> {
    const { room, subscribed } = this.#activate(name);
    room.addListener(listener);
    await subscribed.catch((error) => {
      this.unlisten(name, listener);
      throw error;
    });
    if (room.isBehind(since)) await this.#untilReceived(name, room, since);
    return room.startListener(listener);
  }

  async #untilReceived(name: string, room: Room, since: string): Promise<void> {
    const [entry] = await this.#store.readAfter(name, previousId(since), 1);
    const isInLog = entry?.event.id === since;
    const timeoutMs = isInLog ? DEAF_TIMEOUT_MS : BEHIND_TIMEOUT_MS;
    for (let ms = 0; room.isBehind(since) && ms < timeoutMs; ms += BEHIND_CHECK_MS) {
      await sleep(BEHIND_CHECK_MS);
    }
    // The listener would get again what it has.
    if (isInLog && room.isBehind(since)) throw new StoreUnavailable(`room ${name} is behind`);
  }

  /** Lets a listener receive nothing more. */
  unlisten(name: string, listener: Receiver): void {
    this.#rooms.get(name)?.room.removeListener(listener);
    this.#deactivateIfEmpty(name);
  }

  /**
   * Publishes a message in a room.
   *
   * @param ref the sender's own name for the message, if it has one: see {@linkcode Store.publish}
   * @param after the `ref` of the message that must have been taken before, if there is one
   * @param sender the session that publishes it, if one does
   * @returns the message's id
   * @throws {StoreUnavailable} if the message was not taken, which includes that the room is
   * overloaded; {@linkcode StoreOutcomeUnknown} if nobody can tell
   */
  publish(
    name: string,
    user: string,
    text: string,
    ref?: string,
    after?: string,
    sender?: Sender,
  ): Promise<string> {
    const room = this.#rooms.get(name)?.room;
    if (room?.isOverloaded) {
      return Promise.reject(new StoreUnavailable(`room ${name} is overloaded`));
    }
    const published = this.#store.publish(name, user, text, ref, after, sender);
    room?.trackPublish(published);
    return published;
  }

  /** Publishes an event that is not logged: see {@linkcode Store.publishUnlogged}. */
  publishUnlogged(name: string, event: UnloggedEvent): Promise<void> {
    return this.#store.publishUnlogged(name, event);
  }

  /** Notes a client that moderates a room: no other moderator may act against it. */
  async noteModerator(name: string, { user, canModerate, expiresAtMs }: Access): Promise<void> {
    if (user === undefined || !canModerate) return;
    await this.#store.moderation.noteModerator(name, user, expiresAtMs);
  }

  /** Returns until when a client is muted in a room, in milliseconds since 1970; 0 if it is not. */
  async mutedUntil(name: string, { user }: Access): Promise<number> {
    return user === undefined ? 0 : await this.#store.moderation.mutedUntil(name, user);
  }

  /** Does what a moderator asks for: see {@linkcode moderate}. */
  moderate(name: string, access: Access, action: Moderation): Promise<boolean> {
    return moderate(this.#store, name, access, action);
  }

  /** Adds the address of a user who is banned with addresses. */
  banAddress(name: string, user: string, address: string): void {
    // If the store is away, the address is not banned, but the user is.
    this.#track(this.#store.moderation.banAddress(name, user, address)).catch(() => {});
  }

  /** Tells whether a room of this instance has had a message, or one is on its way. */
  hasMessages(name: string): boolean {
    return this.#rooms.get(name)?.room.hasMessages ?? false;
  }

  /**
   * Tells whether the log of a room has no message, and none is on its way.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async isNew(name: string): Promise<boolean> {
    if (this.hasMessages(name)) return false;
    return (await this.#store.readBefore(name, undefined, 1)).length === 0;
  }

  /** Returns how many members and listeners a room has on this instance. */
  countReceivers(name: string): number {
    return this.#rooms.get(name)?.room.receiverCount ?? 0;
  }

  /** Tells whether a member is certain to receive a frame of its room within `maxFlushMs`. */
  isFlushPendingFor(name: string, member: Member): boolean {
    return this.#rooms.get(name)?.room.isFlushPendingFor(member) ?? false;
  }

  /** Resolves when every join and every release that has begun is done. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
  }

  #activate(name: string): ActiveRoom {
    let active = this.#rooms.get(name);
    if (!active) {
      const room = new Room(this.#options);
      const subscribed = this.#store.subscribe(name, {
        onEvent: (event, line) => room.handleEvent(event, line),
        onNameLost: (user, session, loss) => room.handleNameLost(user, session, loss),
        onInterrupted: (last) => this.#catchUp(name, room, last),
      }).then((newestId) => room.start(newestId));
      active = { room, subscribed };
      this.#rooms.set(name, active);
    }
    return active;
  }

  /** Makes up for the events that a room has missed, and that must not be missed. */
  async #catchUp(name: string, room: Room, last: string): Promise<void> {
    if (!room.isAuthenticated) return;
    const removals = await this.#store.readRemovals(name, last);
    // Some of them may have been made before.
    const missed = removals.filter(({ id }) => !room.hasSeenRemoval(id));
    for (const event of missed) room.handleEvent(event, JSON.stringify(event));
    const bans = await this.#store.moderation.listRestricted("banned", name);
    for (const ban of bans) room.expel({ type: "banned", ...ban });
  }

  #deactivateIfEmpty(name: string): void {
    if (name === DEFAULT_ROOM || !this.#rooms.get(name)?.room.isEmpty) return;
    this.#rooms.delete(name);
    // If the store is away, it drops the subscription by itself.
    this.#track(this.#store.unsubscribe(name)).catch(() => {});
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    this.#pending.add(promise);
    promise.catch(() => {}).finally(() => this.#pending.delete(promise));
    return promise;
  }
}
