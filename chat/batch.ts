import type { Member } from "./member.ts";
import type { Protocol } from "./protocol/protocol.ts";

/** What the members of an audience are told together. */
export class Batch {
  readonly #protocol: Protocol;
  readonly #frames: string[] = [];
  /** Who came when it had begun, and how much had happened before. */
  readonly #newcomers = new Map<Member, number>();
  /** Who does not hear what. */
  readonly #exceptions = new Map<Member, number[]>();
  /** What everyone else hears. */
  #joined: string[] | undefined;

  /** @param protocol how they speak */
  constructor(protocol: Protocol) {
    this.#protocol = protocol;
  }

  /** How many frames it has before they are joined. */
  get size(): number {
    return this.#frames.length;
  }

  /** Adds a frame, for everyone but one member, if there is such a one. */
  add(frame: string, except?: Member): void {
    const place = this.#frames.push(frame) - 1;
    if (!except) return;
    const exceptions = this.#exceptions.get(except);
    if (exceptions) exceptions.push(place);
    else this.#exceptions.set(except, [place]);
  }

  /** Takes note of someone who hears only what is added from here on. */
  welcome(member: Member): void {
    this.#newcomers.set(member, this.#frames.length);
  }

  /** The frames for one member, when everything has been added. */
  of(member: Member): readonly string[] {
    const from = this.#newcomers.get(member) ?? 0;
    const exceptions = this.#exceptions.get(member);
    if (from === 0 && !exceptions) return this.#joined ??= this.#protocol.join(this.#frames);
    const heard = this.#frames.filter((_, place) => place >= from && !exceptions?.includes(place));
    return this.#protocol.join(heard);
  }
}
