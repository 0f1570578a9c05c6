import { BudgetMap } from "../limits/budget_map.ts";

/** How long each waits. */
const SPACING_MS = 10;

/** How many waits of a connection may follow one another before it is ended. */
const MAX_IN_A_ROW = 20;

/** After such a pause, a request was not sent before the last response. */
const PAUSE_MS = 50;

/** The waits of one connection. */
class Waits {
  #last = Promise.resolve();
  #pending = 0;
  #endMs = -Infinity;
  #inARow = 0;

  async next(): Promise<boolean> {
    // Over HTTP/2, requests come at once.
    if (this.#pending++ === 0) this.#inARow = this.isUnused() ? 1 : this.#inARow + 1;
    this.#last = this.#last.then(() => new Promise((resolve) => setTimeout(resolve, SPACING_MS)));
    await this.#last;
    this.#pending--;
    this.#endMs = performance.now();
    return this.#inARow <= MAX_IN_A_ROW;
  }

  isUnused(): boolean {
    return this.#pending === 0 && performance.now() - this.#endMs > PAUSE_MS;
  }
}

const waitsOf = new BudgetMap<Waits>();

/**
 * Waits for 10 ms, after all earlier waits of the same connection. Deno goes on with the next
 * request of a connection only after the response; over HTTP/2, which it speaks with whoever begins
 * with it, not even then.
 *
 * @param connection the peer's address and port
 * @returns `false` if so many have followed one another that the connection must be ended
 */
export function spaceOut(connection: string): Promise<boolean> {
  return waitsOf.of(connection, () => new Waits()).next();
}
