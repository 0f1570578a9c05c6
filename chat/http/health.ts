import { STATUS_CODE } from "@std/http/status";
import { CLOSE } from "../protocol/close_codes.ts";
import { plain, refuse } from "./responses.ts";
import type { Route } from "./route.ts";

/**
 * Makes the routes for those who run the server: `GET /healthz` tells whether it is alive, and `GET
 * /readyz` whether it can do all of its work.
 *
 * @param isClosing whether the server is shutting down
 * @param ready resolves if the server can do all of its work
 */
export function probeRoutes(isClosing: () => boolean, ready: () => Promise<void>): Route[] {
  const check = shareRunning(ready);
  function probe(path: RegExp, handle: () => Response | Promise<Response>): Route {
    return { method: "GET", path, needs: "nothing", isProbe: true, handle };
  }
  return [
    probe(/^\/healthz$/, () => plain(STATUS_CODE.OK, "ok\n")),
    probe(/^\/readyz$/, () => respondReady(isClosing(), check)),
  ];
}

/** Makes a check that runs once for all who ask while it runs: anyone can ask at any rate. */
export function shareRunning(check: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => running ??= check().finally(() => running = undefined);
}

/**
 * Responds to `GET /readyz`: 200 while the server can do all of its work, otherwise 503 and a line
 * that says why it cannot.
 */
async function respondReady(
  isClosing: boolean,
  ready: () => Promise<void>,
): Promise<Response> {
  if (isClosing) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
  try {
    await ready();
    return plain(STATUS_CODE.OK, "ready\n");
  } catch (error) {
    return refuse(STATUS_CODE.ServiceUnavailable, `not ready: ${(error as Error).message}`);
  }
}
