import type { Listener } from "../store.ts";
import type { Connection } from "./connection.ts";

/** The one loop of this instance that hears what is published in the rooms that it has users in. */
export interface Subscriber {
  subscribe(channel: string, listener: Listener): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
}

/**
 * Starts the loop.
 *
 * @param connection a connection of its own, since what is heard must not wait behind the answers to commands
 */
export function startSubscriber(connection: Connection): Subscriber {
  const { redis } = connection;
  const listeners = new Map<string, Listener>();

  redis.on("message", (channel: string, payload: string) => listeners.get(channel)?.(payload));
  redis.on("ready", () => {
    // A connection that breaks before this is answered comes back, and with it this.
    if (listeners.size === 0) return;
    connection.ask(() => redis.subscribe(...listeners.keys())).catch(() => {});
  });

  return {
    async subscribe(channel, listener) {
      listeners.set(channel, listener);
      try {
        await connection.ask(() => redis.subscribe(channel));
      } catch (error) {
        if (listeners.get(channel) === listener) listeners.delete(channel);
        throw error;
      }
    },
    async unsubscribe(channel) {
      listeners.delete(channel);
      await connection.ask(() => redis.unsubscribe(channel));
    },
  };
}
