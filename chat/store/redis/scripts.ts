import {
  type Joined,
  type Left,
  type Message,
  payloadOf,
  type Removed,
} from "../../protocol/events.ts";
import { DEFAULT_ROOM } from "../../protocol/names.ts";
import {
  type ClaimOptions,
  type LogLimits,
  maxRefs,
  type NameLoss,
  REF_TTL_SECONDS,
  withoutText,
} from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import type { RoomKeys } from "./keys.ts";
import announceScript from "./scripts/announce.lua" with { type: "text" };
import claimScript from "./scripts/claim.lua" with { type: "text" };
import freeOwnerlessScript from "./scripts/free_ownerless.lua" with { type: "text" };
import probeScript from "./scripts/probe.lua" with { type: "text" };
import publishScript from "./scripts/publish.lua" with { type: "text" };
import reapScript from "./scripts/reap.lua" with { type: "text" };
import reclaimScript from "./scripts/reclaim.lua" with { type: "text" };
import removeScript from "./scripts/remove.lua" with { type: "text" };
import releaseScript from "./scripts/release.lua" with { type: "text" };

/** A session that claims a name. */
export interface Claimant extends ClaimOptions {
  readonly user: string;
  readonly session: string;
  readonly maxDevices: number;
}

/**
 * How many of the names the SET did not have; then for each session whether it had its name, or got
 * it, beside others or from another one; or why it does not have it.
 */
type ReclaimReply = [added: number, ...replies: ("kept" | "free" | "added" | "won" | NameLoss)[]];

/** A message on its way to a room's log. */
export interface PendingMessage {
  /** The end of its event as JSON, after `id` and `prev`. */
  readonly rest: string;
  /** Its sender. */
  readonly user: string;
  /** Its ref, if it has one. */
  readonly ref: string | undefined;
  /** The ref of the message that must be in the log before, if there is one. */
  readonly after: string | undefined;
}

/** A log is trimmed by age once in about this many messages, because that costs a command. */
const MESSAGES_PER_TRIM = 32;

/** How many old messages such a trim deletes at most: enough to keep up with those that come. */
const MAX_TRIMMED_MESSAGES = 100;

/**
 * How often a log is measured while messages fill it anew. That costs Redis up to 40 µs for 4 MiB,
 * and the log is seldom more than a few parts of so many above its limit.
 */
const MEASUREMENTS_PER_LOG = 64;

/** What an instance has seen of a room's log: Redis may lose its end. */
export interface SeenIds {
  /** The last message that it has delivered or logged. */
  readonly last: string;
  /** The highest id of all. */
  readonly highest: string;
}

/** Later than the clock of Redis, but not by much, in milliseconds: the clocks differ a little. */
const CLOCK_MARGIN_MS = 1_000;

/**
 * What became of a message: its id; or why it was not appended: `null` if the one before it is not
 * in the log, 0 if its sender has too many refs, -1 if its sender is muted.
 */
export type PublishReply = string | null | 0 | -1;

/** Registers the scripts that claim and release names. The `.lua` file of each says more. */
export function defineClaimScripts(connection: CommandConnection, historySeconds: number) {
  const claim = defineNameScript<number | [taken: string, owner: string]>(
    ...[connection, "claimName", claimScript] as const,
  );
  const release = defineNameScript<number>(connection, "releaseName", releaseScript);
  const announce = defineNameScript<number>(connection, "announce", announceScript);
  return {
    claim(keys: RoomKeys, instance: string, claimant: Claimant) {
      const { user, session, maxDevices } = claimant;
      const fields = JSON.stringify({ user, session }).slice(1, -1);
      const owner = [user, instance, endOfOwner(claimant)];
      const limits = [2 * historySeconds, maxDevices, claimant.address ?? ""];
      return claim(keys, ...owner, keys.channel, fields, ...limits, ...keyFields(claimant));
    },
    release(keys: RoomKeys, user: string, session: string, isCertain: boolean) {
      const left = payloadOf({ type: "left", user });
      const args = [user, session, isCertain ? 1 : 0, keys.channel, left, 2 * historySeconds];
      return release(keys, ...args);
    },
    announce(keys: RoomKeys, event: Joined | Left) {
      const mustBeHeld = event.type === "joined" ? 1 : 0;
      return announce(keys, event.user, mustBeHeld, keys.channel, payloadOf(event));
    },
  };
}

/** Registers the script that frees the names of dead instances. */
export function defineReap(connection: CommandConnection, historySeconds: number) {
  const reap = defineNameScript<number>(connection, "reapNames", reapScript);
  return (keys: RoomKeys, instance: string) =>
    reap(keys, instance, keys.channel, 2 * historySeconds);
}

