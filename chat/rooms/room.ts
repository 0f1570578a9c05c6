import type { Banned, Kicked, RoomEvent, UnloggedEvent } from "../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater } from "../protocol/ids.ts";
import type { Encoding } from "../protocol/protocol.ts";
import { ByUser } from "../store/by_user.ts";
import { areRivals, type NameLoss } from "../store/store.ts";
import { Broadcaster, type BroadcasterOptions } from "./broadcaster.ts";
import type { Member, Position, Receiver } from "./member.ts";

const NOBODY: readonly Member[] = [];

/** How many of the last removals a room remembers. */
const MAX_KNOWN_REMOVALS = 1_000;

/** A session that is claiming a name. */
interface Reservation {
  readonly member: Member;
  readonly onJoined: () => void;
}

/**
 * The sessions of one room on this instance.
 *
 * A session becomes a member when the room receives its `joined` event, not when the store grants
 * its claim. So each user is in the room between the same two events for everyone, on every
 * instance, and who has a name at the time of a message is the message's sender.
 */
export class Room {
  readonly #options: BroadcasterOptions;
  readonly #members = new ByUser<Member>();
  /** Those who receive the events, and are not in the room. */
  readonly #listeners = new Set<Receiver>();
  readonly #broadcasters = new Map<Encoding, Broadcaster>();
  /** By session: several of one user may be claiming the name, and the last one will have it. */
  readonly #reservations = new Map<string, Reservation>();
  /** Users of members whom everyone else saw leave, because another instance reaped this one. */
  readonly #seenLeaving = new Set<string>();
  /** The ids of the messages that were removed last, oldest removal first. */
  readonly #removed = new Set<string>();
  #lastId = BEFORE_FIRST_ID;
  /** Whether messages may be missing after the last one. */
  #hasGap = false;
  /** How many messages this instance has sent to the store without a reply so far. */
  #inFlight = 0;

  constructor(options: BroadcasterOptions) {
    this.#options = options;
  }

  /** Whether the room has no members, no reservations and no listeners. */
  get isEmpty(): boolean {
    return this.receiverCount + this.#reservations.size === 0;
  }

  /** How many members and listeners there are. */
  get receiverCount(): number {
    return this.#members.size + this.#listeners.size;
  }

  /** Whether so many deliveries are waiting that the room should take no more messages. */
  get isOverloaded(): boolean {
    for (const broadcaster of this.#broadcasters.values()) {
      if (broadcaster.isOverloaded) return true;
    }
    return false;
  }

  /** Whether the room has had a message, or one is on its way. */
  get hasMessages(): boolean {
    return this.#lastId !== BEFORE_FIRST_ID || this.#inFlight > 0;
  }

