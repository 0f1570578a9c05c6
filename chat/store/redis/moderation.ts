import type { Ban, ModerationStore, RestrictionKind } from "../moderation.ts";
import type { CommandConnection } from "./connections.ts";
import type { RoomKeys } from "./keys.ts";
import restrictScript from "./scripts/restrict.lua" with { type: "text" };

/**
 * Keeps the bans, the mutes and the moderators of rooms in Redis: see `keys.ts`.
 *
 * @param connection where to send commands
 * @param nowMs the time by the clock of Redis
 */
export function openModeration(
  connection: CommandConnection,
  nowMs: () => number,
): ModerationStore {
  const restrict = connection.defineScript<number>("restrictUser", 1, restrictScript);
  const keysOf = (room: string) => connection.keys.room(room);

  async function read(room: string, ...fields: string[]): Promise<(string | null)[]> {
    return await connection.run("HMGET", keysOf(room).bans, ...fields);
  }

  return {
    async restrict(kind, room, user, by, seconds, address = false) {
      const keys = keysOf(room);
      const start = JSON.stringify({ type: kind, user, by }).replace(/}$/, ',"until":');
      const event = [start, address ? ',"address":true}' : "}"];
      const args = [user, seconds, `${address ? 1 : 0} ${by}`, keys.channel, ...event];
      await restrict(keyOf(kind, keys), ...args);
    },
    async listRestricted(kind, room) {
      const fields = await connection.run<string[]>("HGETALL", keyOf(kind, keysOf(room)));
      return fields.flatMap((field, i) => {
        const ban = i % 2 === 0 && !field.includes(":") ? parse(field, fields[i + 1]) : undefined;
        return ban && ban.until > nowMs() ? ban : [];
      });
    },
    async banAddress(room, user, address) {
      await connection.run("HSET", keysOf(room).bans, `address:${address}`, user);
    },
    async isBanned(room, user, address) {
      const [own, other] = await read(room, user, `address:${address}`);
      if ((parse(user, own)?.until ?? 0) > nowMs()) return true;
      if (other === null) return false;
      const [others] = await read(room, other);
      const ban = parse(other, others);
      return ban !== undefined && ban.address && ban.until > nowMs();
    },
    async noteModerator(room, user, untilMs) {
      await connection.run("HSET", keysOf(room).bans, `moderator:${user}`, untilMs);
    },
    async isModerator(room, user) {
      const [untilMs] = await read(room, `moderator:${user}`);
      return Number(untilMs) > nowMs();
    },
  };
}

function keyOf(kind: RestrictionKind, { bans, mutes }: RoomKeys): string {
  return kind === "banned" ? bans : mutes;
}

function parse(user: string, value: string | null): Ban | undefined {
  const [, until, address, by] = /^(\d+) ([01]) (.*)$/s.exec(value ?? "") ?? [];
  return until === undefined
    ? undefined
    : { user, by, until: Number(until), address: address === "1" };
}
