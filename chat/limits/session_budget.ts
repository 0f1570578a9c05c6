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
  /** How many bytes a room's log takes: Redis writes it anew to remove a message. */
  readonly historyBytes?: number;
}

/** What all sessions of one address share. */
export type SharedBudget = Pick<
  AddressBudget,
  | "bytes"
  | "lines"
  | "waitingBytes"
  | "isTooMuchWaiting"
  | "reads"
  | "takeNewRoom"
  | "takeDelivery"
  | "takeTokenCheck"
  | "chargeExcess"
  | "beStrict"
>;

/** The most frames of a client that may wait, if its lines have a limit. */
const MAX_WAITING_FRAMES = 1_024;

/**
 * What a waiting frame counts in addition to its text, because a short one costs mostly time. While
 * 100 clients of an address send one-byte frames without end, others wait for 48 ms (p99) at 1 KiB,
 * and for 11 to 43 ms at 4 KiB.
 */
const FRAME_COST_BYTES = 4 * 1024;

/** While too much of an address waits, each of its clients may have so much waiting. */
const MAX_FAIR_WAITING_FRAMES = 40;
const MAX_FAIR_WAITING_BYTES = 70 * 1024;

/** A client that exceeds its budget for so long is disconnected with 4429. */
export const MAX_EXCESS_MS = 10_000;

/** What a delivery costs beside the line of the message, counted in bytes. */
const DELIVERY_OVERHEAD_BYTES = 500;

/** What it costs to remove a message, counted in bytes delivered, if logs may have any size. */
const REMOVAL_BYTES = 4 * 1024 * 1024;

