/**
 * Keeps a client below a rate of the server. It uses half of the server's burst, because what the
 * network has delayed may arrive at once.
 */
export class Pace {
  readonly #msPerUnit: number;
  readonly #burstMs: number;
  #fullAtMs = -Infinity;

  /**
   * Starts with half a burst.
   *
   * @param perSecond how much may be sent a second; by default anything
   * @param burst how much the server takes at once
   */
  constructor(perSecond = Infinity, burst = 0) {
    this.#msPerUnit = 1000 / perSecond;
    this.#burstMs = burst / 2 * this.#msPerUnit;
  }

  /**
   * Returns in how many milliseconds so much can be sent.
   *
   * @param nowMs a monotonic clock, in milliseconds
   */
  msUntil(count: number, nowMs: number): number {
    const missing = Math.min(count * this.#msPerUnit, this.#burstMs) - this.#burstMs;
    return Math.max(0, Math.max(0, this.#fullAtMs - nowMs) + missing);
  }

  /** Counts what is sent. */
  take(count: number, nowMs: number): void {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + count * this.#msPerUnit;
  }
}
