/** The interval at which a deadline checks whether the promise has settled, in milliseconds. */
const CHECK_INTERVAL_MS = 250;

/**
 * Waits for a promise, but no longer than a number of milliseconds. The deadline counts timer ticks
 * of 250 ms instead of reading a clock. The event loop handles what has arrived between two ticks,
 * so a process that was too busy to read does not mistake its own pause for silence.
 *
 * @param promise what to wait for; it keeps running after the deadline
 * @param milliseconds how long to wait, rounded up to a multiple of 250
 * @returns what the promise resolves to
 * @throws {Deno.errors.TimedOut} if the deadline passes first
 *
 * @example
 * ```ts
 * import { deadline } from "./deadline.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await deadline(Promise.resolve("done"), 1_000), "done");
 * ```
 */
export async function deadline<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  let ticks = Math.ceil(milliseconds / CHECK_INTERVAL_MS);
  const timer = setInterval(() => {
    if (--ticks === 0) reject(new Deno.errors.TimedOut(`no answer within ${milliseconds} ms`));
  }, CHECK_INTERVAL_MS);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearInterval(timer);
  }
}
