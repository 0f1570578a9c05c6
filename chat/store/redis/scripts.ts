import type { RoomEvent } from "../../protocol/events.ts";
import { type LogLimits, REF_TTL_SECONDS } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { RoomKeys } from "./keys.ts";
import announceLeftScript from "./scripts/announce_left.lua" with { type: "text" };
import claimScript from "./scripts/claim.lua" with { type: "text" };
import ownersScript from "./scripts/owners.lua" with { type: "text" };
import probeScript from "./scripts/probe.lua" with { type: "text" };
import publishScript from "./scripts/publish.lua" with { type: "text" };
import reapScript from "./scripts/reap.lua" with { type: "text" };
import reclaimScript from "./scripts/reclaim.lua" with { type: "text" };
import releaseScript from "./scripts/release.lua" with { type: "text" };

/** The scripts that claim and release names. The `.lua` file of each says what it does. */
export interface ClaimScripts {
  /** Resolves to `null` if the instance has the name now, else to the instance that holds it. */
  claim(keys: RoomKeys, user: string, instance: string, session: string): Promise<string | null>;
  /** Resolves to 1 if the name was freed, 0 if the instance does not hold it. */
  release(keys: RoomKeys, user: string, instance: string): Promise<number>;
}

/** The scripts that free the names of dead instances. */
export interface ReaperScripts {
  /** Resolves to the instances that hold names in the room, each once. */
  owners(keys: RoomKeys): Promise<string[]>;
  /** Resolves to the number of names that were freed. */
  reap(keys: RoomKeys, instance: string): Promise<number>;
}

/** The scripts that put names right after an outage. */
export interface RecoveryScripts {
  /** Resolves to `"kept"`, `"free"` or the instance that holds the name, for each user. */
  reclaim(
    keys: RoomKeys,
    users: readonly string[],
    instance: string,
    ownPrefix: string,
  ): Promise<string[]>;
  /** Resolves to 1 if `left` was published, 0 if someone holds the name. */
  announceLeft(keys: RoomKeys, user: string): Promise<number>;
}

/** A message on its way to a room's log. */
export interface PendingMessage {
  /** The end of its event as JSON, after `id` and `prev`. */
  readonly rest: string;
  /** The key of its ref, if it has one. */
  readonly refKey?: string;
}

/** A log is trimmed by age once in about this many messages, because that costs a command. */
const MESSAGES_PER_TRIM = 32;

/** How many old messages such a trim deletes at most: enough to keep up with those that come. */
const MAX_TRIMMED_MESSAGES = 100;

/** The script that publishes messages. */
export interface LogScripts {
  /** Resolves to the messages' ids. */
  publish(
    keys: RoomKeys,
    messages: readonly PendingMessage[],
    limits: LogLimits,
  ): Promise<string[]>;
}

/** Registers the scripts that claim and release names. */
export function defineClaimScripts(connection: CommandConnection): ClaimScripts {
  const claim = connection.defineScript<string | null>("claimName", 2, claimScript);
  const release = connection.defineScript<number>("releaseName", 2, releaseScript);
  return {
    claim(keys, user, instance, session) {
      const joined = JSON.stringify({ type: "joined", user, session } satisfies Partial<RoomEvent>);
      // The script adds the number of users, and the closing brace.
      return claim(keys.users, keys.owners, user, instance, keys.channel, joined.slice(0, -1));
    },
    release: (keys, user, instance) =>
      release(keys.users, keys.owners, user, instance, keys.channel, leftEvent(user)),
  };
}

/** Registers the scripts that free the names of dead instances. */
export function defineReaperScripts(connection: CommandConnection): ReaperScripts {
  const owners = connection.defineScript<string[]>("listOwners", 1, ownersScript);
  const reap = connection.defineScript<number>("reapNames", 2, reapScript);
  return {
    owners: (keys) => owners(keys.owners),
    reap: (keys, instance) => reap(keys.users, keys.owners, instance, keys.channel),
  };
}

/** Registers the scripts that put names right after an outage. */
export function defineRecoveryScripts(connection: CommandConnection): RecoveryScripts {
  const reclaim = connection.defineScript<string[]>("reclaimNames", 2, reclaimScript);
  const announceLeft = connection.defineScript<number>("announceLeft", 1, announceLeftScript);
  return {
    reclaim: (keys, users, instance, ownPrefix) =>
      reclaim(keys.users, keys.owners, instance, ownPrefix, ...users),
    announceLeft: (keys, user) => announceLeft(keys.owners, user, keys.channel, leftEvent(user)),
  };
}

/**
 * Registers the script that calls every command that the chat needs. A single command would not do:
 * a Redis without memory still answers `PING`.
 *
 * @param channel a channel on which nobody minds an empty payload
 * @returns runs the script; resolves to the first error reply, or to `null`
 */
export function defineProbe(
  connection: CommandConnection,
  channel: string,
): () => Promise<string | null> {
  const probe = connection.defineScript<string | null>("probe", 1, probeScript);
  return () => probe(connection.keys.probe, channel);
}

/** Registers the script that publishes messages. */
export function defineLogScripts(connection: CommandConnection): LogScripts {
  // The number of keys varies, and comes first among the arguments.
  const publish = connection.defineScript<string[]>("publishMessages", undefined, publishScript);
  return {
    publish(keys, messages, { historyLimit, historySeconds }) {
      const refKeys = messages.flatMap(({ refKey }) => refKey ?? []);
      // By chance, so that nobody has to count the messages of each room.
      const isTrimDue = Math.random() * MESSAGES_PER_TRIM < messages.length;
      const trimmed = isTrimDue ? MAX_TRIMMED_MESSAGES : 0;
      const limits = [historyLimit, historySeconds, trimmed, REF_TTL_SECONDS];
      const args = messages.flatMap(({ rest, refKey }) => [refKey === undefined ? 0 : 1, rest]);
      return publish(1 + refKeys.length, keys.log, ...refKeys, keys.channel, ...limits, ...args);
    },
  };
}

function leftEvent(user: string): string {
  return JSON.stringify({ type: "left", user } satisfies RoomEvent);
}
