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
export type SharedBudget = Pick<AddressBudget, "bytes" | "takeNewRoom">;

/** A client that exceeds its budget for so long is disconnected with 4429. */
export const MAX_EXCESS_MS = 10_000;

/** What exceeds the budget after so long a pause counts as the first. */
export const EXCESS_PAUSE_MS = 5_000;

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
  readonly #messages: TokenBucket;
  readonly #lines: TokenBucket;
  readonly #bytes: TokenBucket;
  readonly #address: SharedBudget;
  readonly #now: () => number;
  #nowMs = 0;
  #refusesUntilMs = -Infinity;
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
    this.#address = address;
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
      this.#address.bytes.msUntil(chars, now),
    );
    if (waitMs > 0) return waitMs;
    this.#lines.take(1, now);
    this.#bytes.take(chars, now);
    this.#address.bytes.take(chars, now);
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
    const buckets = [this.#lines, this.#bytes, this.#address.bytes];
    return Math.max(...buckets.map((bucket) => bucket.msUntilHalfFull(this.#nowMs)));
  }

  /**
   * Takes the message that the last line was.
   *
   * @param opensRoom whether its room has no message yet
   * @returns `undefined` if it was taken
   */
  takeMessage(opensRoom: boolean): MessageRefusal | undefined {
    const now = this.#nowMs;
    const isFirst = now >= this.#refusesUntilMs;
    if (isFirst) {
      const waitMs = this.#messages.take(1, now)
        ? opensRoom ? this.#address.takeNewRoom() : 0
        : this.#messages.msUntilHalfFull(now);
      if (waitMs === 0) return;
      this.#refusesUntilMs = now + waitMs;
    }
    if (now - this.#lastRefusalMs > EXCESS_PAUSE_MS) this.#firstRefusalMs = now;
    this.#lastRefusalMs = now;
    return {
      retryAfterMs: Math.ceil(this.#refusesUntilMs - now),
      isFirst,
      isExcessive: now - this.#firstRefusalMs >= MAX_EXCESS_MS,
    };
  }
}
