import type { Event, Notice } from "./events.ts";
import { line } from "./protocol/text.ts";

/** What a room needs of a session. */
export interface Member {
  /** The name of the user. */
  readonly user: string;
  /** Names this connection, whoever else has the name before or after it. */
  readonly id: string;
  /** Called once, when the room has heard that this member joined: from here on it gets what is said. */
  admit(): void;
  /** Gives the client one frame. */
  send(frame: string): void;
  /** Called when someone else got the name in an outage: this session has to go. */
  lose(): void;
}

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
  readonly #newcomers = new Map<string, Newcomer>();
  /** The members whom everyone saw leave, because this instance was taken for dead. */
  readonly #seenLeaving = new Set<string>();

  /** Whether nobody is here or about to be. */
  get isEmpty(): boolean {
    return this.#members.size === 0 && this.#newcomers.size === 0;
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
  expect(member: Member): Promise<void> {
    return new Promise((heard) => this.#newcomers.set(member.user, { member, heard }));
  }

  /** Gives up a place that was kept by {@linkcode Room.expect}, unless its holder has been admitted. */
  giveUp(member: Member): void {
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
    return this.#members.delete(member.user);
  }

  /** Tells a session that someone else has its name now. */
  lose(user: string, session: string): void {
    const member = this.#members.get(user) ?? this.#newcomers.get(user)?.member;
    if (member?.id === session) member.lose();
  }

  /** Hands an event to everyone whom it concerns. */
  hear(event: Event | Notice): void {
    if (event.type === "notice") return this.#tell(event);
    const holder = this.#members.get(event.user);
    if (event.type === "left" && holder) this.#seenLeaving.add(event.user);
    if (event.type === "joined" && holder?.id === event.session) {
      // Back after an outage: nobody here needs to hear of it who has not seen it leave.
      if (!this.#seenLeaving.delete(event.user)) return;
    }
    this.#tell(event, holder);
    if (event.type === "joined") this.#admit(event.user, event.session);
  }

  #tell(event: Event | Notice, except?: Member): void {
    const frame = line(event);
    for (const member of this.#members.values()) {
      if (member !== except) member.send(frame);
    }
  }

  #admit(user: string, session: string): void {
    const newcomer = this.#newcomers.get(user);
    if (newcomer?.member.id !== session) return;
    this.#newcomers.delete(user);
    this.#members.set(user, newcomer.member);
    newcomer.member.admit();
    newcomer.heard();
  }
}
