import { getLogger } from "@logtape/logtape";
import { Episode } from "./episode.ts";

const logger = getLogger(["chat", "limits"]);

/** The clients keep to their limits again after this time without a case. */
const QUIET_MS = 10_000;

const excess = new Episode(QUIET_MS, (count) => {
  logger.info`No client sent too much in the last 10 s; it happened ${count} times before`;
});

/** Counts that a client sends more than its budget allows. */
export function countExcess(user: string, room: string): void {
  if (!excess.record()) return;
  logger.warn`${user} in room ${room} sends too much, which is refused or waits (too_many)`;
}
