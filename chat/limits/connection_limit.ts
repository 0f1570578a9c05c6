import { getLogger } from "@logtape/logtape";
import { Episode } from "./episode.ts";

const logger = getLogger(["chat", "limits"]);

/** How many descriptors stay free for Redis, for HTTP requests and to refuse newcomers. */
const RESERVE = 10;

/** How long a learnt limit stands after it was found to be right. */
const RECHECK_MS = 1_000;

/** `undefined` if it was loaded over HTTP, such as from JSR. */
const THIS_FILE = import.meta.filename;

/** Without this permission nothing is reserved, and a learnt limit is forgotten at once. */
export const MAY_READ = THIS_FILE !== undefined &&
  Deno.permissions.querySync({ name: "read", path: THIS_FILE }).state === "granted";

/**
 * How many connections may be open. Deno cannot read the process's limit of open files. So the
 * first error teaches it, and until then the reserve is held by files that are open for nothing.
 */
export class ConnectionLimit {
  readonly #configured: number;
  #limit: number;
  #reserve: Deno.FsFile[] | undefined = openFiles(RESERVE);
  #recheckAt = 0;
  readonly #refusals = new Episode((count) => {
    logger.info`No newcomer was refused in the last 10 s; ${count} were before`;
  });

  /** @param maxConnections the most connections; 0 for as many as the process can have */
  constructor(maxConnections: number) {
    this.#limit = this.#configured = maxConnections || Infinity;
  }

  /** Tells whether one more connection could be opened. */
  hasPlace(connections: number): boolean {
    return connections < this.#limit || this.#raise(connections);
  }

  /** Tells whether one more connection may be opened; counts and logs it if not. */
  admits(connections: number): boolean {
    if (this.hasPlace(connections)) return true;
    if (this.#refusals.record()) {
      const name = this.#limit === this.#configured ? "MAX_CONNECTIONS" : "the limit of open files";
      logger.warn`The server is full with ${connections} connections (${name}): newcomers get 503`;
    }
    return false;
  }

  /** Learns from an error that the process can open no more files; frees the reserve. */
  onTooManyOpenFiles(connections: number): void {
    if (!this.#reserve) return;
    this.#limit = Math.min(this.#configured, connections + this.#reserve.length - RESERVE);
    this.close();
  }

  /** Frees the reserve. */
  close(): void {
    this.#reserve?.forEach((file) => file.close());
    this.#reserve = undefined;
  }

  /** Raises a learnt limit that was too low, because others had descriptors open at the time. */
  #raise(connections: number): boolean {
    const now = performance.now();
    if (this.#limit === this.#configured || now < this.#recheckAt) return false;
    this.#recheckAt = now + RECHECK_MS;
    if (!canOpenFiles(2 * RESERVE)) return false;
    this.#recheckAt = 0;
    this.#limit = Math.min(this.#configured, connections + RESERVE);
    return connections < this.#limit;
  }
}

/** Tells whether the process can open a number of files more. */
export function canOpenFiles(count: number): boolean {
  const files = openFiles(count);
  for (const file of files) file.close();
  return files.length === count || !MAY_READ;
}

/** Opens a number of files, or as many as the process can open. */
function openFiles(count: number): Deno.FsFile[] {
  const files: Deno.FsFile[] = [];
  try {
    while (MAY_READ && files.length < count) files.push(Deno.openSync(THIS_FILE!));
  } catch (error) {
    if (!/too many open files/i.test((error as Error).message)) throw error;
  }
  return files;
}
