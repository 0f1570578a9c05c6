/**
 * Loads the page again if some of its files did not come. While servers of two versions have one
 * address, a request may reach one that does not have the file. This script is no module, and does
 * the same in all versions, so that each server gives its own to pages of the others.
 *
 * @module
 */

/** How often a file is asked for: some of the requests reach a server that has it. */
const MAX_TRIES = 8;

/** The pauses differ, so that files do not take turns as the servers do. */
const MAX_PAUSE_MS = 200;

/** It has the version of the page, for each of which this is done once. */
const { src } = document.currentScript as HTMLScriptElement;

let isMissing = false;

addEventListener("error", ({ target }) => {
  if (urlOf(target).startsWith(`${location.origin}/web/`)) isMissing = true;
}, true);

addEventListener("load", async () => {
  if (!isMissing || sessionStorage.getItem(src)) return;
  sessionStorage.setItem(src, "loaded again");
  await Promise.all([...document.querySelectorAll("link, script")].map(urlOf).map(keep));
  location.reload();
});

/** Returns the address of the file that an element loads; `""` if it loads none. */
function urlOf(element: EventTarget | null): string {
  const { src, href } = element as Partial<HTMLScriptElement & HTMLLinkElement>;
  return src ?? href ?? "";
}

/** Brings a file into the cache of the browser, where the page finds it when it is loaded again. */
async function keep(url: string): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const response = await fetch(url).catch(() => undefined);
    // After 429, others of this address need what it may ask for.
    if (response?.ok || response?.status === 429) return void await response.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_PAUSE_MS));
  }
}

export {};
