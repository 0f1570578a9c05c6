import { getLogger } from "@logtape/logtape";

const logger = getLogger(["chat", "session"]);

const LOG_INTERVAL_MS = 1_000;

let droppedCount = 0;

/** Counts a session that was dropped as slow; logs a line a second at most, with how many. */
export function countSlowReader(): void {
  if (droppedCount++ > 0) return;
  setTimeout(() => {
    logger.warn`Sessions closed because their clients read too slowly (4408): ${droppedCount}`;
    droppedCount = 0;
  }, LOG_INTERVAL_MS);
}
