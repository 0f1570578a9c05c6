import { TokenBucket } from "./token_bucket.ts";

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
export interface AddressBudget {
  /** The bytes that they may send; `undefined` if nothing limits them. */
  readonly bytes?: TokenBucket;
  /**
   * Takes the first message of a room from what the address may send.
   *
   * @returns 0 if it was taken, else in how many milliseconds it can be
   */
  takeNewRoom(): number;
}

/** The budget of an address without limits. */
export const UNLIMITED_ADDRESS: AddressBudget = { takeNewRoom: () => 0 };

/** Refusals that go on for so long, with no pause of `QUIET_MS`, are too many. */
const MAX_EXCESS_MS = 10_000;
const QUIET_MS = 5_000;

/** Why a message is not taken. */
export interface Refusal {
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
  readonly #address: AddressBudget;
  /** Whether nothing is limited, so that the time does not matter. */
  readonly #isUnlimited: boolean;
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
    address: AddressBudget = UNLIMITED_ADDRESS,
    now: () => number = () => performance.now(),
  ) {
    const messages = {
      perSecond: rates.maxMessagesPerSecond,
      burst: 2 * rates.maxMessagesPerSecond,
    };
    const bytes = { perSecond: rates.maxBytesPerSecond, burst: 8 * rates.maxBytesPerSecond };
    const lines = { perSecond: rates.maxLinesPerSecond, burst: 10 * rates.maxLinesPerSecond };
    this.rates = {
      messagesPerSecond: messages.perSecond || undefined,
      messagesBurst: messages.burst || undefined,
      bytesPerSecond: bytes.perSecond || undefined,
      bytesBurst: bytes.burst || undefined,
    };
    this.#messages = new TokenBucket(messages);
    this.#lines = new TokenBucket(lines);
    this.#bytes = new TokenBucket(bytes);
    this.#address = address;
    this.#isUnlimited = address === UNLIMITED_ADDRESS &&
      [messages, lines, bytes].every(({ perSecond }) => perSecond === 0);
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
    if (this.#isUnlimited) return 0;
    const now = this.#nowMs = this.#now();
    const address = this.#address.bytes;
    const waitMs = Math.max(
      this.#lines.msUntil(1, now),
      this.#bytes.msUntil(chars, now),
      address ? address.msUntil(chars, now) : 0,
    );
    if (waitMs > 0) return waitMs;
    this.#lines.take(1, now);
    this.#bytes.take(chars, now);
    address?.take(chars, now);
    return 0;
  }

  /** Returns in how many milliseconds half of what a client may send at once has come back. */
  msUntilHalfFull(): number {
    const buckets = [this.#lines, this.#bytes, this.#address.bytes];
    return Math.max(...buckets.map((bucket) => bucket?.msUntilHalfFull(this.#nowMs) ?? 0));
  }

  /**
   * Takes the message that the last line was.
   *
   * @param opensRoom whether its room has no message yet
   * @returns `undefined` if it was taken
   */
  takeMessage(opensRoom: boolean): Refusal | undefined {
    const now = this.#nowMs;
    const isFirst = now >= this.#refusesUntilMs;
    if (isFirst) {
      const waitMs = this.#messages.take(1, now)
        ? opensRoom ? this.#address.takeNewRoom() : 0
        : this.#messages.msUntilHalfFull(now);
      if (waitMs === 0) return;
      this.#refusesUntilMs = now + waitMs;
    }
    if (now - this.#lastRefusalMs > QUIET_MS) this.#firstRefusalMs = now;
    this.#lastRefusalMs = now;
    return {
      retryAfterMs: Math.ceil(this.#refusesUntilMs - now),
      isFirst,
      isExcessive: now - this.#firstRefusalMs >= MAX_EXCESS_MS,
    };
  }
}
