import type { PublishedEvent } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater } from "../../protocol/ids.ts";
import {
  areRivals,
  type LogLimits,
  type NameSecret,
  type RoomListener,
  type Store,
} from "../store.ts";
import { MemoryLog } from "./memory_log.ts";
import { MemoryRestrictions, openMemoryModeration } from "./memory_moderation.ts";

/** A session that has a name, and the store through which it has claimed it. */
interface Connection {
  readonly store: Store;
  readonly session: string;
  readonly secret?: NameSecret;
}

/** Who has a name. */
interface Owner {
  readonly connections: readonly Connection[];
  /** The name's keys, each after the room and a colon. */
  readonly keys: readonly string[];
  /** The number of the first claim, which is larger for every later name. */
  readonly number: number;
}

/** What the memory stores of one process share, as instances share a Redis. */
export class MemoryBackend {
  /** For each room the names that are taken, in the order of their claims. */
  readonly users = new Map<string, Map<string, Owner>>();
  /** The keys of all names that are taken. */
  readonly nameKeys = new Set<string>();
  /** For each room the listeners of all stores. */
  readonly listeners = new Map<string, Map<Store, RoomListener>>();
  readonly limits: LogLimits;
  readonly log: MemoryLog;
  readonly restrictions = new MemoryRestrictions();
  claimCount = 0;

  constructor(limits: LogLimits) {
    this.limits = limits;
    this.log = new MemoryLog(limits);
  }
}

/**
 * Opens a store in the memory of this process, for a first try and for fast tests.
 *
 * @param limits how much of each room's log to keep
 * @returns a store that is always available
 */
export function openMemoryStore(limits: LogLimits): Store {
  return openSharedStore(new MemoryBackend(limits));
}

/** Opens one of several stores that share a backend. */
export function openSharedStore(backend: MemoryBackend): Store {
  function publish(room: string, event: PublishedEvent, line = JSON.stringify(event)): void {
    for (const [store, listener] of backend.listeners.get(room) ?? []) {
      // As with a socket, no event arrives during the call that publishes it, nor after an
      // unsubscribe.
      queueMicrotask(() => {
        if (backend.listeners.get(room)?.get(store) === listener) listener.onEvent(event, line);
      });
    }
  }

  function isMuted(room: string, user: string): boolean {
    return backend.limits.auth !== undefined && backend.restrictions.of("muted", room).has(user);
  }

  const moderation = openMemoryModeration(backend.restrictions, publish);

  const store: Store = {
    subscribe(room, listener) {
      const listeners = backend.listeners.get(room) ?? new Map();
      backend.listeners.set(room, listeners.set(store, listener));
      return Promise.resolve(backend.log.entries(room).at(-1)?.event.id ?? BEFORE_FIRST_ID);
    },
    unsubscribe(room) {
      const listeners = backend.listeners.get(room);
      listeners?.delete(store);
      if (listeners?.size === 0) backend.listeners.delete(room);
      return Promise.resolve();
    },
    // deno-lint-ignore require-await -- every outcome becomes a promise
    async claim(
      room,
      user,
      session,
      { secret, keys: nameKeys = [], maxDevices = 1, address } = {},
    ) {
      if (address !== undefined && backend.restrictions.isBanned(room, user, address)) {
        return "banned";
      }
      const users = backend.users.get(room) ?? new Map<string, Owner>();
      const owner = users.get(user);
      const connection = { store, session, secret };
      const others = owner?.connections ?? [];
      const former = others.find((other) => areRivals({ secret, maxDevices }, other));
      if (former) {
        if (!secret || former.secret?.hash !== secret.hash) return "taken";
        if (former.secret.attempt >= secret.attempt) return "replaced";
      } else if (others.length >= maxDevices) return "full";
      const keys = owner?.keys ?? nameKeys.map((key) => `${room}:${key}`);
      if (!owner && keys.some((key) => backend.nameKeys.has(key))) return "taken";
      keys.forEach((key) => backend.nameKeys.add(key));
      const connections = others.filter((other) => other !== former).concat(connection);
      // A name that somebody has already keeps its place among the others, and so its number.
      const number = owner?.number ?? ++backend.claimCount;
      backend.users.set(room, users.set(user, { connections, keys, number }));
      backend.log.noteUsers(room, users.size);
      const event = { user, session, users: users.size };
      if (former) publish(room, { type: "replaced", ...event, former: former.session });
      else publish(room, { type: owner ? "added" : "joined", ...event });
      return "claimed";
    },
    release(room, user, session) {
      const users = backend.users.get(room);
      const owner = users?.get(user);
      const connections = owner?.connections
        .filter((other) => other.store !== store || other.session !== session);
      if (users && owner && connections && connections.length < owner.connections.length) {
        if (connections.length > 0) {
          users.set(user, { ...owner, connections });
          return Promise.resolve();
        }
        users.delete(user);
        owner.keys.forEach((key) => backend.nameKeys.delete(key));
        if (users.size === 0) backend.users.delete(room);
        backend.log.noteUsers(room, users.size, true);
        publish(room, { type: "left", user });
      }
      return Promise.resolve();
    },
    // deno-lint-ignore require-await -- what append() throws becomes a rejection
    async publish(room, user, ...message) {
      const { id, entry } = backend.log.append(() => isMuted(room, user), room, user, ...message);
      if (entry) publish(room, entry.event, entry.line);
      return id;
    },
    publishUnlogged(room, event) {
      if (event.type !== "typing" || !isMuted(room, event.user)) publish(room, event);
      return Promise.resolve();
    },
    remove(room, id, by, isModerator) {
      const outcome = backend.log.remove(room, id, by, isModerator);
      if (typeof outcome === "boolean") return Promise.resolve(outcome);
      publish(room, outcome);
      return Promise.resolve(true);
    },
    moderation,
    readRemovals: (room, position) => Promise.resolve(backend.log.removals(room, position)),
    readAfter(room, position, count) {
      const entries = backend.log.entries(room);
      const start = entries.findIndex(({ event }) => isLater(event.id, position));
      return Promise.resolve(start < 0 ? [] : entries.slice(start, start + count));
    },
    readBefore(room, position, count) {
      const entries = backend.log.entries(room);
      const before = position === undefined
        ? entries
        : entries.filter(({ event }) => isLater(position, event.id));
      return Promise.resolve(before.slice(-count));
    },
    listUsers(room, cursor = "0", count) {
      const users = [...backend.users.get(room) ?? []];
      const start = users.findIndex(([, { number }]) => number > Number(cursor));
      const page = start < 0 ? [] : users.slice(start, start + count);
      const isLast = start < 0 || start + count >= users.length;
      return Promise.resolve({
        users: page.map(([user]) => user),
        total: users.length,
        next: isLast ? undefined : `${page.at(-1)![1].number}`,
      });
    },
    ping: () => Promise.resolve(),
    close() {
      for (const [room, listeners] of backend.listeners) {
        listeners.delete(store);
        if (listeners.size === 0) backend.listeners.delete(room);
      }
      return Promise.resolve();
    },
  };
  return store;
}
