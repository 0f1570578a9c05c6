import type { Event } from "../events.ts";
import type { Connection } from "./connection.ts";
import type { RoomKeys } from "./keys.ts";
import claimScript from "./claim.lua" with { type: "text" };
import releaseScript from "./release.lua" with { type: "text" };

/** Who is in which room, in Redis: see `claim.lua` and `release.lua`. */
export interface Presence {
  /** @returns whether the name was free and is this instance's now */
  claim(keys: RoomKeys, user: string, session: string): Promise<boolean>;
  /** Frees a name, if this instance holds it. */
  release(keys: RoomKeys, user: string): Promise<void>;
}

/** How ioredis calls a script that was registered for two keys and four arguments. */
type Script = (
  users: string,
  owners: string,
  user: string,
  instance: string,
  channel: string,
  event: string,
) => Promise<number>;

/**
 * Registers the scripts with a connection.
 *
 * @param connection where to send commands
 * @param instance the id of this instance, which holds the names that it claims
 */
export function makePresence(connection: Connection, instance: string): Presence {
  const { redis } = connection;
  redis.defineCommand("claimName", { numberOfKeys: 2, lua: claimScript });
  redis.defineCommand("releaseName", { numberOfKeys: 2, lua: releaseScript });
  const scripts = redis as unknown as { claimName: Script; releaseName: Script };

  return {
    async claim({ users, owners, channel }, user, session) {
      const joined: Event = { type: "joined", user, session };
      const event = JSON.stringify(joined);
      return await connection.ask(() =>
        scripts.claimName(users, owners, user, instance, channel, event)
      ) === 1;
    },
    async release({ users, owners, channel }, user) {
      const left: Event = { type: "left", user };
      const event = JSON.stringify(left);
      await connection.ask(() =>
        scripts.releaseName(users, owners, user, instance, channel, event)
      );
    },
  };
}
