import { Broadcaster } from "./broadcaster.ts";
import type { Notice, RoomEvent } from "../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater } from "../protocol/ids.ts";
import type { Member } from "./member.ts";
import type { Protocol } from "../protocol/protocol.ts";

interface Newcomer {
  readonly member: Member;
  readonly heard: () => void;
}

/**
 * The sessions of one room on this instance, and the fan-out to them.
 *
 * A session becomes a member when the room hears it join, not when its claim is answered. So everyone, wherever they
 * are, is in the room between the same two events, and the holder of a name at a message is its sender.
 */
export class Room {
  readonly #members = new Map<string, Member>();
  /** The same, by how they speak. */
  readonly #audiences = new Map<Protocol, Broadcaster>();
  readonly #maxFlushMs: number;
  readonly #newcomers = new Map<string, Newcomer>();
  /** The members whom everyone saw leave, because this instance was taken for dead. */
  readonly #seenLeaving = new Set<string>();
  #last = BEFORE_FIRST_ID;
  /** How many messages of members are on their way to the store and back. */
  #expected = 0;
  /** Whether the only one of these is back, before its answer. */
  #isOnlyOneBack = false;

  /** @param maxFlushMs the longest that something may wait to be sent together with more, in milliseconds */
  constructor(maxFlushMs: number) {
    this.#maxFlushMs = maxFlushMs;
  }

  /** Whether nobody is here or about to be. */
  get isEmpty(): boolean {
    return this.#members.size === 0 && this.#newcomers.size === 0;
  }

  /** Whether so much waits to be sent to everyone here that nothing more should be said. */
  get isOverloaded(): boolean {
    for (const audience of this.#audiences.values()) if (audience.isOverloaded) return true;
    return false;
  }

  /** Begins with the id of the newest message when the room was opened. */
  start(newest: string): void {
    if (isLater(newest, this.#last)) this.#last = newest;
  }

  /** Whether someone on this instance has a name or claims it. */
  has(user: string): boolean {
    return this.#members.has(user) || this.#newcomers.has(user);
  }

  /**
   * Keeps a place for someone who claims a name.
   *
   * @returns what resolves once the room has heard them join; they are a member then
   */
  reserve(member: Member): Promise<void> {
    return new Promise((heard) => this.#newcomers.set(member.user, { member, heard }));
  }

  /** Gives up a place that was kept by {@linkcode Room.reserve}, unless its holder has been admitted. */
  cancel(member: Member): void {
    if (this.#newcomers.get(member.user)?.member === member) this.#newcomers.delete(member.user);
  }

  /** Whether a session has been admitted and not been removed since. */
  isMember(member: Member): boolean {
    return this.#members.get(member.user) === member;
  }

  /** Takes a member out; says whether it was one. */
  remove(member: Member): boolean {
    if (!this.isMember(member)) return false;
    this.#seenLeaving.delete(member.user);
    this.#audiences.get(member.protocol)?.delete(member);
    return this.#members.delete(member.user);
  }

  /** Tells a session that someone else has its name now. */
  handleNameLost(user: string, session: string): void {
    const member = this.#members.get(user) ?? this.#newcomers.get(user)?.member;
    if (member?.id === session) member.onNameLost();
  }

  /** Hands an event, which is also given as one line of JSON, to everyone whom it concerns. */
  handleEvent(event: RoomEvent | Notice, line: string): void {
    switch (event.type) {
      case "notice":
        return this.#tell(event, line);
      case "message": {
        this.#last = event.id;
        const sender = this.#members.get(event.user);
        if (sender) this.#isOnlyOneBack = this.#expected === 1;
        return this.#tell(event, line, sender?.protocol.echoes ? undefined : sender);
      }
      case "left": {
        const holder = this.#members.get(event.user);
        if (holder) this.#seenLeaving.add(event.user);
        return this.#tell(event, line, holder);
      }
      case "joined": {
        const holder = this.#members.get(event.user);
        // Back after an outage: nobody here needs to hear of it who has not seen it leave.
        const isNews = holder?.id !== event.session || this.#seenLeaving.delete(event.user);
        if (isNews) this.#tell(event, line, holder);
        this.#admit(event.user, event.session, event.users);
      }
    }
  }

  /**
   * Lets what is heard wait a moment for a message that is on its way: both may reach everyone together.
   *
   * @param said settles when the store has answered
   */
  trackPublish(said: Promise<unknown>): void {
    this.#expected++;
    this.#isOnlyOneBack = false;
    said.then(this.#noteAnswer, this.#noteAnswer);
  }

  /** Whether a member is sure to hear something soon: see {@linkcode Broadcaster.willTell}. */
  willTell(member: Member): boolean {
    return this.#audiences.get(member.protocol)?.willTell(member) ?? false;
  }

  /** Most messages are back a moment before their answer: what is to be joined waits for that, but not what is alone. */
  get #isMoreExpected(): boolean {
    return this.#expected > (this.#isOnlyOneBack ? 1 : 0);
  }

  readonly #noteAnswer = (): void => {
    if (--this.#expected > 0) return;
    for (const audience of this.#audiences.values()) audience.expectNothing();
  };

  #tell(event: RoomEvent | Notice, line: string, except?: Member): void {
    for (const [protocol, audience] of this.#audiences) {
      audience.broadcast(event, line, except?.protocol === protocol ? except : undefined);
    }
  }

  #admit(user: string, session: string, users: number): void {
    const newcomer = this.#newcomers.get(user);
    if (newcomer?.member.id !== session) return;
    const { member, heard } = newcomer;
    this.#newcomers.delete(user);
    this.#members.set(user, member);
    const audience = this.#audiences.get(member.protocol) ??
      new Broadcaster(member.protocol, this.#maxFlushMs, () => this.#isMoreExpected);
    this.#audiences.set(member.protocol, audience);
    audience.add(member);
    member.onJoined(this.#last, users);
    heard();
  }
}
