/**
 * Waits for a promise, but not longer than some milliseconds.
 *
 * @param milliseconds how long to wait
 * @param promise what to wait for; it goes on by itself where the time runs out
 * @returns what the promise resolves to
 * @throws {Deno.errors.TimedOut} if the time runs out first
 */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Deno.errors.TimedOut(`nothing came within ${milliseconds} ms`)),
    milliseconds,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
