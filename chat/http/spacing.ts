/** How long each waits. */
const SPACING_MS = 10;

/** The last wait of each connection. */
const lastWaits = new Map<string, Promise<void>>();

/**
 * Waits for 10 ms, after all earlier waits of the same connection. Deno goes on with the next
 * request of a connection only after the response; over HTTP/2, which it speaks with whoever begins
 * with it, not even then.
 *
 * @param connection the peer's address and port
 */
export async function spaceOut(connection: string): Promise<void> {
  const wait = (lastWaits.get(connection) ?? Promise.resolve())
    .then(() => new Promise<void>((resolve) => setTimeout(resolve, SPACING_MS)));
  lastWaits.set(connection, wait);
  await wait;
  if (lastWaits.get(connection) === wait) lastWaits.delete(connection);
}
