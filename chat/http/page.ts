/**
 * The page: the files that a browser gets that opens the server's address.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { canOpenFiles, MAY_READ } from "../limits/connection_limit.ts";
import type { Page } from "./make_page.ts";

const logger = getLogger(["chat", "http"]);

/** How many descriptors must be free for another thread. Without them, Deno ends the process. */
const THREAD_DESCRIPTORS = 32;

let make = makeHere;
let page: Promise<Page> | undefined;

/**
 * Makes the page of `web/` at the first call, once for all servers of the isolate. That takes more
 * than half a second and 100 MB, but on a thread of its own, which ends then.
 *
 * @throws {Error} if the page cannot be made; the next call tries again
 */
export function loadPage(): Promise<Page> {
  return page ??= make().catch((error) => {
    page = undefined;
    throw error;
  });
}

/**
 * Makes the page before anybody opens it, unless there can be no other thread: then those who are
 * there must not wait for a page that nobody has asked for.
 *
 * @throws {Error} if the page cannot be made
 */
export async function preparePage(): Promise<void> {
  if (MAY_READ && canOpenFiles(THREAD_DESCRIPTORS)) await loadPage();
}

/** Lets {@linkcode loadPage} get the page from elsewhere in this isolate. */
export function getPageFrom(other: () => Promise<Page>): void {
  make = other;
}

async function makeHere(): Promise<Page> {
  try {
    return await makeOnThread();
  } catch (error) {
    // For example, Deno loads the module of a worker only with the permission to read it.
    const { message } = error as Error;
    logger.warn`No other thread can make the page, so the chat stops meanwhile: ${message}`;
    const { makePage } = await import("./make_page.ts");
    return await makePage();
  }
}

async function makeOnThread(): Promise<Page> {
  // No connection takes them meanwhile: the thread has begun before anything else is done here.
  if (!canOpenFiles(THREAD_DESCRIPTORS)) throw new Error("Too many open files");
  const worker = new Worker(new URL("./page_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
  } finally {
    worker.terminate();
  }
}
