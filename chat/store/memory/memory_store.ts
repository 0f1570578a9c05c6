import type { RoomEvent } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater } from "../../protocol/ids.ts";
import type { LogLimits, RoomListener, Store } from "../store.ts";
import { MemoryLog } from "./memory_log.ts";

/** Who holds a name, and a number that grows with every claim. */
interface Holder {
  readonly store: Store;
  readonly claim: number;
}

/** What the stores of one process share, as instances share a Redis. */
export class MemoryBackend {
  /** For each room the names in it, the first who came first. */
  readonly users = new Map<string, Map<string, Holder>>();
  /** For each room the listeners of all stores that hear it. */
  readonly listeners = new Map<string, Map<Store, RoomListener>>();
  /** What was said. */
  readonly log: MemoryLog;
  /** How many names were claimed. */
  claims = 0;

  /**
   * Makes a world where nobody is and nothing was said.
   *
   * @param limits how much of what was said to keep
   */
  constructor(limits: LogLimits) {
    this.log = new MemoryLog(limits);
  }
}

/**
 * Opens a store in this process's memory, for a first try and for fast tests.
 *
 * @param limits how much of what was said to keep
 * @param world what it shares with other stores; by default it is alone
 * @returns a store that keeps the contract of {@linkcode Store} and is always there
 */
export function openMemoryStore(
  limits: LogLimits,
  world: MemoryBackend = new MemoryBackend(limits),
): Store {
  function publish(room: string, event: RoomEvent, line = JSON.stringify(event)): void {
    for (const [store, listener] of world.listeners.get(room) ?? []) {
      // As from a socket: never within the call that publishes, and not after an unsubscribe.
      queueMicrotask(() => {
        if (world.listeners.get(room)?.get(store) === listener) listener.onEvent(event, line);
      });
    }
  }

  const store: Store = {
    subscribe(room, listener) {
      const listeners = world.listeners.get(room) ?? new Map();
      world.listeners.set(room, listeners.set(store, listener));
      return Promise.resolve(world.log.all(room).at(-1)?.event.id ?? BEFORE_FIRST_ID);
    },
    unsubscribe(room) {
      const listeners = world.listeners.get(room);
      listeners?.delete(store);
      if (listeners?.size === 0) world.listeners.delete(room);
      return Promise.resolve();
    },
    claim(room, user, session) {
      const users = world.users.get(room) ?? new Map();
      if (users.has(user)) return Promise.resolve(false);
      world.users.set(room, users.set(user, { store, claim: ++world.claims }));
      publish(room, { type: "joined", user, session, users: users.size });
      return Promise.resolve(true);
    },
    release(room, user) {
      const users = world.users.get(room);
      if (users?.get(user)?.store === store) {
        users.delete(user);
        if (users.size === 0) world.users.delete(room);
        publish(room, { type: "left", user });
      }
      return Promise.resolve();
    },
    publish(room, user, text, ref) {
      const { id, logged } = world.log.append(room, user, text, ref);
      if (logged) publish(room, logged.event, logged.line);
      return Promise.resolve(id);
    },
    readAfter(room, position, count) {
      const said = world.log.all(room);
      const start = said.findIndex(({ event }) => isLater(event.id, position));
      return Promise.resolve(start < 0 ? [] : said.slice(start, start + count));
    },
    readBefore(room, position, count) {
      const said = world.log.all(room);
      const before = position === undefined
        ? said
        : said.filter(({ event }) => isLater(position, event.id));
      return Promise.resolve(before.slice(-count));
    },
    listUsers(room, from = "0", count) {
      const all = [...world.users.get(room) ?? []];
      const start = all.findIndex(([, { claim }]) => claim > Number(from));
      const page = start < 0 ? [] : all.slice(start, start + count);
      const isLast = start < 0 || start + count >= all.length;
      return Promise.resolve({
        users: page.map(([user]) => user),
        total: all.length,
        next: isLast ? undefined : `${page.at(-1)![1].claim}`,
      });
    },
    ping: () => Promise.resolve(),
    close() {
      for (const [room, listeners] of world.listeners) {
        listeners.delete(store);
        if (listeners.size === 0) world.listeners.delete(room);
      }
      return Promise.resolve();
    },
  };
  return store;
}
