import { getLogger } from "@logtape/logtape";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { Claim, NameClaims, Unreleased } from "./name_claims.ts";
import type { Reaper } from "./reaper.ts";
import { defineRecoveryScripts } from "./scripts.ts";

const logger = getLogger(["chat", "redis"]);

/** The most names that one script reclaims. Redis serves nobody else meanwhile. */
const MAX_RECLAIM_NAMES = 500;

/** The most names without an owner that one script frees. */
const MAX_FREED_NAMES = 500;

/** How long the rooms of other instances are taken to be the same, in milliseconds. */
const OTHERS_MAX_AGE_MS = 1_000;

/** No instance: as long as it is waited for, no name is freed. */
const NOT_YET = ["?"];

/** After this many renewals of the lease the instance writes down its rooms again. */
const RENEWALS_PER_REWRITE = 6;

/** The instance checks the clock of Redis with one of so many renewals of the lease. */
const RENEWALS_PER_CLOCK_CHECK = 2;

/** See {@linkcode makeNameRecovery}. */
export type NameRecovery = ReturnType<typeof makeNameRecovery>;

/**
 * Makes what keeps the lease of this instance, and puts its names in Redis right, after an outage
 * and whenever Redis has lost some.
 */
export function makeNameRecovery(
  connection: CommandConnection,
  instances: Instances,
  claims: NameClaims,
  reaper: Reaper,
) {
  const scripts = defineRecoveryScripts(connection);
  let running: Promise<void> | undefined;
  let renewals = 0;
  let isRegistered = false;
  let isClosing = false;
  /** The names that could not be released before a recovery that has not succeeded yet. */
  let unreleased: Unreleased[] = [];
  /** Whether the connection was lost since the last recovery. */
  let wasCutOff = false;
  /** Whether the lease had ended, and the names are not reclaimed yet. */
  let hadNoLease = false;
  let others: Promise<(room: string) => readonly string[]> | undefined;
  let othersReadAt = 0;

  /** Whether Redis has this instance, all names that it holds, and none that it released. */
  function isRecovered(): boolean {
    return isRegistered && !claims.hasUnreleased;
  }

  /** Registers the instance for the first time. */
  async function start(): Promise<void> {
    // This may be the end of an outage, in which all leases have ended.
    reaper.startGracePeriod();
    await instances.register([]);
    isRegistered = true;
  }

  /** Renews the lease. Recovers if the lease is lost, or if {@linkcode isRecovered} is false. */
  async function renewLease(): Promise<void> {
    // While the connection is down there is nothing to do: its return starts a recovery.
    if (!connection.isReady) return;
    let isHeld = false;
    try {
      const checksClock = ++renewals % RENEWALS_PER_CLOCK_CHECK === 0;
      isHeld = await instances.renewLease(checksClock);
    } catch (error) {
      isRegistered = false;
      // If Redis refuses writes, the leases of all others end, too.
      reaper.startGracePeriod();
      throw error;
    }
    if (!isHeld || !isRecovered()) return await recover();
    if (renewals % RENEWALS_PER_REWRITE > 0) return;
    await instances.rewriteRooms(claims.rooms);
  }

  /** Recovers after the connection was lost. */
  async function reconnect(): Promise<void> {
    wasCutOff = true;
    await recover();
  }

  /**
   * Registers this instance under a new id, and hands it every name from the former ids. Claims
   * names that Redis has lost, gives up names that others took, and frees what the former ids still
   * hold. A call during a recovery waits for that one.
   */
  async function recover(): Promise<void> {
    if (isClosing) return;
    await (running ??= runRecovery().finally(() => running = undefined));
  }

  async function runRecovery(): Promise<void> {
    isRegistered = false;
    hadNoLease ||= !instances.hasOwnLease;
    reaper.startGracePeriod();
    instances.retireId();
    const [earliest] = instances.retiredIds;
    const hasLostData = !await instances.isKnown(earliest);
    const rooms = new Set(claims.rooms);
    await instances.register(rooms);
    // Rooms that were entered during the registration were recorded under the former id.
    for (const room of claims.rooms) {
      if (!rooms.has(room)) await instances.enterRoom(room);
    }
    // Pending claims may have been sent with a former id. Their names are handed over below.
    await claims.settled();

    unreleased.push(...claims.takeUnreleased());
    const wasReaped = await instances.wasReaped();
    // Whoever was cut off has no right to a name that someone else claimed meanwhile.
    const takesBack = !wasCutOff && !wasReaped;
    await Promise.all([...claims.rooms].map((room) => reclaim(room, takesBack)));
    hadNoLease = false;
    if (hasLostData && !wasReaped) {
      // Redis had lost the names, so nobody else has seen the users leave.
      await Promise.all(
        unreleased.map(({ room, claim }) => claims.free(room, claim, true)),
      );
    }
    for (const id of instances.retiredIds) await reaper.reapRetired(id);
    // What Redis has lost of these names, the recovery could not free.
    for (const { room } of unreleased) claims.doubt(room, true);
    unreleased = [];
    if (wasReaped) logger.warn`This instance had lost its lease: its users left, and are back`;
    else if (hasLostData) logger.warn`Redis had lost this instance, which is registered again`;
    wasCutOff = false;
    // If a release has failed meanwhile, `isRecovered` is still false: the next renewal recovers.
    isRegistered = true;
  }

  /**
   * Writes down again the names in a room that Redis has lost. Of two users who have the same name,
   * the one who claimed it earlier keeps it; of two sessions of one device, the later one.
   *
   * @param takesBack whether to take a name from a user who claimed it later; if not, it is taken
   * from one who claimed it earlier, which Redis has from an earlier state
   * @returns how many names were added to the users, and how many to their owners
   */
  async function reclaim(
    room: string,
    takesBack = true,
  ): Promise<{ users: number; owners: number }> {
    const held = claims.heldIn(room).all();
    const wereFree: Claim[] = [];
    let addedUsers = 0;
    for (let i = 0; i < held.length; i += MAX_RECLAIM_NAMES) {
      // A user who left while the previous part was under way is not claimed again.
      const part = held.slice(i, i + MAX_RECLAIM_NAMES)
        .filter((claim) => claims.heldIn(room).has(claim));
      if (part.length === 0) continue;
      const { id, ownPrefix } = instances;
      const keys = connection.keys.room(room);
      const [added, ...replies] = await scripts.reclaim(keys, id, ownPrefix, takesBack, part);
      addedUsers += added;
      for (const [j, reply] of replies.entries()) {
        if (reply === "free") wereFree.push(part[j]);
        if (reply === "taken" || reply === "replaced") claims.lose(room, part[j], reply);
      }
    }
    if (wereFree.length > 0 && await instances.wasReaped()) {
      await announceJoined(room, wereFree);
    }
    return { users: addedUsers, owners: wereFree.length };
  }

  /**
   * Frees the names in a room that no instance holds, once all instances have written down again
   * what Redis had lost: see `free_ownerless.lua`.
   */
  async function freeOwnerless(room: string): Promise<void> {
    const othersIn = await othersByRoom();
    for (let ownerless = 1, freed = 1; ownerless > 0 && freed > 0; ownerless -= freed) {
      [ownerless, freed] = await scripts.freeOwnerless(
        connection.keys.room(room),
        instances.id,
        claims.count(room).confirmed,
        MAX_FREED_NAMES,
        othersIn(room),
      );
    }
  }

  /**
   * Finds out which other instances may hold names in a room. What is a second old is good enough:
   * who enters a room later has no names there that lack an owner.
   */
  function othersByRoom(): Promise<(room: string) => readonly string[]> {
    const now = performance.now();
    if (!others || now - othersReadAt > OTHERS_MAX_AGE_MS) {
      othersReadAt = now;
      others = readOthers();
      others.catch(() => others = undefined);
    }
    return others;
  }

  async function readOthers(): Promise<(room: string) => readonly string[]> {
    const roomsById = await reaper.canJudge() && await instances.readOthers();
    if (!roomsById) return () => NOT_YET;
    return (room) => [...roomsById].flatMap(([id, rooms]) => rooms.has(room) ? id : []);
  }

  /** Other instances reaped these names, and saw the users leave. They have to see them join. */
  async function announceJoined(room: string, freed: Claim[]): Promise<void> {
    const { users } = connection.keys.room(room);
    const count = await connection.run<number>("SCARD", users);
    // A later session of the user may have the name by now, but others still miss the user.
    await Promise.all(
      freed.map(({ user, session }) =>
        claims.announce(room, { type: "joined", user, session, users: count })
      ),
    );
  }

  /** Announces the users of this instance who were seen leaving, although they are there. */
  async function announcePresent(room: string): Promise<void> {
    const seenLeaving = claims.heldIn(room).all().filter(({ lastSeen }) => lastSeen === "left");
    if (seenLeaving.length === 0) return;
    const oneOfEach = new Map(seenLeaving.map((claim) => [claim.user, claim]));
    await announceJoined(room, [...oneOfEach.values()]);
    for (const claim of seenLeaving) claim.lastSeen = "joined";
  }

  /** Gives up the lease. */
  async function close(): Promise<void> {
    isClosing = true;
    await running?.catch(() => {});
    await instances.close(!isRecovered() || claims.holdsNames);
  }

  return {
    get isRecovered() {
      return isRecovered();
    },
    /** Whether others may have taken this instance for dead, and freed its names. */
    get mayHaveLostNames() {
      return hadNoLease || !instances.hasOwnLease;
    },
    /** Resolves when no recovery is under way, whether or not it has succeeded. */
    async settled(): Promise<void> {
      await running?.catch(() => {});
    },
    ...{ start, renewLease, reconnect, recover, reclaim, freeOwnerless, announcePresent, close },
  };
}
