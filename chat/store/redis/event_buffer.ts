import type { RoomEvent } from "../../protocol/events.ts";

/** The most characters that are buffered. */
const MAX_CHARS = 16 * 1024 * 1024;

/** What an event takes beside its line, counted in characters. */
const EVENT_OVERHEAD_CHARS = 200;

/** An event, and the same as one line of JSON. */
export interface Received {
  readonly event: RoomEvent;
  readonly line: string;
}

/** What a room has received, and what is not delivered yet. */
export class EventBuffer implements Iterable<Received> {
  #received: Received[] = [];
  #chars = 0;

  get length(): number {
    return this.#received.length;
  }

  /** Whether there is more than a gap fill may take. */
  get isFull(): boolean {
    return this.#chars > MAX_CHARS;
  }

  push(received: Received): void {
    this.#received.push(received);
    this.#chars += charsOf(received);
  }

  /** Takes out the first event. */
  shift(): Received | undefined {
    const received = this.#received.shift();
    if (received) this.#chars -= charsOf(received);
    return received;
  }

  /** Puts an event that was taken out back to the front. */
  unshift(received: Received): void {
    this.#received.unshift(received);
    this.#chars += charsOf(received);
  }

  clear(): void {
    this.#received = [];
    this.#chars = 0;
  }

  [Symbol.iterator](): Iterator<Received> {
    return this.#received[Symbol.iterator]();
  }
}

function charsOf({ line }: Received): number {
  return line.length + EVENT_OVERHEAD_CHARS;
}
