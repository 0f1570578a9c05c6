/**
 * Counts durations with an error of about 1.5 %: 64 buckets for each doubling above 128
 * microseconds.
 */
export class Histogram {
  readonly #counts = new Float64Array(64 * 26);
  #count = 0;

  /** Counts a duration of up to half an hour. */
  add(durationMs: number): void {
    const microseconds = Math.max(0, durationMs * 1000) | 0;
    const shift = Math.max(0, 25 - Math.clz32(microseconds));
    this.#counts[shift * 64 + (microseconds >> shift)]++;
    this.#count++;
  }

  /** Removes all durations. */
  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }

  /**
   * Returns the duration in milliseconds that `share` of all durations do not exceed; 0 if there
   * are none.
   */
  quantile(share: number): number {
    let missing = Math.max(1, Math.ceil(this.#count * share));
    const index = this.#counts.findIndex((count) => (missing -= count) <= 0);
    if (index < 0) return 0;
    const shift = Math.max(0, (index >> 6) - 1);
    return (index - shift * 64) * 2 ** shift / 1000;
  }
}
