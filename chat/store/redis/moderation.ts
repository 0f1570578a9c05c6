import {
  type Ban,
  MAX_RESTRICTED,
  type ModerationStore,
  type RestrictionKind,
} from "../moderation.ts";
import type { CommandConnection } from "./connections.ts";
import type { RoomKeys } from "./keys.ts";
import banAddressScript from "./scripts/ban_address.lua" with { type: "text" };
import restrictScript from "./scripts/restrict.lua" with { type: "text" };

/** Redis takes no time to live of some millions of years, which a token may have. */
const MAX_TTL_SECONDS = 315_360_000;

/**
 * Keeps the bans, the mutes and the moderators of rooms in Redis: see `keys.ts`.
 *
 * @param connection where to send commands
 * @param nowMs the time by the clock of Redis
 * @param flush sends the messages of a room that were published before
 */
export function openModeration(
  connection: CommandConnection,
  nowMs: () => number,
  flush: (room: string) => void,
): ModerationStore {
  const restrict = connection.defineScript<number>("restrictUser", 1, restrictScript);
  const banAddress = connection.defineScript<null>("banAddress", 1, banAddressScript);
  const keysOf = (room: string) => connection.keys.room(room);
  const moderatorKey = (room: string, user: string) => `${keysOf(room).moderator}:${user}`;

  async function read(key: string, ...fields: string[]): Promise<(string | null)[]> {
    return await connection.run("HMGET", key, ...fields);
  }

  async function moderatesUntil(room: string, user: string): Promise<number> {
    return Number(await connection.run<string | null>("GET", moderatorKey(room, user)));
  }

  /** Reads what the field of a user says; `undefined` if it does not hold any more. */
  function parse(user: string, value: string | null): Ban | undefined {
    const [, until, address, by] = /^(\d+) ([01]) (.*)$/s.exec(value ?? "") ?? [];
    if (!(Number(until) > nowMs())) return undefined;
    return { user, by, until: Number(until), address: address === "1" };
  }

  return {
    async restrict(kind, room, user, by, seconds, address = false) {
      flush(room);
      const keys = keysOf(room);
      const start = JSON.stringify({ type: kind, user, by }).replace(/}$/, ',"until":');
      const event = [start, address ? ',"address":true}' : "}"];
      const args = [user, seconds, `${address ? 1 : 0} ${by}`, keys.channel, ...event];
      return await restrict(keyOf(kind, keys), ...args, MAX_RESTRICTED) >= 0;
    },
    async listRestricted(kind, room) {
      const fields = await connection.run<string[]>("HGETALL", keyOf(kind, keysOf(room)));
      return fields.flatMap((field, i) => {
        const isUser = i % 2 === 0 && !field.includes(":");
        return isUser ? parse(field, fields[i + 1]) ?? [] : [];
      });
    },
    async banAddress(room, user, address) {
      await banAddress(keysOf(room).bans, `address:${address}`, user);
    },
    async isBanned(room, user, address) {
      const key = keysOf(room).bans;
      const [own, sharers] = await read(key, user, `address:${address}`);
      if (parse(user, own)) return true;
      const users = sharers?.split(":").filter((name) => name !== "") ?? [];
      const bans = users.length > 0 ? await read(key, ...users) : [];
      return bans.some((ban, i) => parse(users[i], ban)?.address);
    },
    async mutedUntil(room, user) {
      const [mute] = await read(keysOf(room).mutes, user);
      return parse(user, mute)?.until ?? 0;
    },
    async noteModerator(room, user, untilMs) {
      const seconds = Math.min(Math.ceil((untilMs - nowMs()) / 1000), MAX_TTL_SECONDS);
      // Another token of the user may be valid for longer.
      if (seconds <= 0 || await moderatesUntil(room, user) >= untilMs) return;
      await connection.run("SET", moderatorKey(room, user), untilMs, "EX", seconds);
    },
    async isModerator(room, user) {
      return await moderatesUntil(room, user) > nowMs();
    },
  };
}

function keyOf(kind: RestrictionKind, { bans, mutes }: RoomKeys): string {
  return kind === "banned" ? bans : mutes;
}
