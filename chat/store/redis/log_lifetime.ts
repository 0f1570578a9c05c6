import { BEFORE_FIRST_ID, timestampOf } from "../../protocol/ids.ts";
import { LONE_LOG_SECONDS } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { Log } from "./log.ts";

/**
 * Decides how long the log of a room lives in which nobody is: as long as its messages, or
 * {@linkcode LONE_LOG_SECONDS} if nobody else was ever there.
 *
 * @param connection where to send commands
 * @param log the logs
 * @param historySeconds how long a log lives after its newest message
 * @param nowMs the time by the clock of Redis
 */
export function manageLogLifetime(
  connection: CommandConnection,
  log: Log,
  historySeconds: number,
  nowMs: () => number,
) {
  const keysOf = (room: string) => connection.keys.room(room);
  const ttlMsOf = (room: string) => connection.run<number>("PTTL", keysOf(room).log);

  /** Someone is in a room now, who was not alone or came as the first: its log lives on. */
  async function restore(room: string): Promise<void> {
    const ttlMs = await ttlMsOf(room);
    if (ttlMs < 0 || ttlMs > LONE_LOG_SECONDS * 1000) return;
    const newest = await log.newest(room);
    if (newest === BEFORE_FIRST_ID) return;
    const ageSeconds = Math.max(0, nowMs() - timestampOf(newest)) / 1000;
    const seconds = Math.ceil(historySeconds - ageSeconds);
    if (seconds * 1000 > ttlMs) await connection.run("EXPIRE", keysOf(room).log, seconds);
  }

  return {
    restore,
    /** Somebody who is not in a room has published there: its log lives on when a user leaves. */
    async noteShared(room: string): Promise<void> {
      await connection.run("SET", keysOf(room).shared, "1", "EX", 2 * historySeconds);
    },
    /** The last user has left a room. */
    async noteEmpty(room: string, wasShared: boolean): Promise<void> {
      const keys = keysOf(room);
      const ttlMs = await ttlMsOf(room);
      if (wasShared) {
        // Nobody has written anything, so nothing is left of the room.
        if (ttlMs === -2) await connection.run("DEL", keys.shared);
        return;
      }
      if (ttlMs <= LONE_LOG_SECONDS * 1000) return;
      await connection.run("EXPIRE", keys.log, LONE_LOG_SECONDS);
      // The instance of whoever joins after this restores the log after that.
      if (await connection.run<number>("SCARD", keys.users) > 0) await restore(room);
    },
  };
}
