import type { Member } from "./member.ts";
import type { Protocol } from "../protocol/protocol.ts";

/** What goes to one member in a turn is about so long, in characters, unless one message is longer. */
const LONGEST = 48 * 1024;

/** What the members of an audience are told together. */
export class Batch {
  readonly #protocol: Protocol;
  readonly #frames: string[] = [];
  #length = 0;
  /** Who came after its first frames, and how many these were. */
  readonly #newcomers = new Map<Member, number>();
  /** Who does not hear what. */
  readonly #exceptions = new Map<Member, Set<number>>();
  /** What everyone else hears. */
  #joined: string[] | undefined;

  /** @param protocol how they speak */
  constructor(protocol: Protocol) {
    this.#protocol = protocol;
  }

  /** Whether it is long enough. */
  get isFull(): boolean {
    return this.#length >= LONGEST;
  }

  /** Adds a frame, for everyone but one member, if there is such a one. */
  add(frame: string, except?: Member): void {
    const place = this.#frames.push(frame) - 1;
    this.#length += frame.length;
    if (!except) return;
    const exceptions = this.#exceptions.get(except);
    if (exceptions) exceptions.add(place);
    else this.#exceptions.set(except, new Set([place]));
  }

  /** Takes note of someone who hears only what is added from here on. */
  welcome(member: Member): void {
    if (this.#frames.length > 0) this.#newcomers.set(member, this.#frames.length);
  }

  /** Whether a member hears the same of it as everyone else. */
  isWholeFor(member: Member): boolean {
    return !this.#newcomers.has(member) && !this.#exceptions.has(member);
  }

  /** The frames for one member, when everything has been added. */
  of(member: Member): readonly string[] {
    if (this.isWholeFor(member)) return this.#joined ??= this.#protocol.batch(this.#frames);
    const from = this.#newcomers.get(member) ?? 0;
    const exceptions = this.#exceptions.get(member);
    const heard = this.#frames.filter((_, place) => place >= from && !exceptions?.has(place));
    return this.#protocol.batch(heard);
  }
}
