import { STATUS_CODE } from "@std/http/status";
import { CLOSE } from "../protocol/close_codes.ts";
import { plain, refuse } from "./responses.ts";

/**
 * Makes a check that runs once for all who ask while it runs, because anyone can ask at any rate.
 */
export function shareRunning(check: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => running ??= check().finally(() => running = undefined);
}

/**
 * Responds to `GET /readyz`: 200 while the server can do all of its work, otherwise 503 and a line
 * that says why it cannot.
 */
export async function respondReady(
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