/** How often a client may tell that its user is typing. */
const TYPING_INTERVAL_MS = 3_000;

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
  /** What it shares with other clients of its address. */
  readonly address: SharedBudget;
  readonly #rates: ClientRates;
  readonly #messages: TokenBucket;
  readonly #lines: TokenBucket;
  readonly #bytes: TokenBucket;
  readonly #now: () => number;
  #nowMs = 0;
  #lineBytes = 0;
  #waitingFrames = 0;
  #waitingBytes = 0;
  #refusesUntilMs = -Infinity;
  /** The client has waited as it was told if it was quiet for so long. */
  #quietMs = 0;
  #firstRefusalMs = -Infinity;
  #lastTypingMs = -Infinity;
  #lastRefusalMs = -Infinity;

  /**
   * @param rates how fast the client may send
   * @param address what it shares with other clients
   * @param now a monotonic clock, in milliseconds
   */
  constructor(
    rates: ClientRates,
    address: SharedBudget,
    now: () => number = monotonicMs,
  ) {
    this.#messages = new TokenBucket(rates.maxMessagesPerSecond, 2);
    this.#lines = new TokenBucket(rates.maxLinesPerSecond, 10);
    this.#bytes = new TokenBucket(rates.maxBytesPerSecond, 8);
    this.#rates = rates;
    this.address = address;
    this.#now = now;
  }

  /** What the client is told: its limits of messages and bytes, as far as there are any. */
  get rates(): {
    readonly messagesPerSecond?: number;
    readonly messagesBurst?: number;
    readonly bytesPerSecond?: number;
    readonly bytesBurst?: number;
  } {
    return {
      messagesPerSecond: this.#rates.maxMessagesPerSecond || undefined,
      messagesBurst: this.#messages.burst || undefined,
      bytesPerSecond: this.#rates.maxBytesPerSecond || undefined,
      bytesBurst: this.#bytes.burst || undefined,
    };
  }

  /** Whether there is a limit of lines. */
  get hasLineLimit(): boolean {
    return this.#rates.maxLinesPerSecond > 0;
  }

  /** The time of the last line. What is done with it needs no other one. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** What the last line took, in bytes. */
  get lineBytes(): number {
    return this.#lineBytes;
  }

  /** How many bytes wait to be read. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Notes that more frames and bytes wait, or, if negative, fewer. */
  addWaiting(frames: number, bytes: number): void {
    this.#waitingFrames += frames;
    this.#waitingBytes += bytes;
    this.address.waitingBytes += bytes + FRAME_COST_BYTES * frames;
  }

  /** Notes that nothing waits any more. */
  clearWaiting(): void {
    this.addWaiting(-this.#waitingFrames, -this.#waitingBytes);
  }

  /** Whether too much waits: of the client, or of its address, if its part is more than fair. */
  get isTooMuchWaiting(): boolean {
    const [frames, bytes] = [this.#waitingFrames, this.#waitingBytes];
    return this.hasLineLimit && frames > MAX_WAITING_FRAMES ||
      (frames > MAX_FAIR_WAITING_FRAMES || bytes > MAX_FAIR_WAITING_BYTES) &&
        this.address.isTooMuchWaiting;
  }

  /**
   * Takes a line with so many bytes.
   *
   * @returns 0 if the line was taken, else in how many milliseconds it can be
   */
  takeLine(bytes: number): number {
    const now = this.#nowMs = this.#now();
    const waitMs = Math.max(
      this.#lines.msUntil(1, now),
      this.#bytes.msUntil(bytes, now),
      this.address.lines.msUntil(1, now),
      this.address.bytes.msUntil(bytes, now),
    );
    if (waitMs > 0) return waitMs;
    this.#lines.charge(1, now);
    this.#bytes.charge(bytes, now);
    this.address.lines.charge(1, now);
    this.address.bytes.charge(bytes, now);
    this.#lineBytes = bytes;
    return 0;
  }

  /** Whether all that was taken has come back. */
  isUnused(): boolean {
    const now = this.#now();
    const buckets = [this.#messages, this.#lines, this.#bytes];
    return now >= this.#refusesUntilMs &&
      buckets.every((bucket) => bucket.msUntil(bucket.burst, now) === 0);
  }

  /** Returns in how many milliseconds half of what a client may send at once has come back. */
  msUntilHalfFull(): number {
    const buckets = [this.#lines, this.#bytes, this.address.lines, this.address.bytes];
    return Math.max(...buckets.map((bucket) => bucket.msUntil(bucket.burst / 2, this.#nowMs)));
  }

  /**
   * Takes the message that the last line was.
   *
   * @param opensRoom whether its room has no message yet
   * @param receivers how many sessions of this instance receive it
   * @param isRemoval whether it removes another message
   * @returns `undefined` if it was taken
   */
  takeMessage(
    opensRoom: boolean,
    receivers: number,
    isRemoval = false,
  ): MessageRefusal | undefined {
    const now = this.#nowMs;
    const isFirst = now >= this.#refusesUntilMs;
    if (isFirst) {
      const removalBytes = isRemoval ? this.#rates.historyBytes || REMOVAL_BYTES : 0;
      const waitMs = this.#msUntilTaken(opensRoom, this.#deliveredBytes(receivers) + removalBytes);
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

  /** Takes the last line, which tells that the user is typing; returns whether it was taken. */
  takeTyping(receivers: number): boolean {
    const now = this.#nowMs;
    if (now - this.#lastTypingMs < TYPING_INTERVAL_MS) return false;
    if (this.address.takeDelivery(this.#deliveredBytes(receivers), now) > 0) return false;
    this.#lastTypingMs = now;
    return true;
  }

  /** Takes a message; returns 0, or in how many milliseconds it can be taken. */
  #msUntilTaken(opensRoom: boolean, deliveredBytes: number): number {
    const now = this.#nowMs;
    if (!this.#messages.take(1, now)) return this.#messages.msUntil(this.#messages.burst / 2, now);
    const waitMs = opensRoom ? this.address.takeNewRoom() : 0;
    return waitMs || this.address.takeDelivery(deliveredBytes, now);
  }

  /** What it costs to deliver the last line. */
  #deliveredBytes(receivers: number): number {
    return (this.#lineBytes + DELIVERY_OVERHEAD_BYTES) * receivers;
  }
}

function monotonicMs(): number {
  return performance.now();
}
