import claimScript from "./claim.lua" with { type: "text" };
import type { Connection } from "./connection.ts";
import type { RoomKeys } from "./keys.ts";
import farewellScript from "./farewell.lua" with { type: "text" };
import ownersScript from "./owners.lua" with { type: "text" };
import reapScript from "./reap.lua" with { type: "text" };
import reclaimScript from "./reclaim.lua" with { type: "text" };
import releaseScript from "./release.lua" with { type: "text" };

/** The scripts on a room's users, typed; what each does stands in its `.lua` file. */
export interface RoomScripts {
  /** Answers `null` if the name was given, else who has it. */
  claim(keys: RoomKeys, user: string, instance: string, joined: string): Promise<string | null>;
  /** Answers 1 if the name was freed. */
  release(keys: RoomKeys, user: string, instance: string, left: string): Promise<number>;
  /** Answers for each name `"kept"`, `"free"`, or who has it. */
  reclaim(keys: RoomKeys, users: string[], now: string, before: string[]): Promise<string[]>;
  /** Answers how many names were freed. */
  reap(keys: RoomKeys, instance: string): Promise<number>;
  /** Answers 1 if the room was told. */
  farewell(keys: RoomKeys, user: string, left: string): Promise<number>;
  /** Answers which instances hold names. */
  owners(keys: RoomKeys): Promise<string[]>;
}

type Command = (...keysAndArguments: string[]) => Promise<never>;

/** Registers the scripts with a connection. */
export function defineRoomScripts(connection: Connection): RoomScripts {
  const { redis } = connection;
  function define(name: string, numberOfKeys: number, lua: string): Command {
    redis.defineCommand(name, { numberOfKeys, lua });
    const command = (redis as unknown as Record<string, Command>)[name];
    return (...args) => connection.ask(() => command.apply(redis, args));
  }
  const claim = define("claimName", 2, claimScript);
  const release = define("releaseName", 2, releaseScript);
  const reclaim = define("reclaimNames", 2, reclaimScript);
  const reap = define("reapNames", 2, reapScript);
  const farewell = define("farewell", 1, farewellScript);
  const owners = define("ownersOfNames", 1, ownersScript);

  return {
    claim: (keys, user, instance, joined) =>
      claim(keys.users, keys.owners, user, instance, keys.channel, joined),
    release: (keys, user, instance, left) =>
      release(keys.users, keys.owners, user, instance, keys.channel, left),
    reclaim: (keys, users, now, before) =>
      reclaim(keys.users, keys.owners, now, `${before.length}`, ...before, ...users),
    reap: (keys, instance) => reap(keys.users, keys.owners, instance, keys.channel),
    farewell: (keys, user, left) => farewell(keys.owners, user, keys.channel, left),
    owners: (keys) => owners(keys.owners),
  };
}
