import { getLogger } from "@logtape/logtape";

const logger = getLogger(["chat"]);

/**
 * Logs every exception and rejection that nobody handled, and keeps this thread running. It is the
 * last line of defence: for example, Deno itself throws when a client sends a message that is too
 * long for a string (512 MiB).
 */
export function surviveUnexpectedErrors(): void {
  addEventListener("error", (event) => {
    event.preventDefault();
    logger.error`An error that nobody expected: ${event.error}`;
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    logger.error`A rejection that nobody expected: ${event.reason}`;
  });
}
