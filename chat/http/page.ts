/**
 * The page: the files that a browser gets that opens the server's address.
 *
 * @module
 */
import type { Asset } from "./asset.ts";

/** The page as it is served. */
export interface Page {
  /** Changes with each of the files. */
  readonly hash: string;
  /** Where it begins. */
  readonly index: Asset;
  readonly serviceWorker: Asset;
  /** The client's module, for pages of others. */
  readonly client: Asset;
  /** Each file by its path below `/web/{hash}/`. */
  readonly files: ReadonlyMap<string, Asset>;
  /** The source maps of the modules by their paths there. Only developers' tools load them. */
  readonly maps: ReadonlyMap<string, Asset>;
}

let make = makeOnThread;
let page: Promise<Page> | undefined;

/**
 * Makes the page of `web/` at the first call, once for all servers of the isolate. That takes a
 * second and 50 MB, but on a thread of its own, which ends then.
 *
 * @throws {Error} if the page cannot be made; the next call tries again
 */
export function loadPage(): Promise<Page> {
  return page ??= make().catch((error) => {
    page = undefined;
    throw error;
  });
}

/** Lets {@linkcode loadPage} get the page from elsewhere in this isolate. */
export function getPageFrom(other: () => Promise<Page>): void {
  make = other;
}

async function makeOnThread(): Promise<Page> {
  const worker = new Worker(new URL("./page_worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`the page cannot be made: ${event.message}`));
      };
    });
  } finally {
    worker.terminate();
  }
}
