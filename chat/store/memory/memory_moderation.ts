import type { Banned, Muted } from "../../protocol/events.ts";
import {
  type Ban,
  MAX_RESTRICTED,
  type ModerationStore,
  type RestrictionKind,
} from "../moderation.ts";

interface MemoryBan extends Ban {
  /** The addresses that are banned too. */
  readonly addresses: Set<string>;
}

/** The bans, the mutes and the moderators of all rooms, as the stores of a process share them. */
export class MemoryRestrictions {
  /** By kind and room. */
  readonly #bans = new Map<string, Map<string, MemoryBan>>();
  /** Until when users moderate, by room and user. */
  readonly moderators = new Map<string, number>();

  /** Returns who is banned or muted in a room now, by user. */
  of(kind: RestrictionKind, room: string): Map<string, MemoryBan> {
    const key = `${kind}:${room}`;
    const bans = this.#bans.get(key) ?? new Map();
    for (const [user, { until }] of bans) {
      if (until <= Date.now()) bans.delete(user);
    }
    if (bans.size === 0) this.#bans.delete(key);
    return bans;
  }

  /** Bans or mutes a user. */
  add(kind: RestrictionKind, room: string, ban: MemoryBan): void {
    this.#bans.set(`${kind}:${room}`, this.of(kind, room).set(ban.user, ban));
  }

  /** Tells whether a user or an address is banned: see {@linkcode ModerationStore.isBanned}. */
  isBanned(room: string, user: string, address: string): boolean {
    const bans = this.of("banned", room);
    return bans.has(user) || bans.values().some(({ addresses }) => addresses.has(address));
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
  const { moderators } = restrictions;
  return {
    restrict(kind, room, user, by, seconds, address = false) {
      const bans = restrictions.of(kind, room);
      const former = bans.get(user);
      if (!former && seconds === 0) return Promise.resolve(true);
      if (!former && bans.size >= MAX_RESTRICTED) return Promise.resolve(false);
      const until = seconds === 0 ? 0 : Date.now() + seconds * 1000;
      const addresses = address && former ? former.addresses : new Set<string>();
      restrictions.add(kind, room, { user, by, until, address, addresses });
      publish(room, { type: kind, user, by, until, ...address && { address } });
      return Promise.resolve(true);
    },
    listRestricted(kind, room) {
      const bans = [...restrictions.of(kind, room).values()];
      return Promise.resolve(bans.map(({ addresses: _, ...ban }) => ban));
    },
    banAddress(room, user, address) {
      const ban = restrictions.of("banned", room).get(user);
      if (ban?.address) ban.addresses.add(address);
      return Promise.resolve();
    },
    isBanned: (...given) => Promise.resolve(restrictions.isBanned(...given)),
    mutedUntil: (room, user) =>
      Promise.resolve(restrictions.of("muted", room).get(user)?.until ?? 0),
    noteModerator(room, user, untilMs) {
      const key = `${room} ${user}`;
      moderators.set(key, Math.max(untilMs, moderators.get(key) ?? 0));
      return Promise.resolve();
    },
    isModerator: (room, user) =>
      Promise.resolve((moderators.get(`${room} ${user}`) ?? 0) > Date.now()),
  };
}
