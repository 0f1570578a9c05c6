import { getLogger } from "@logtape/logtape";
import { StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";

const logger = getLogger(["chat", "redis"]);

/**
 * Handles the rejection of what is repeated anyway, such as a renewal. An outage has lines of its
 * own in the log. Whatever else it is, nobody expected it.
 */
export function ignoreOutage(error: unknown): void {
  if (error instanceof StoreUnavailable || error instanceof StoreOutcomeUnknown) return;
  logger.error`An error that nobody expected: ${error}`;
}
