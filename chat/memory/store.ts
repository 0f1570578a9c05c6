import type { Event } from "../events.ts";
import type { Listener, Store } from "../store.ts";

/** What the stores of one process share, as instances share a Redis. */
export class World {
  /** For each room the names in it, each with the store that holds it. */
  readonly users = new Map<string, Map<string, Store>>();
  /** For each room the listeners of all stores that hear it. */
  readonly listeners = new Map<string, Map<Store, Listener>>();
}

/**
 * Opens a store in this process's memory, for a first try and for fast tests.
 *
 * @param world what it shares with other stores; by default it is alone
 * @returns a store that keeps the contract of {@linkcode Store} and is always there
 */
export function openMemoryStore(world: World = new World()): Store {
  function publish(room: string, event: Event): void {
    const payload = JSON.stringify(event);
    for (const [store, listener] of world.listeners.get(room) ?? []) {
      // As from a socket: never within the call that publishes, and not after an unsubscribe.
      queueMicrotask(() => {
        if (world.listeners.get(room)?.get(store) === listener) listener.hear(payload);
      });
    }
  }

  const store: Store = {
    subscribe(room, listener) {
      const listeners = world.listeners.get(room) ?? new Map();
      world.listeners.set(room, listeners.set(store, listener));
      return Promise.resolve();
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
      world.users.set(room, users.set(user, store));
      publish(room, { type: "joined", user, session });
      return Promise.resolve(true);
    },
    release(room, user) {
      const users = world.users.get(room);
      if (users?.get(user) === store) {
        users.delete(user);
        if (users.size === 0) world.users.delete(room);
        publish(room, { type: "left", user });
      }
      return Promise.resolve();
    },
    say(room, user, text) {
      publish(room, { type: "message", user, text });
      return Promise.resolve();
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
