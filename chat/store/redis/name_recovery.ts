import { getLogger } from "@logtape/logtape";
import type { CommandConnection } from "./connections.ts";
import type { Instances } from "./instances.ts";
import type { Claim, NameClaims, Unreleased } from "./name_claims.ts";
import type { Reaper } from "./reaper.ts";
import { defineRecoveryScripts, type RecoveryScripts } from "./scripts.ts";

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

/**
 * Keeps the lease of this instance, and puts its names in Redis right, after an outage and whenever
 * Redis has lost some.
 */
export class NameRecovery {
  readonly #connection: CommandConnection;
  readonly #instances: Instances;
  readonly #claims: NameClaims;
  readonly #reaper: Reaper;
  readonly #scripts: RecoveryScripts;
  #running: Promise<void> | undefined;
  #renewals = 0;
  #isRegistered = false;
  #isClosing = false;
  /** The names that could not be released before a recovery that has not succeeded yet. */
  #unreleased: Unreleased[] = [];
  /** Whether the connection was lost since the last recovery. */
  #wasCutOff = false;
  #others: Promise<(room: string) => readonly string[]> | undefined;
  #othersReadAt = 0;

  /**
   * @param connection where to send commands
   * @param instances the instances
   * @param claims the names of this instance
   * @param reaper frees the names of dead ids
   */
  constructor(
    connection: CommandConnection,
    instances: Instances,
    claims: NameClaims,
    reaper: Reaper,
  ) {
    this.#connection = connection;
    this.#instances = instances;
    this.#claims = claims;
    this.#reaper = reaper;
    this.#scripts = defineRecoveryScripts(connection);
  }

  /** Registers the instance for the first time. */
  async start(): Promise<void> {
    // This may be the end of an outage, in which all leases have ended.
    this.#reaper.startGracePeriod();
    await this.#instances.register([]);
    this.#isRegistered = true;
  }

  /** Whether Redis has this instance, all names that it holds, and none that it released. */
  get isRecovered(): boolean {
    return this.#isRegistered && !this.#claims.hasUnreleased;
  }

