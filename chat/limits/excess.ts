import { getLogger } from "@logtape/logtape";
import { Episode } from "./episode.ts";

const logger = getLogger(["chat", "limits"]);

const excess = new Episode((count) => {
  logger.info`No client sent too much in the last 10 s; it happened ${count} times before`;
});

/** Counts that a client sends more than its budget allows. */
export function countExcess(user: string, room: string): void {
  if (!excess.record()) return;
  logger.warn`${user} in room ${room} sends too much, which is refused or waits (too_many)`;
}
