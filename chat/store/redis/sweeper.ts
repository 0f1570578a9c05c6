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

/**
 * Looks through the rooms in turn, and compares what Redis has with what this instance holds.
 * Redis may have lost keys, because it evicted them or because someone deleted them; and it may
 * have names of instances that are gone.
 */
export class Sweeper {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #claims: NameClaims;
  readonly #recovery: NameRecovery;
  readonly #reaper: Reaper;
  /** The rooms that are not swept yet in this turn. */
  #turn: string[] = [];
  #pauseMs = MIN_TURN_MS;
  /** Whether the latest sweep has found that Redis had lost names. */
  #isDamaged = false;
  /** The rooms in which Redis has more names of this instance than its sessions have. */
  readonly #surplus = new Set<string>();
  /** Whether the turn before has found that, too. */
  #isLosing = false;
  /** In how many rooms this turn has found that Redis had lost names. */
  #damagedRooms = 0;

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param claims the names of this instance
   * @param recovery writes down again what Redis has lost
   * @param reaper frees the names of dead instances
   */
  constructor(
    connection: CommandConnection,
    instances: Instances,
    claims: NameClaims,
    recovery: NameRecovery,
    reaper: Reaper,
  ) {
    this.#connection = connection;
    this.#instances = instances;
    this.#claims = claims;
    this.#recovery = recovery;
    this.#reaper = reaper;
  }

  /** How long to wait between two calls of {@linkcode sweepNext}, in milliseconds. */
  get pauseMs(): number {
    return this.#pauseMs;
  }

  /** Sweeps the next room. */
  async sweepNext(): Promise<void> {
    if (this.#turn.length === 0) this.#startTurn();
    const room = this.#turn.pop();
    // A recovery goes through all rooms itself.
    if (room === undefined || !this.#recovery.isRecovered) return;
    // If Redis has lost names in many rooms, a look at each would be too much. The next turn looks.
    if (this.#isDamaged && this.#instances.hasOwnLease) {
      await this.#reclaim(room);
      if (this.#isDamaged) return;
    }
    await this.sweep(room);
  }

  #startTurn(): void {
    this.#turn = [...this.#claims.rooms];
    const rooms = Math.max(1, this.#turn.length);
    const turnMs = Math.min(MAX_TURN_MS, Math.max(MIN_TURN_MS, rooms * TURN_MS_PER_ROOM));
    this.#pauseMs = Math.max(MIN_PAUSE_MS, turnMs / rooms);
    const damagedRooms = this.#damagedRooms;
    this.#damagedRooms = 0;
    if (damagedRooms > 0 && !this.#isLosing) {
      logger.warn`Redis had lost names in ${damagedRooms} rooms, which are restored`;
    }
    this.#isLosing = damagedRooms > 0;
  }

  /**
   * Puts a room right: frees the names that dead instances hold, also those that are not registered
   * any more, writes down again the names of this instance that Redis has lost, and frees names
   * that nobody holds.
   */
  async sweep(room: string): Promise<void> {
    // What is on its way meanwhile can look like damage, so what follows is harmless where nothing
    // is wrong.
    const { confirmed, unconfirmed } = this.#claims.count(room);
    let { names, users, isMarked, byInstance } = await this.#read(room);
    for (const id of byInstance.keys()) {
      // The watch of the ring sees to those that are registered.
      const isRegistered = this.#instances.isOwn(id) || this.#instances.isRegistered(id);
      if (!isRegistered) await this.#reaper.reapIfDead(id, room);
    }
    // Others may have reaped this instance, and given its names away. A recovery finds that out.
    if (!this.#instances.hasOwnLease || !this.#recovery.isRecovered) return;
    const own = byInstance.get(this.#instances.id) ?? 0;
    const hadSurplus = this.#surplus.delete(room);
    if (own > confirmed + unconfirmed) {
      // Seen twice it is no claim on its way, but a name that no session has. A recovery frees it.
      if (hadSurplus) return await this.#recovery.recover();
      this.#surplus.add(room);
    }
    const formerIds = byInstance.keys()
      .filter((id) => this.#instances.isOwn(id) && id !== this.#instances.id).toArray();
    if (own < confirmed || users < names || formerIds.length > 0) {
      const added = await this.#reclaim(room);
      users += added.users;
      names += added.owners;
    }
    // A claim that was lost in an outage has reached Redis after the recovery.
    for (const id of formerIds) await this.#reaper.reap(room, id);
    if (users > names) ({ names, users, isMarked } = await this.#read(room));
    if (users > names || isMarked) await this.#recovery.freeOwnerless(room);
  }

  /** Writes down again the names of this instance that Redis has lost in a room. */
  async #reclaim(room: string) {
    const added = await this.#recovery.reclaim(room);
    this.#isDamaged = added.users + added.owners > 0;
    if (this.#isDamaged) this.#damagedRooms++;
    return added;
  }

  /** Two commands and no script, so that a thousand rooms cost Redis little. */
  async #read(room: string) {
    const keys = this.#connection.keys.room(room);
    const [owners, users] = await Promise.all([
      this.#connection.run<string[]>("HVALS", keys.owners),
      this.#connection.run<number>("SCARD", keys.users),
    ]);
    return { users, ...countOwners(owners) };
  }
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
