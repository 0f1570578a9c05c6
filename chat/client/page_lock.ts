/**
 * Tells a page that was reloaded from one whose tab was duplicated. Both begin with the same
 * `sessionStorage`, but the original of a duplicate still lives.
 *
 * @module
 */

/** How long a page waits for a lock. The page from which it was reloaded may still hold it. */
const LOCK_TIMEOUT_MS = 1_000;

/** How long a page waits for an answer of other pages the last time; before that, twice as long. */
const OTHERS_TIMEOUT_MS = 70;

/** What is used here of Web Locks. Deno's types do not have them. */
interface Locks {
  request(
    name: string,
    options: { signal: AbortSignal },
    hold: () => Promise<never>,
  ): Promise<never>;
}

/**
 * Locks a name for as long as this page lives.
 *
 * @param isNew whether this page has made the name: then nobody else has it
 * @returns `false` if another page holds the lock; `true` in programs, which have no tabs
 */
export async function lockForPage(name: string, isNew?: boolean): Promise<boolean> {
  if (!("document" in globalThis)) return true;
  // A page that was loaded over plain HTTP has no Web Locks.
  const { locks } = navigator as unknown as { locks?: Locks };
  return await (locks ? requestLock(locks, name) : askOtherPages(name, isNew ? 0 : 2));
}

function requestLock(locks: Locks, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(LOCK_TIMEOUT_MS);
    locks.request(name, { signal }, () => {
      resolve(true);
      // The page holds the lock for as long as it lives.
      return new Promise(() => {});
    }).catch(() => resolve(false));
  });
}

/** Asks other pages, and again: Chromium can lose all that the channel of a new tab sends. */
async function askOtherPages(name: string, waits: number): Promise<boolean> {
  const channel = new BroadcastChannel(name);
  const isFree = await new Promise<boolean>((resolve) => {
    channel.onmessage = ({ data }) => {
      resolve(false);
      // An answer is empty.
      if (data) channel.postMessage("");
    };
    channel.postMessage("?");
    setTimeout(() => resolve(true), waits * OTHERS_TIMEOUT_MS);
  });
  // The last channel answers others for as long as this page lives.
  if (!isFree || waits) channel.close();
  return isFree && (!waits || askOtherPages(name, waits - 1));
}