  /** Tells whether a message is later than the last one. */
  isBehind(id: string): boolean {
    return isLater(id, this.#lastId);
  }

  /** Starts with the id of the newest message at the time of the subscription. */
  start(newestId: string): void {
    if (isLater(newestId, this.#lastId)) this.#lastId = newestId;
  }

  /**
   * Reserves a name on this instance while its session claims it from the store.
   *
   * @returns a promise that resolves when the session has become a member
   */
  reserve(member: Member): Promise<void> {
    return new Promise((onJoined) => this.#reservations.set(member.id, { member, onJoined }));
  }

  /** Cancels a reservation, unless its session has become a member. */
  cancel(member: Member): void {
    this.#reservations.delete(member.id);
  }

  /** Tells whether a session is a member. */
  isMember(member: Member): boolean {
    return this.#members.has(member);
  }

  /** Removes a member; returns whether the session was one. */
  remove(member: Member): boolean {
    if (!this.#members.delete(member)) return false;
    if (this.#members.of(member.user).length === 0) this.#seenLeaving.delete(member.user);
    this.#broadcasters.get(member.protocol)?.delete(member);
    return true;
  }

  /** Adds a listener, who receives nothing yet. */
  addListener(listener: Receiver): void {
    this.#listeners.add(listener);
  }

  /**
   * Lets a listener receive the events from here on, unless it was removed.
   *
   * @returns where the room is now
   */
  startListener(listener: Receiver): Position {
    if (this.#listeners.has(listener)) this.#broadcasterFor(listener.protocol).add(listener);
    return this.#position;
  }

  /** Removes a listener. */
  removeListener(listener: Receiver): void {
    this.#listeners.delete(listener);
    this.#broadcasters.get(listener.protocol)?.delete(listener);
  }

  /** Whether those who receive the events have tokens. */
  get isAuthenticated(): boolean {
    return this.#receivers.some(({ access }) => access.user !== undefined);
  }

  /** Ends the sessions and the streams of a user who was kicked or banned. */
  expel(event: Kicked | Banned): void {
    if (event.type === "banned" && event.until === 0) return;
    const receivers = this.#receivers.filter(({ access }) => access.user === event.user);
    for (const receiver of receivers) receiver.onExpelled(event);
  }

  /** Tells whether one of the last removals was of this message. */
  hasSeenRemoval(id: string): boolean {
    return this.#removed.has(id);
  }

  /** Tells a session that another session has its name. */
  handleNameLost(user: string, session: string, loss: NameLoss): void {
    const member = this.#members.of(user).find(({ id }) => id === session) ??
      this.#reservations.get(session)?.member;
    member?.onNameLost(loss);
  }

  /** Broadcasts an event, which is also given as one line of JSON, to every member it concerns. */
  handleEvent(event: RoomEvent, line: string): void {
    switch (event.type) {
      case "notice":
      case "unknown":
        return this.#broadcast(event, line);
      case "resync":
        this.#lastId = event.last;
        this.#hasGap = event.gap;
        return this.#broadcast(event, line);
      case "message": {
        this.#lastId = event.id;
        this.#hasGap = false;
        let senders = this.#members.of(event.user);
        // Other devices of the sender get the message.
        if (senders.length > 0 && senders[0].access.user !== undefined) {
          senders = senders.filter(({ id }) => id === event.session);
        }
        return this.#broadcast(event, line, senders[0]?.protocol.echoes ? NOBODY : senders);
      }
      case "left": {
        const members = this.#members.of(event.user);
        if (members.length > 0) this.#seenLeaving.add(event.user);
        return this.#broadcast(event, line, members);
      }
      case "joined": {
        const members = this.#members.of(event.user);
        // After an outage `joined` can repeat. It is news only if this room saw the user leave.
        const isNews = this.#seenLeaving.delete(event.user) ||
          !members.some(({ id }) => id === event.session);
        if (isNews) this.#broadcast(event, line, members);
        return this.#admit(event.session, event.users);
      }
      case "added":
        return this.#admit(event.session, event.users);
      case "replaced":
        this.handleNameLost(event.user, event.former, "replaced");
        return this.#admit(event.session, event.users);
      case "removed":
        this.#removed.add(event.id);
        if (this.#removed.size > MAX_KNOWN_REMOVALS) {
          this.#removed.delete(this.#removed.values().next().value!);
        }
        return this.#broadcast(event, line);
      case "kicked":
      case "banned":
        this.#broadcast(event, line);
        return this.expel(event);
      default:
        return this.#broadcast(event satisfies UnloggedEvent, line);
    }
  }

  /**
   * Lets broadcasts wait a moment for a message in flight, so that one frame can carry both.
   *
   * @param published settles when the store has replied
   */
  trackPublish(published: Promise<unknown>): void {
    this.#inFlight++;
    published.then(this.#onReply, this.#onReply);
  }

  /** Tells whether a member is certain to receive a frame soon. */
  isFlushPendingFor(member: Member): boolean {
    return this.#broadcasters.get(member.protocol)?.isFlushPendingFor(member) ?? false;
  }

  get #position(): Position {
    return { last: this.#lastId, hasGap: this.#hasGap };
  }

  get #receivers(): Receiver[] {
    return [...this.#members.all(), ...this.#listeners];
  }

  readonly #isMoreInFlight = (): boolean => this.#inFlight > 0;

  readonly #onReply = (): void => {
    if (--this.#inFlight > 0) return;
    for (const broadcaster of this.#broadcasters.values()) broadcaster.onNothingInFlight();
  };

  #broadcast(event: RoomEvent, line: string, except = NOBODY): void {
    for (const broadcaster of this.#broadcasters.values()) {
      broadcaster.broadcast(event, line, except);
    }
  }

  #admit(session: string, users: number): void {
    const reservation = this.#reservations.get(session);
    if (!reservation) return;
    const { member, onJoined } = reservation;
    // If the store had lost the name, the later session has joined, and not replaced this one,
    // which may leave at once. The reservation keeps the room from being empty then.
    for (const other of this.#members.of(member.user)) {
      if (areRivals(member, other)) other.onNameLost("replaced");
    }
    this.#reservations.delete(session);
    this.#members.add(member);
    this.#broadcasterFor(member.protocol).add(member);
    member.onJoined(this.#position, users);
    onJoined();
  }

  #broadcasterFor(protocol: Encoding): Broadcaster {
    let broadcaster = this.#broadcasters.get(protocol);
    if (!broadcaster) {
      broadcaster = new Broadcaster(protocol, this.#options, this.#isMoreInFlight);
      this.#broadcasters.set(protocol, broadcaster);
    }
    return broadcaster;
  }
}
