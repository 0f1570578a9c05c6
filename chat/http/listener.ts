import { getLogger } from "@logtape/logtape";
import { canOpenFiles } from "../limits/connection_limit.ts";
import { Episode } from "../limits/episode.ts";

const logger = getLogger(["chat", "http"]);

/** The trouble is over when a server has listened for this long. */
const QUIET_MS = 5_000;

const [MIN_RETRY_MS, MAX_RETRY_MS] = [50, 1_000];

const TOO_MANY_OPEN_FILES = "Too many open files";

/** How many descriptors must be free to listen again: fewer are gone with the next connections. */
const MIN_FREE = 4;

/** Listens on a port: see {@linkcode listen}. */
export interface Listener {
  /** The port. */
  readonly port: number;
  /** Stops listening; resolves when all requests have been answered. */
  shutdown(): Promise<void>;
}

/**
 * Serves HTTP requests. `Deno.serve` stops for good when it cannot accept a connection, for example
 * because too many files are open. Then this listens again, on the same port.
 *
 * @param onTooManyOpenFiles called each time when this is the cause
 * @throws the errors of `Deno.serve` if it cannot listen
 */
export function listen(
  options: Deno.ServeTcpOptions,
  handler: Deno.ServeHandler<Deno.NetAddr>,
  onTooManyOpenFiles: () => void,
): Listener {
  // The WebSockets of a server that has stopped live on, until it is shut down.
  const servers = [Deno.serve(options, handler)];
  const { port } = servers[0].addr;
  const causes = new Set<string>();
  let isClosing = false;
  const trouble = new Episode((_, durationMs) => {
    causes.clear();
    logger.info`Newcomers can connect again, after ${Math.round(durationMs / 1000)} s`;
  }, QUIET_MS);

  function report(error: Error | undefined): void {
    // Such as `Error: Too many open files (os error 24)`.
    const cause = error?.message.replace(/^Error: | \(os error.*$/g, "") ?? "Deno.serve has ended";
    if (cause === TOO_MANY_OPEN_FILES) onTooManyOpenFiles();
    trouble.record();
    if (causes.has(cause)) return;
    causes.add(cause);
    logger.error`Newcomers cannot connect to port ${port} (${cause}); sessions go on, trying again`;
  }

  /** Returns whether it listens. */
  function tryAgain(): boolean {
    try {
      if (!canOpenFiles(MIN_FREE)) throw new Error(TOO_MANY_OPEN_FILES);
      servers.push(Deno.serve({ ...options, port }, handler));
      return true;
    } catch (error) {
      report(error as Error);
      return false;
    }
  }

  async function keepListening(): Promise<void> {
    for (let retryMs = 0;;) {
      const startedAt = performance.now();
      const error = await servers.at(-1)!.finished.then(() => undefined, (error: Error) => error);
      if (isClosing) return;
      report(error);
      if (performance.now() - startedAt > QUIET_MS) retryMs = 0;
      do {
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        if (isClosing) return;
        retryMs = Math.min(Math.max(2 * retryMs, MIN_RETRY_MS), MAX_RETRY_MS);
      } while (!tryAgain());
    }
  }

  keepListening();
  return {
    port,
    async shutdown() {
      isClosing = true;
      await Promise.all(servers.map((server) => server.shutdown()));
    },
  };
}
