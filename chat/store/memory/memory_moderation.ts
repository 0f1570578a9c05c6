import type { Banned, Muted } from "../../protocol/events.ts";
import type { Ban, ModerationStore } from "../moderation.ts";

/** The bans, the mutes and the moderators of all rooms, as the stores of a process share them. */
export class MemoryRestrictions {
  /** By kind and room, and then by user. */
  readonly users: Map<string, Map<string, Ban>> = new Map();
  /** The banned users by room and address. */
  readonly addresses: Map<string, string> = new Map();
  /** Until when users moderate, by room and user. */
  readonly moderators: Map<string, number> = new Map();

  /** Returns who is banned or muted in a room now, by user. */
  of(kind: Banned["type"] | Muted["type"], room: string): Map<string, Ban> {
    const bans = this.users.get(`${kind}:${room}`) ?? new Map<string, Ban>();
    for (const [user, { until }] of bans) {
      if (until <= Date.now()) bans.delete(user);
    }
    return bans;
  }

  /** Tells whether a user or an address is banned: see {@linkcode ModerationStore.isBanned}. */
  isBanned(room: string, user: string, address: string): boolean {
    const bans = this.of("banned", room);
    const other = this.addresses.get(`${room} ${address}`);
    return bans.has(user) || other !== undefined && bans.get(other)?.address === true;
  }
}

/**
 * Opens the moderation of a store in memory.
 *
 * @param restrictions what it shares with other stores
 * @param publish publishes an event
 */
export function openMemoryModeration(
  restrictions: MemoryRestrictions,
  publish: (room: string, event: Banned | Muted) => void,
): ModerationStore {
  const { users, addresses, moderators } = restrictions;
  return {
    restrict(kind, room, user, by, seconds, address = false) {
      const bans = restrictions.of(kind, room);
      users.set(`${kind}:${room}`, bans);
      const until = seconds === 0 ? 0 : Date.now() + seconds * 1000;
      if (!bans.delete(user) && until === 0) return Promise.resolve();
      if (until > 0) bans.set(user, { user, by, until, address });
      if (until === 0 || !address) {
        for (const [key, banned] of addresses) {
          if (banned === user && key.startsWith(`${room} `)) addresses.delete(key);
        }
      }
      publish(room, { type: kind, user, by, until, ...address && { address } });
      return Promise.resolve();
    },
    listRestricted: (kind, room) => Promise.resolve([...restrictions.of(kind, room).values()]),
    banAddress(room, user, address) {
      addresses.set(`${room} ${address}`, user);
      return Promise.resolve();
    },
    isBanned: (...given) => Promise.resolve(restrictions.isBanned(...given)),
    noteModerator(room, user, untilMs) {
      moderators.set(`${room} ${user}`, untilMs);
      return Promise.resolve();
    },
    isModerator: (room, user) =>
      Promise.resolve((moderators.get(`${room} ${user}`) ?? 0) > Date.now()),
  };
}
