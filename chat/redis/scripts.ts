import claimScript from "./claim.lua" with { type: "text" };
import type { Connection } from "./connection.ts";
import type { RoomKeys } from "./keys.ts";
import farewellScript from "./farewell.lua" with { type: "text" };
import ownersScript from "./owners.lua" with { type: "text" };
import reapScript from "./reap.lua" with { type: "text" };
import reclaimScript from "./reclaim.lua" with { type: "text" };
import releaseScript from "./release.lua" with { type: "text" };
import sayScript from "./say.lua" with { type: "text" };
import { type LogLimits, REF_SECONDS } from "../store.ts";

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

/** The script on a room's log, typed; what it does stands in its `.lua` file. */
export interface LogScripts {
  /** Answers with the message's id; `said` is its event's end, `ref` the key of its ref. */
  say(keys: RoomKeys, ref: string | undefined, said: string, limits: LogLimits): Promise<string>;
}

type Command = (...keysAndArguments: (string | number)[]) => Promise<never>;

function define(connection: Connection, name: string, numberOfKeys: number, lua: string): Command {
  const { redis } = connection;
  redis.defineCommand(name, { numberOfKeys, lua });
  const command = (redis as unknown as Record<string, Command>)[name];
  return (...args) => connection.ask(() => command.apply(redis, args));
}

/** Registers the scripts on a room's users with a connection. */
export function defineRoomScripts(connection: Connection): RoomScripts {
  const claim = define(connection, "claimName", 2, claimScript);
  const release = define(connection, "releaseName", 2, releaseScript);
  const reclaim = define(connection, "reclaimNames", 2, reclaimScript);
  const reap = define(connection, "reapNames", 2, reapScript);
  const farewell = define(connection, "farewell", 1, farewellScript);
  const owners = define(connection, "ownersOfNames", 1, ownersScript);

  return {
    claim: (keys, user, instance, joined) =>
      claim(keys.users, keys.owners, user, instance, keys.channel, joined),
    release: (keys, user, instance, left) =>
      release(keys.users, keys.owners, user, instance, keys.channel, left),
    reclaim: (keys, users, now, before) =>
      reclaim(keys.users, keys.owners, now, before.length, ...before, ...users),
    reap: (keys, instance) => reap(keys.users, keys.owners, instance, keys.channel),
    farewell: (keys, user, left) => farewell(keys.owners, user, keys.channel, left),
    owners: (keys) => owners(keys.owners),
  };
}

/** Registers the script on a room's log with a connection. */
export function defineLogScripts(connection: Connection): LogScripts {
  const say = define(connection, "say", 1, sayScript);
  const sayOnce = define(connection, "sayOnce", 2, sayScript);

  return {
    say(keys, ref, said, { historyLimit, historySeconds }) {
      const rest = [keys.channel, said, historyLimit, historySeconds, REF_SECONDS];
      return ref === undefined ? say(keys.log, ...rest) : sayOnce(keys.log, ref, ...rest);
    },
  };
}
