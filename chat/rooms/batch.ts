import type { Encoding } from "../protocol/protocol.ts";
import type { Receiver } from "./member.ts";

/** The length at which a batch is full. It limits how much one member is sent in a turn. */
const FULL_CHARS = 48 * 1024;

/**
 * The same for a batch without messages. Deno keeps a buffer of the longest frame so far for each
 * socket: many joins at once would cost each member 2 KiB for as long as it is connected.
 */
const FULL_CHARS_WITHOUT_MESSAGES = 900;

/**
 * The frames that a broadcaster sends to its members in one flush. Most members get all of them.
 */
export class Batch {
  readonly #protocol: Encoding;
  readonly #frames: string[] = [];
  #chars = 0;
  #fullChars: number;
  /** How many frames were there before a member joined: that member gets only the later ones. */
  readonly #skipped = new Map<Receiver, number>();
  /** Which single frames a member does not get. */
  readonly #excluded = new Map<Receiver, Set<number>>();
  /** What all other members get, encoded once. */
  #shared: string[] | undefined;

  constructor(protocol: Encoding) {
    this.#protocol = protocol;
    this.#fullChars = protocol.canBatch ? FULL_CHARS_WITHOUT_MESSAGES : FULL_CHARS;
  }

  /** Whether the next frame should go to another batch. */
  get isFull(): boolean {
    return this.#chars >= this.#fullChars;
  }

  /** Adds a frame, of a message or not, for everyone except some members. */
  add(frame: string, isMessage: boolean, except: readonly Receiver[]): void {
    const index = this.#frames.push(frame) - 1;
    this.#chars += frame.length;
    if (isMessage) this.#fullChars = FULL_CHARS;
    for (const member of except) {
      if (member.protocol !== this.#protocol) continue;
      const excluded = this.#excluded.get(member);
      if (excluded) excluded.add(index);
      else this.#excluded.set(member, new Set([index]));
    }
  }

  /** Notes that a member joined now, and gets only the frames that are added from here on. */
  skipFor(member: Receiver): void {
    if (this.#frames.length > 0) this.#skipped.set(member, this.#frames.length);
  }

  /** Whether a member gets every frame. */
  isCompleteFor(member: Receiver): boolean {
    return !this.#skipped.has(member) && !this.#excluded.has(member);
  }

  /** Returns the frames for one member. No frame can be added after the first call. */
  framesFor(member: Receiver): readonly string[] {
    if (this.isCompleteFor(member)) return this.#shared ??= this.#protocol.batch(this.#frames);
    const first = this.#skipped.get(member) ?? 0;
    const excluded = this.#excluded.get(member);
    const frames = this.#frames.filter((_, index) => index >= first && !excluded?.has(index));
    return this.#protocol.batch(frames);
  }
}
