/** How long each waits. */
const SPACING_MS = 10;

/**
 * How many wait on a connection. Deno gives a program at most so many of its requests at once; more
 * can only wait if their peer has reset some, of which Deno tells nothing.
 */
const MAX_WAITING = 200;

/** How many wait on a connection, and the last wait. */
interface Waits {
  count: number;
  last: Promise<void>;
}

const waits = new Map<string, Waits>();

/**
 * Waits for 10 ms, after all earlier waits of the same connection. Deno goes on with the next
 * request of a connection only after the response; over HTTP/2, which it speaks with whoever begins
 * with it, not even then.
 *
 * @param connection the peer's address and port
 */
export async function spaceOut(connection: string): Promise<void> {
  const own = waits.get(connection) ?? { count: 0, last: Promise.resolve() };
  if (own.count === MAX_WAITING) return;
  waits.set(connection, own);
  own.count++;
  own.last = own.last.then(() => new Promise((resolve) => setTimeout(resolve, SPACING_MS)));
  await own.last;
  own.count--;
  if (own.count === 0) waits.delete(connection);
}
