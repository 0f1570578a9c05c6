/** There is no sweep while there are fewer budgets. */
const MIN_SWEEP_SIZE = 1_000;

/** Budgets by what they belong to. One that is as new can be forgotten. */
export class BudgetMap<Budget extends { isUnused(): boolean }> {
  readonly #budgets = new Map<string, Budget>();
  #sweepAtSize = MIN_SWEEP_SIZE;

  /** How many budgets are known. */
  get size(): number {
    return this.#budgets.size;
  }

  /** Returns the budget of something, which is made if it is not known. */
  of(key: string, make: () => Budget): Budget {
    const known = this.#budgets.get(key);
    if (known) return known;
    if (this.#budgets.size >= this.#sweepAtSize) this.#sweep();
    const budget = make();
    this.#budgets.set(key, budget);
    return budget;
  }

  /** Forgets the budgets that are as new. The next sweep is so far away that each costs little. */
  #sweep(): void {
    for (const [key, budget] of this.#budgets) if (budget.isUnused()) this.#budgets.delete(key);
    this.#sweepAtSize = Math.max(MIN_SWEEP_SIZE, 2 * this.#budgets.size);
  }
}
