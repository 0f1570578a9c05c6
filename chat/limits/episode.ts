/** Counts the cases of one kind of trouble, so that the log has a line at its begin and its end. */
export class Episode {
  readonly #quietMs: number;
  readonly #onEnd: (count: number, durationMs: number) => void;
  #count = 0;
  #firstAt = 0;
  #lastAt = 0;

  /**
   * @param onEnd called when the trouble is over, with how many cases there were and how long they
   * lasted
   * @param quietMs it is over after this time without a case
   */
  constructor(onEnd: (count: number, durationMs: number) => void, quietMs = 10_000) {
    this.#quietMs = quietMs;
    this.#onEnd = onEnd;
  }

  /** Counts a case; returns whether the trouble begins with it. */
  record(): boolean {
    this.#lastAt = performance.now();
    if (++this.#count > 1) return false;
    this.#firstAt = this.#lastAt;
    this.#checkAfter(this.#quietMs);
    return true;
  }

  #checkAfter(ms: number): void {
    Deno.unrefTimer(setTimeout(() => {
      const quietFor = performance.now() - this.#lastAt;
      if (quietFor < this.#quietMs) return this.#checkAfter(this.#quietMs - quietFor);
      const count = this.#count;
      this.#count = 0;
      this.#onEnd(count, this.#lastAt - this.#firstAt);
    }, ms));
  }
}
