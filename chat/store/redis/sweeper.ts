import { getLogger } from "@logtape/logtape";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { NameClaims } from "./name_claims.ts";
import type { NameRecovery } from "./name_recovery.ts";
import type { Reaper } from "./reaper.ts";

const logger = getLogger(["chat", "redis"]);

/** The least time between two sweeps of the same room, in milliseconds. */
const MIN_TURN_MS = 10_000;

/** How long it takes to sweep all rooms, in milliseconds, up to a thousand rooms. */
const MAX_TURN_MS = 25_000;

/** What one room adds to the turn, in milliseconds, until it takes the longest time. */
const TURN_MS_PER_ROOM = 250;

/** The least pause between two sweeps in milliseconds: each sends two commands. */
const MIN_PAUSE_MS = 25;

/** See {@linkcode makeSweeper}. */
export type Sweeper = ReturnType<typeof makeSweeper>;

/**
 * Makes what looks through the rooms in turn, and compares what Redis has with what this instance
 * holds. Redis may have lost keys, because it evicted them or because someone deleted them; and it
 * may have names of instances that are gone.
 */
export function makeSweeper(
  connection: CommandConnection,
  instances: Instances,
  claims: NameClaims,
  recovery: NameRecovery,
  reaper: Reaper,
) {
  /** The rooms that are not swept yet in this turn. */
  let turn: string[] = [];
  let pauseMs = MIN_TURN_MS;
  /** Whether the latest sweep has found that Redis had lost names. */
  let isDamaged = false;
  /** The rooms in which Redis has more names of this instance than its sessions have. */
  const surplus = new Set<string>();
  /** Whether the turn before has found that, too. */
  let isLosing = false;
  /** In how many rooms this turn has found that Redis had lost names. */
  let damagedRooms = 0;

  /** Sweeps the next room. */
  async function sweepNext(): Promise<void> {
    if (turn.length === 0) startTurn();
    const room = turn.pop();
    // A recovery goes through all rooms itself.
    if (room === undefined || !recovery.isRecovered) return;
    // If Redis has lost names in many rooms, a look at each would be too much. The next turn looks.
    if (isDamaged && instances.hasOwnLease) {
      await reclaim(room);
      if (isDamaged) return;
    }
    await sweep(room);
  }

  function startTurn(): void {
    turn = claims.roomsToSweep;
    const rooms = Math.max(1, turn.length);
    const turnMs = Math.min(MAX_TURN_MS, Math.max(MIN_TURN_MS, rooms * TURN_MS_PER_ROOM));
    pauseMs = Math.max(MIN_PAUSE_MS, turnMs / rooms);
    if (damagedRooms > 0 && !isLosing) {
      logger.warn`Redis had lost names in ${damagedRooms} rooms, which are restored`;
    }
    isLosing = damagedRooms > 0;
    damagedRooms = 0;
  }

  /**
   * Puts a room right: frees the names that dead instances hold, also those that are not registered
   * any more, writes down again the names of this instance that Redis has lost, and frees names
   * that nobody holds.
   */
  async function sweep(room: string): Promise<void> {
    // What is on its way meanwhile can look like damage, so what follows is harmless where nothing
    // is wrong.
    const { confirmed, unconfirmed } = claims.count(room);
    let { names, users, isMarked, byInstance } = await read(room);
    for (const id of byInstance.keys()) {
      // The watch of the ring sees to those that are registered.
      const isRegistered = instances.isOwn(id) || instances.isRegistered(id);
      if (!isRegistered) await reaper.reapIfDead(id, room);
    }
    // Others may have reaped this instance, and given its names away. A recovery finds that out.
    if (!instances.hasOwnLease || !recovery.isRecovered) return;
    const own = byInstance.get(instances.id) ?? 0;
    const hadSurplus = surplus.delete(room);
    if (own > confirmed + unconfirmed) {
      // Seen twice it is no claim on its way, but a name that no session has. A recovery frees it.
      if (hadSurplus) return await recovery.recover();
      surplus.add(room);
    }
    const formerIds = byInstance.keys()
      .filter((id) => instances.isOwn(id) && id !== instances.id).toArray();
    if (own < confirmed || users < names || formerIds.length > 0) {
      const added = await reclaim(room);
      users += added.users;
      names += added.owners;
    }
    // A claim that was lost in an outage has reached Redis after the recovery.
    for (const id of formerIds) await reaper.reap(room, id);
    await recovery.announcePresent(room);
    if (users > names) ({ names, users, isMarked } = await read(room));
    const isDoubtful = users > names || isMarked;
    if (isDoubtful) await recovery.freeOwnerless(room);
    claims.doubt(room, isDoubtful);
  }

  /** Writes down again the names of this instance that Redis has lost in a room. */
  async function reclaim(room: string) {
    const added = await recovery.reclaim(room);
    isDamaged = added.users + added.owners > 0;
    if (isDamaged) damagedRooms++;
    return added;
  }

  /** Two commands and no script, so that a thousand rooms cost Redis little. */
  async function read(room: string) {
    const keys = connection.keys.room(room);
    const [owners, users] = await Promise.all([
      connection.run<string[]>("HVALS", keys.owners),
      connection.run<number>("SCARD", keys.users),
    ]);
    return { users, ...countOwners(owners) };
  }

  return {
    /** How long to wait between two calls of `sweepNext`, in milliseconds. */
    get pauseMs() {
      return pauseMs;
    },
    sweepNext,
    sweep,
  };
}

/** Counts the names in a room, and the sessions that have them by their instances. */
function countOwners(owners: readonly string[]) {
  const byInstance = new Map<string, number>();
  let names = 0, isMarked = false;
  for (const owner of owners) {
    // The marks of `free_ownerless.lua` are empty, and what a name's key leads to begins with ":".
    if (owner === "") isMarked = true;
    if (owner === "" || owner[0] === ":") continue;
    names++;
    for (const line of owner.split("\n")) {
      const id = line.split(" ", 1)[0];
      byInstance.set(id, (byInstance.get(id) ?? 0) + 1);
    }
  }
  return { names, isMarked, byInstance };
}
