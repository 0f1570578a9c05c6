import { setImmediate as endOfTurn, setTimeout as sleep } from "node:timers/promises";

/** The first waits until the end of this turn of the event loop, the second some milliseconds. */
export { endOfTurn, sleep };

/** How long a test waits for one thing. It fails then, so that a broken test does not hang. */
export const TIMEOUT_MS = 60_000;

/**
 * Waits until a condition holds.
 *
 * @param condition checked at once, and then again and again
 * @param pollMs how long to wait between two checks; without it, until the end of the turn
 * @throws {Error} if the condition does not hold within {@linkcode TIMEOUT_MS}
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  pollMs?: number,
): Promise<void> {
  const start = performance.now();
  while (!await condition()) {
    if (performance.now() - start > TIMEOUT_MS) {
      throw new Error(`this does not hold within ${TIMEOUT_MS} ms: ${condition}`);
    }
    await (pollMs === undefined ? endOfTurn() : sleep(pollMs));
  }
}

/** Formats how many seconds have passed since a `performance.now()`. */
export function secondsSince(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
