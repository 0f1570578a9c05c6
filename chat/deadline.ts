/** How long one look takes, in milliseconds. */
const SLICE = 250;

/**
 * Waits for a promise, but not longer than some milliseconds. The time is counted in slices of 250 ms, between which
 * whatever has come is looked at: so a process that was too busy to look does not take that for silence.
 *
 * @param milliseconds how long to wait
 * @param promise what to wait for; it goes on by itself where the time runs out
 * @returns what the promise resolves to
 * @throws {Deno.errors.TimedOut} if the time runs out first
 */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  let slices = Math.ceil(milliseconds / SLICE);
  const timer = setInterval(() => {
    if (--slices === 0) reject(new Deno.errors.TimedOut(`nothing came within ${milliseconds} ms`));
  }, SLICE);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearInterval(timer);
  }
}
