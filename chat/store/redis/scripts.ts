import claimScript from "./scripts/claim.lua" with { type: "text" };
import type { Connection } from "./connections.ts";
import type { RoomKeys } from "./keys.ts";
import announceLeftScript from "./scripts/announce_left.lua" with { type: "text" };
import ownersScript from "./scripts/owners.lua" with { type: "text" };
import reapScript from "./scripts/reap.lua" with { type: "text" };
import reclaimScript from "./scripts/reclaim.lua" with { type: "text" };
import releaseScript from "./scripts/release.lua" with { type: "text" };
import publishScript from "./scripts/publish.lua" with { type: "text" };
import { type LogLimits, REF_TTL_SECONDS } from "../store.ts";

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
  announceLeft(keys: RoomKeys, user: string, left: string): Promise<number>;
  /** Answers which instances hold names. */
  owners(keys: RoomKeys): Promise<string[]>;
}

/** A message on its way to a room's log. */
export interface Said {
  /** The end of its event as JSON, after its id and prev. */
  readonly rest: string;
  /** The key of its ref, if it has one. */
  readonly ref?: string;
}

/** The script on a room's log, typed; what it does stands in its `.lua` file. */
export interface LogScripts {
  /** Answers with the messages' ids. */
  publish(keys: RoomKeys, messages: readonly Said[], limits: LogLimits): Promise<string[]>;
}

type Command = (...keysAndArguments: (string | number)[]) => Promise<never>;

/** Where the number of keys is not given, it comes first among the arguments. */
function define(
  connection: Connection,
  name: string,
  numberOfKeys: number | undefined,
  lua: string,
): Command {
  const { redis } = connection;
  redis.defineCommand(name, { numberOfKeys, lua });
  const command = (redis as unknown as Record<string, Command>)[name];
  return (...args) => connection.run(() => command.apply(redis, args));
}

/** Registers the scripts on a room's users with a connection. */
export function defineRoomScripts(connection: Connection): RoomScripts {
  const claim = define(connection, "claimName", 2, claimScript);
  const release = define(connection, "releaseName", 2, releaseScript);
  const reclaim = define(connection, "reclaimNames", 2, reclaimScript);
  const reap = define(connection, "reapNames", 2, reapScript);
  const farewell = define(connection, "farewell", 1, announceLeftScript);
  const owners = define(connection, "ownersOfNames", 1, ownersScript);

  return {
    claim: (keys, user, instance, joined) =>
      claim(keys.users, keys.owners, user, instance, keys.channel, joined),
    release: (keys, user, instance, left) =>
      release(keys.users, keys.owners, user, instance, keys.channel, left),
    reclaim: (keys, users, now, before) =>
      reclaim(keys.users, keys.owners, now, before.length, ...before, ...users),
    reap: (keys, instance) => reap(keys.users, keys.owners, instance, keys.channel),
    announceLeft: (keys, user, left) => farewell(keys.owners, user, keys.channel, left),
    owners: (keys) => owners(keys.owners),
  };
}

/** Registers the script on a room's log with a connection. */
export function defineLogScripts(connection: Connection): LogScripts {
  const say = define(connection, "say", undefined, publishScript);

  return {
    publish(keys, messages, { historyLimit, historySeconds }) {
      const refs = messages.flatMap(({ ref }) => ref ?? []);
      const said = messages.flatMap(({ rest, ref }) => [ref === undefined ? 0 : 1, rest]);
      const limits = [historyLimit, historySeconds, REF_TTL_SECONDS];
      return say(1 + refs.length, keys.log, ...refs, keys.channel, ...limits, ...said);
    },
  };
}
