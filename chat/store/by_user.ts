const NONE: readonly never[] = [];

/** What belongs to users, such as sessions: one user can have several. */
export class ByUser<T extends { readonly user: string }> {
  readonly #lists = new Map<string, readonly T[]>();
  #size = 0;

  /** How many there are of all users. */
  get size(): number {
    return this.#size;
  }

  /** All of one user, in the order in which they were added. No later call changes the list. */
  of(user: string): readonly T[] {
    return this.#lists.get(user) ?? NONE;
  }

  /** All of all users. */
  all(): T[] {
    return [...this.#lists.values()].flat();
  }

  /** Tells whether an item was added, and not deleted. */
  has(item: T): boolean {
    return this.of(item.user).includes(item);
  }

  /** Adds an item that is not there. */
  add(item: T): void {
    // Unlike a spread, it takes no memory for items that may come.
    this.#lists.set(item.user, this.of(item.user).concat(item));
    this.#size++;
  }

  /** Deletes an item; returns whether it was there. */
  delete(item: T): boolean {
    if (!this.has(item)) return false;
    const rest = this.of(item.user).filter((other) => other !== item);
    if (rest.length > 0) this.#lists.set(item.user, rest);
    else this.#lists.delete(item.user);
    this.#size--;
    return true;
  }
}