  /** Renews the lease. Recovers if the lease is lost, or if {@linkcode isRecovered} is false. */
  async renewLease(): Promise<void> {
    // While the connection is down there is nothing to do: its return starts a recovery.
    if (!this.#connection.isReady) return;
    let isHeld = false;
    try {
      const checksClock = ++this.#renewals % RENEWALS_PER_CLOCK_CHECK === 0;
      isHeld = await this.#instances.renewLease(checksClock);
    } catch (error) {
      this.#isRegistered = false;
      // If Redis refuses writes, the leases of all others end, too.
      this.#reaper.startGracePeriod();
      throw error;
    }
    if (!isHeld || !this.isRecovered) return await this.recover();
    if (this.#renewals % RENEWALS_PER_REWRITE > 0) return;
    await this.#instances.rewriteRooms(this.#claims.rooms);
  }

  /** Recovers after the connection was lost. */
  async reconnect(): Promise<void> {
    this.#wasCutOff = true;
    await this.recover();
  }

  /**
   * Registers this instance under a new id, and hands it every name from the former ids. Claims
   * names that Redis has lost, gives up names that others took, and frees what the former ids still
   * hold. A call during a recovery waits for that one.
   */
  async recover(): Promise<void> {
    if (this.#isClosing) return;
    await (this.#running ??= this.#recover().finally(() => this.#running = undefined));
  }

  async #recover(): Promise<void> {
    this.#isRegistered = false;
    this.#reaper.startGracePeriod();
    this.#instances.retireId();
    const [earliest] = this.#instances.retiredIds;
    const hasLostData = !await this.#instances.isKnown(earliest);
    const rooms = new Set(this.#claims.rooms);
    await this.#instances.register(rooms);
    // Rooms that were entered during the registration were recorded under the former id.
    for (const room of this.#claims.rooms) {
      if (!rooms.has(room)) await this.#instances.enterRoom(room);
    }
    // Pending claims may have been sent with a former id. Their names are handed over below.
    await this.#claims.settled();

    this.#unreleased.push(...this.#claims.takeUnreleased());
    const wasReaped = await this.#instances.wasReaped();
    // Whoever was cut off has no right to a name that someone else claimed meanwhile.
    const takesBack = !this.#wasCutOff && !wasReaped;
    await Promise.all([...this.#claims.rooms].map((room) => this.reclaim(room, takesBack)));
    if (hasLostData && !wasReaped) {
      // Redis had lost the names, so nobody else has seen the users leave.
      await Promise.all(
        this.#unreleased.map(({ room, claim }) => this.#claims.free(room, claim, true)),
      );
    }
    this.#unreleased = [];
    for (const id of this.#instances.retiredIds) await this.#reaper.reapRetired(id);
    if (wasReaped) logger.warn`This instance had lost its lease: its users left, and are back`;
    else if (hasLostData) logger.warn`Redis had lost this instance, which is registered again`;
    this.#wasCutOff = false;
    // If a release has failed meanwhile, `isRecovered` is still false: the next renewal recovers.
    this.#isRegistered = true;
  }

  /**
   * Writes down again the names in a room that Redis has lost. Of two users who have the same name,
   * the one who claimed it earlier keeps it; of two sessions of one device, the later one.
   *
   * @param takesBack whether to take a name from a user who claimed it later
   * @returns how many names were added to the users, and how many to their owners
   */
  async reclaim(room: string, takesBack = true): Promise<{ users: number; owners: number }> {
    const claims = this.#claims.heldIn(room).all();
    const wereFree: Claim[] = [];
    let addedUsers = 0;
    for (let i = 0; i < claims.length; i += MAX_RECLAIM_NAMES) {
      // A user who left while the previous part was under way is not claimed again.
      const part = claims.slice(i, i + MAX_RECLAIM_NAMES)
        .filter((claim) => this.#claims.isHeld(room, claim));
      if (part.length === 0) continue;
      const { id, ownPrefix } = this.#instances;
      const keys = this.#connection.keys.room(room);
      const [added, ...replies] = await this.#scripts.reclaim(keys, id, ownPrefix, takesBack, part);
      addedUsers += added;
      for (const [j, reply] of replies.entries()) {
        if (reply === "free") wereFree.push(part[j]);
        if (reply === "taken" || reply === "replaced") this.#claims.lose(room, part[j], reply);
      }
    }
    if (wereFree.length > 0 && await this.#instances.wasReaped()) {
      await this.#announceJoined(room, wereFree);
    }
    return { users: addedUsers, owners: wereFree.length };
  }

  /**
   * Frees the names in a room that no instance holds, once all instances have written down again
   * what Redis had lost: see `free_ownerless.lua`.
   */
  async freeOwnerless(room: string): Promise<void> {
    const othersIn = await this.#othersByRoom();
    for (let ownerless = 1, freed = 1; ownerless > 0 && freed > 0; ownerless -= freed) {
      [ownerless, freed] = await this.#scripts.freeOwnerless(
        this.#connection.keys.room(room),
        this.#instances.id,
        this.#claims.count(room).confirmed,
        MAX_FREED_NAMES,
        othersIn(room),
      );
    }
  }

  /**
   * Finds out which other instances may hold names in a room. What is a second old is good enough:
   * who enters a room later has no names there that lack an owner.
   */
  #othersByRoom(): Promise<(room: string) => readonly string[]> {
    const now = performance.now();
    if (!this.#others || now - this.#othersReadAt > OTHERS_MAX_AGE_MS) {
      this.#othersReadAt = now;
      this.#others = this.#readOthers();
      this.#others.catch(() => this.#others = undefined);
    }
    return this.#others;
  }

  async #readOthers(): Promise<(room: string) => readonly string[]> {
    const others = await this.#reaper.canJudge() && await this.#instances.readOthers();
    if (!others) return () => NOT_YET;
    return (room) => [...others].flatMap(([id, rooms]) => rooms.has(room) ? id : []);
  }

  /** Other instances reaped these names, and saw the users leave. They have to see them join. */
  async #announceJoined(room: string, claims: Claim[]): Promise<void> {
    const { users } = this.#connection.keys.room(room);
    const count = await this.#connection.run<number>("SCARD", users);
    // A later session of the user may have the name by now, but others still miss the user.
    await Promise.all(
      claims.map(({ user, session }) =>
        this.#claims.announce(room, { type: "joined", user, session, users: count })
      ),
    );
  }

  /** Gives up the lease. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#running?.catch(() => {});
    await this.#instances.close(!this.isRecovered || this.#claims.holdsNames);
  }
}
