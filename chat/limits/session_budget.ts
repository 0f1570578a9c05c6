import type { AddressBudget } from "./address_budgets.ts";
import { TokenBucket } from "../protocol/token_bucket.ts";

/** How fast one client may send; 0 for no limit. */
export interface ClientRates {
  /** Messages a second, after twice as many at once. */
  readonly maxMessagesPerSecond: number;
  /** Lines of any kind a second, after ten times as many at once. */
  readonly maxLinesPerSecond: number;
  /** Bytes a second, after eight times as many at once. */
  readonly maxBytesPerSecond: number;
}

/** What all sessions of one address share. */
export type SharedBudget = Pick<
  AddressBudget,
  "bytes" | "lines" | "reads" | "takeNewRoom" | "takeDelivery" | "takeTokenCheck" | "chargeExcess"
>;

/** A client that exceeds its budget for so long is disconnected with 4429. */
export const MAX_EXCESS_MS = 10_000;

/** What a delivery costs beside the line of the message, counted in bytes. */
const DELIVERY_OVERHEAD_BYTES = 500;

/** Why a message is not taken. */
export interface MessageRefusal {
  /** So long every further message is refused too, so that messages keep their order. */
  readonly retryAfterMs: number;
  /** Whether this is the first message that is refused in this time. */
  readonly isFirst: boolean;
  /** Whether the client goes on although its messages are refused. */
  readonly isExcessive: boolean;
}

/** What one client may send. */
export class SessionBudget {
  /** What the client is told: its limits of messages and bytes, as far as there are any. */
  readonly rates: {
    readonly messagesPerSecond?: number;
    readonly messagesBurst?: number;
    readonly bytesPerSecond?: number;
    readonly bytesBurst?: number;
  };
  /** What it shares with other clients of its address. */
  readonly address: SharedBudget;
  readonly #messages: TokenBucket;
  readonly #lines: TokenBucket;
  readonly #bytes: TokenBucket;
  readonly #now: () => number;
  #nowMs = 0;
  #lineChars = 0;
  #refusesUntilMs = -Infinity;
  /** The client has waited as it was told if it was quiet for so long. */
  #quietMs = 0;
  #firstRefusalMs = -Infinity;
  #lastRefusalMs = -Infinity;

  /**
   * @param rates how fast the client may send
   * @param address what it shares with other clients
   * @param now a monotonic clock, in milliseconds
   */
  constructor(
    rates: ClientRates,
    address: SharedBudget,
    now: () => number = () => performance.now(),
  ) {
    this.#messages = new TokenBucket(rates.maxMessagesPerSecond, 2);
    this.#lines = new TokenBucket(rates.maxLinesPerSecond, 10);
    this.#bytes = new TokenBucket(rates.maxBytesPerSecond, 8);
    this.rates = {
      messagesPerSecond: rates.maxMessagesPerSecond || undefined,
      messagesBurst: this.#messages.burst || undefined,
      bytesPerSecond: rates.maxBytesPerSecond || undefined,
      bytesBurst: this.#bytes.burst || undefined,
    };
    this.address = address;
    this.#now = now;
  }

  /** The time of the last line. What is done with it needs no other one. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /**
   * Takes a line with so many characters.
   *
   * @returns 0 if the line was taken, else in how many milliseconds it can be
   */
  takeLine(chars: number): number {
    const now = this.#nowMs = this.#now();
    const waitMs = Math.max(
      this.#lines.msUntil(1, now),
      this.#bytes.msUntil(chars, now),
      this.address.lines.msUntil(1, now),
      this.address.bytes.msUntil(chars, now),
    );
    if (waitMs > 0) return waitMs;
    this.#lines.charge(1, now);
    this.#bytes.charge(chars, now);
    this.address.lines.charge(1, now);
    this.address.bytes.charge(chars, now);
    this.#lineChars = chars;
    return 0;
  }

  /** Whether all that was taken has come back. */
  isUnused(): boolean {
    const now = this.#now();
    const buckets = [this.#messages, this.#lines, this.#bytes];
    return now >= this.#refusesUntilMs && buckets.every((bucket) => bucket.isFull(now));
  }

  /** Returns in how many milliseconds half of what a client may send at once has come back. */
  msUntilHalfFull(): number {
    const buckets = [this.#lines, this.#bytes, this.address.lines, this.address.bytes];
    return Math.max(...buckets.map((bucket) => bucket.msUntilHalfFull(this.#nowMs)));
  }

  /**
   * Takes the message that the last line was.
   *
   * @param opensRoom whether its room has no message yet
   * @param receivers how many sessions of this instance receive it
   * @returns `undefined` if it was taken
   */
  takeMessage(opensRoom: boolean, receivers: number): MessageRefusal | undefined {
    const now = this.#nowMs;
    const isFirst = now >= this.#refusesUntilMs;
    if (isFirst) {
      const waitMs = this.#msUntilTaken(opensRoom, receivers);
      if (waitMs === 0) return;
      if (now - this.#lastRefusalMs >= this.#quietMs) this.#firstRefusalMs = now;
      this.#refusesUntilMs = now + waitMs;
      // What was on its way when the client was told is refused a little later.
      this.#quietMs = waitMs / 2;
    }
    this.#lastRefusalMs = now;
    return {
      retryAfterMs: Math.ceil(this.#refusesUntilMs - now),
      isFirst,
      isExcessive: now - this.#firstRefusalMs >= MAX_EXCESS_MS,
    };
  }

  /** Takes a message; returns 0, or in how many milliseconds it can be taken. */
  #msUntilTaken(opensRoom: boolean, receivers: number): number {
    const now = this.#nowMs;
    if (!this.#messages.take(1, now)) return this.#messages.msUntilHalfFull(now);
    const waitMs = opensRoom ? this.address.takeNewRoom() : 0;
    const bytes = (this.#lineChars + DELIVERY_OVERHEAD_BYTES) * receivers;
    return waitMs || this.address.takeDelivery(bytes, now);
  }
}
