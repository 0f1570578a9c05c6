/**
 * A token bucket: it starts full, {@linkcode TokenBucket.take} takes tokens out, and they come back
 * at a constant rate. See https://en.wikipedia.org/wiki/Token_bucket
 *
 * @example
 * ```ts
 * import { TokenBucket } from "./token_bucket.ts";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const bucket = new TokenBucket(20, 2);
 * assert(bucket.take(40, 0));
 * assert(!bucket.take(1, 0));
 * assertEquals(bucket.msUntil(1, 0), 50);
 * assert(bucket.take(1, 50));
 * ```
 */
export class TokenBucket {
  /** How many tokens the bucket holds. */
  readonly burst: number;
  readonly #msPerToken: number;
  /** When the bucket is full again. */
  #fullAtMs = -Infinity;

  /**
   * @param perSecond how many tokens come back a second; 0 for no limit
   * @param burstSeconds in which time an empty bucket is full
   */
  constructor(perSecond: number, burstSeconds: number) {
    this.#msPerToken = perSecond === 0 ? 0 : 1000 / perSecond;
    this.burst = perSecond * burstSeconds;
  }

  /**
   * Takes tokens, all of them or none. Whoever needs more than the bucket holds gets them when it
   * is full; then the bucket is in debt.
   *
   * @param nowMs a monotonic clock, in milliseconds
   * @returns whether they were taken
   */
  take(count: number, nowMs: number): boolean {
    if (this.msUntil(count, nowMs) > 0) return false;
    this.charge(count, nowMs);
    return true;
  }

  /** Takes tokens, whether or not the bucket has them. */
  charge(count: number, nowMs: number): void {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + count * this.#msPerToken;
  }

  /** Returns in how many milliseconds so many tokens can be taken, rounded up. */
  msUntil(count: number, nowMs: number): number {
    if (this.#msPerToken === 0) return 0;
    const missing = Math.min(count, this.burst) - this.burst;
    const fullInMs = Math.max(0, this.#fullAtMs - nowMs);
    return Math.max(0, Math.ceil(fullInMs + missing * this.#msPerToken));
  }
}
