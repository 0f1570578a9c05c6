/** Counts times to about 1.5 %: 64 steps for each doubling above 128 microseconds. */
export class Histogram {
  readonly #counts = new Float64Array(64 * 26);
  #count = 0;

  /** Counts a time in milliseconds, of up to half an hour. */
  add(milliseconds: number): void {
    const microseconds = Math.max(0, milliseconds * 1000) | 0;
    const shift = Math.max(0, 25 - Math.clz32(microseconds));
    this.#counts[shift * 64 + (microseconds >> shift)]++;
    this.#count++;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }

  /** The time in milliseconds that a share of all did not exceed; 0 if there is none. */
  quantile(share: number): number {
    let missing = Math.max(1, Math.ceil(this.#count * share));
    const index = this.#counts.findIndex((count) => (missing -= count) <= 0);
    if (index < 0) return 0;
    const shift = Math.max(0, (index >> 6) - 1);
    return (index - shift * 64) * 2 ** shift / 1000;
  }
}
