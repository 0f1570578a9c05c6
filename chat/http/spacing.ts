import { BudgetMap } from "../limits/budget_map.ts";

/** How long each waits. */
const SPACING_MS = 10;

/** How many waits of a connection may follow one another before it is ended. */
const MAX_IN_A_ROW = 20;

/** After such a pause, a request was not sent before the last response. */
const PAUSE_MS = 50;

/**
 * How many wait on a connection. Deno gives a program at most so many of its requests at once; more
 * can only wait if their peer has reset some, of which Deno tells nothing.
 */
const MAX_WAITING = 200;

/** The waits of one connection. */
class Waits {
  #last = Promise.resolve();
  #waiting = 0;
  #endMs = -Infinity;
  #inARow = 0;

  async next(): Promise<boolean> {
    if (this.#waiting >= MAX_WAITING) return false;
    // Over HTTP/2, requests come at once.
    if (this.#waiting === 0) this.#inARow = this.isUnused() ? 1 : this.#inARow + 1;
    this.#waiting++;
    this.#last = this.#last.then(() => new Promise((resolve) => setTimeout(resolve, SPACING_MS)));
    await this.#last;
    this.#waiting--;
    this.#endMs = performance.now();
    return this.#inARow <= MAX_IN_A_ROW;
  }

  isUnused(): boolean {
    return this.#waiting === 0 && performance.now() - this.#endMs > PAUSE_MS;
  }
}

const waitsOf = new BudgetMap<Waits>();

/**
 * Waits for 10 ms, after all earlier waits of the same connection. Deno goes on with the next
 * request of a connection only after the response; over HTTP/2, which it speaks with whoever begins
 * with it, not even then.
 *
 * @param connection the peer's address and port
 * @returns `false` if so many wait or have followed one another that the connection must be ended
 */
export function spaceOut(connection: string): Promise<boolean> {
  return waitsOf.of(connection, () => new Waits()).next();
}