/** Registers the scripts that put names right. */
export function defineRecoveryScripts(connection: CommandConnection) {
  const reclaim = defineNameScript<ReclaimReply>(connection, "reclaimNames", reclaimScript);
  const freeOwnerless = defineNameScript<[ownerless: number, freed: number]>(
    ...[connection, "freeOwnerless", freeOwnerlessScript] as const,
  );
  return {
    reclaim(
      keys: RoomKeys,
      instance: string,
      ownPrefix: string,
      takesBack: boolean,
      claims: readonly (Claimant & { readonly claimedAtMs: number })[],
    ) {
      const args = claims.flatMap((claim) => {
        const { user, claimedAtMs, maxDevices } = claim;
        const end = [endOfOwner(claim), ...keyFields(claim)].join(" ");
        return [user, claimedAtMs, maxDevices > 1 ? 1 : 0, end];
      });
      return reclaim(keys, instance, ownPrefix, takesBack ? 1 : 0, ...args);
    },
    freeOwnerless(
      keys: RoomKeys,
      instance: string,
      held: number,
      max: number,
      others: readonly string[],
    ) {
      return freeOwnerless(keys, instance, held, keys.channel, max, ...others);
    },
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
  const [tagged, plain] = connection.keys.probes;
  return async () => await probe(tagged, channel) ?? await probe(plain, channel);
}

/** Registers a script that gets all keys of the names in a room. */
function defineNameScript<T>(connection: CommandConnection, name: string, lua: string) {
  const { length } = connection.keys.room(DEFAULT_ROOM).names;
  const script = connection.defineScript<T>(name, length, lua);
  return (keys: RoomKeys, ...args: (string | number)[]) => script(...keys.names, ...args);
}

/** Registers the script that publishes messages. */
export function definePublish(connection: CommandConnection) {
  const publish = connection.defineOrderedScript<PublishReply[]>(publishScript);
  /** Resolves to what became of each message. */
  return (
    keys: RoomKeys,
    messages: readonly PendingMessage[],
    limits: LogLimits,
    { last, highest }: SeenIds,
    nowMs: number,
  ) => {
    const allKeys = [keys.log, keys.mutes];
    const places = new Map<string, number>();
    const placeOf = (user: string) => {
      let place = places.get(user);
      if (place === undefined) {
        place = allKeys.push(`${keys.refs}:${user}:0`, `${keys.refs}:${user}:1`) - 1;
        places.set(user, place);
      }
      return place;
    };
    const args = messages.flatMap(({ user, ref = "", after = "", rest }) => {
      return [ref || after ? placeOf(user) : 0, after, ref, rest, limits.auth ? user : ""];
    });
    // By chance, so that nobody has to count the messages of each room.
    const isTrimDue = Math.random() * MESSAGES_PER_TRIM < messages.length;
    const trimmed = isTrimDue ? MAX_TRIMMED_MESSAGES : 0;
    const { historyLimit, historySeconds, historyBytes = 0 } = limits;
    const measuredFrom = Math.floor(Math.random() * historyBytes / MEASUREMENTS_PER_LOG);
    const kept = [historyLimit, historySeconds, trimmed, REF_TTL_SECONDS];
    const seen = [last, highest, Math.ceil(nowMs) + CLOCK_MARGIN_MS];
    const all = [...kept, ...seen, maxRefs(limits), historyBytes, measuredFrom, ...args];
    return publish(allKeys.length, ...allKeys, keys.channel, ...all);
  };
}

/** Registers the script that removes messages. */
export function defineRemove(connection: CommandConnection, historySeconds: number) {
  const remove = connection.defineScript<number>("removeMessage", 3, removeScript);
  return (keys: RoomKeys, message: Message, removed: Removed) => {
    const { type: _type, id, prev: _prev, ...rest } = withoutText(message);
    const args = [id, JSON.stringify(rest).slice(1), keys.channel, JSON.stringify(removed)];
    return remove(keys.log, keys.newLog, keys.removals, ...args, 2 * historySeconds);
  };
}

/** The fields of a name's keys in the HASH of owners. */
function keyFields({ keys = [] }: Claimant): string[] {
  return keys.map((key) => `::${key}`);
}

/** What follows the instance and the time of the claim in a line of the owner of a name. */
function endOfOwner({ session, secret }: Claimant): string {
  return `${session} ${secret?.attempt ?? 0} ${secret?.hash ?? "-"}`;
}
