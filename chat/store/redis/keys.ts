import { DEFAULT_ROOM } from "../../protocol/names.ts";

/**
 * The keys and the channel of a room. The braces keep all keys that one script uses in one cluster
 * slot, see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export interface RoomKeys {
  /** A SET of the names of the users in the room. */
  readonly users: string;
  /**
   * A HASH from each of these names to its owner, which has a line for each session that has the
   * name: the id of the session's instance, the time of the claim in milliseconds, the session, and
   * the attempt and the hash of its secret (`0` and `-` without one), with a space between them.
   *
   * A key that the name has in common with names that look like it is a sixth part, as `::KEY`, and
   * so is a second one. Each is also a field, from `::KEY` to `:USER`. So no other name with this
   * key can be claimed, as long as the user has an owner. No name contains a colon.
   */
  readonly owners: string;
  /**
   * A STRING that exists if there were two users in the room at once: see `release.lua`. In the
   * cluster slot of the names.
   */
  readonly shared: string;
  /** The keys of the names, in the order in which every script of the names gets all of them. */
  readonly names: readonly string[];
  /** The channel on which the room's events are published. */
  readonly channel: string;
  /** A STREAM of the room's messages. */
  readonly log: string;
  /**
   * What precedes `:USER:0` and `:USER:1`: two HASHes from the refs of a user's messages to their
   * ids, see `publish.lua`. A user's name contains no colon.
   */
  readonly refs: string;
  /** Where `remove.lua` writes the log anew. */
  readonly newLog: string;
  /**
   * A ZSET of the `removed` events of the room, each as one line of JSON. The score is the time in
   * the id of the newest message when that message was removed.
   */
  readonly removals: string;
  /**
   * A HASH from the name of each user who is banned from the room to three parts with a space
   * between them: until when, in milliseconds; `1` if addresses are banned too, else `0`; and who
   * did it. From `address:ADDRESS` it leads to the users with whom this address is banned, each
   * after a colon. No user's name contains a colon. In the cluster slot of the names.
   */
  readonly bans: string;
  /**
   * What precedes `:USER`: a STRING, the time in milliseconds until which this user moderates the
   * room. It expires then. In the cluster slot of the names.
   */
  readonly moderator: string;
  /** A HASH of the users who are muted, as `bans` is. In the cluster slot of the log. */
  readonly mutes: string;
}

/** The names of all keys and channels of one chat. */
export class Keys {
  /**
   * A ZSET of the ids of all instances that are alive, and of those that died and are not reaped
   * yet. The score is when the instance's lease ends, in milliseconds of the clock of Redis. No
   * lease expires by itself, because Redis evicts what expires first when its memory is full.
   * One more member is the format of the data: see `data_format.ts`.
   */
  readonly leases: string;
  /** A SET in which versions before 0.3 had the ids of all instances. */
  readonly oldInstances: string;
  /** A ZSET of the ids that other instances have reaped in the last hour, scored by when. */
  readonly reaped: string;
  /**
   * Keys of no fixed type, which exist only while the probe runs. There are two, because a user may
   * have the right to the keys with a hash tag and not to the others.
   */
  readonly probes: readonly [string, string];
  readonly #prefix: string;
  readonly #channel: string;

  /**
   * @param prefix what every name starts with
   * @param database the number of the database: channels have one name for all databases of a
   * Redis, so those of databases other than 0 contain the number
   */
  constructor({ prefix, database }: { readonly prefix: string; readonly database: number }) {
    this.#prefix = prefix;
    this.#channel = `${prefix}chat${database === 0 ? "" : `@${database}`}`;
    this.leases = `${prefix}chat-leases`;
    this.oldInstances = `${prefix}chat-instances`;
    this.reaped = `${prefix}chat-reaped`;
    this.probes = [`${this.#logTag(DEFAULT_ROOM)}:probe`, `${prefix}chat-probe`];
  }

  /** Returns the keys of a room. The default room's keys have no suffix. */
  room(room: string): RoomKeys {
    const suffix = suffixOf(room);
    const users = `${this.#prefix}chat-users${suffix}`;
    // With a prefix, the key begins with it as well as with the whole hash tag.
    const owners = `${this.#prefix}{${users}}:owners`;
    const bans = `${this.#prefix}{${users}}:bans`;
    const shared = `${this.#prefix}{${users}}:shared`;
    const moderator = `${this.#prefix}{${users}}:moderator`;
    return {
      ...{ users, owners, shared, bans, moderator, names: [users, owners, shared, bans] },
      channel: this.#channel + suffix,
      log: `${this.#logTag(room)}:log`,
      refs: `${this.#logTag(room)}:refs`,
      newLog: `${this.#logTag(room)}:log:new`,
      mutes: `${this.#logTag(room)}:mutes`,
      removals: `${this.#logTag(room)}:removals`,
    };
  }

  /** Returns the key of a SET: the rooms in which an instance may hold names. */
  instanceRooms(id: string): string {
    return `${this.#prefix}chat-instance-rooms:${id}`;
  }

  /** Returns the channel on which one instance proves that it hears. */
  hearing(id: string): string {
    return `${this.#channel}-hearing:${id}`;
  }

  /** Returns the type of a key of the chat; `undefined` for any other name. */
  typeOf(key: string): "string" | "set" | "hash" | "zset" | "stream" | undefined {
    if (key === this.leases || key === this.reaped) return "zset";
    const start = `${this.#prefix}chat-`;
    if (key.startsWith(`${start}users`) || key.startsWith(`${start}instance-rooms:`)) return "set";
    if (!key.startsWith(`${this.#prefix}{${this.#prefix}chat`)) return undefined;
    const end = key.slice(key.indexOf("}"));
    if (end === "}:log") return "stream";
    if (end === "}:shared" || end.startsWith("}:moderator:")) return "string";
    if (end === "}:removals") return "zset";
    const isHash = ["}:owners", "}:bans", "}:mutes"].includes(end) || end.startsWith("}:refs:");
    return isHash ? "hash" : undefined;
  }

  #logTag(room: string): string {
    return `${this.#prefix}{${this.#prefix}chat${suffixOf(room)}}`;
  }
}

function suffixOf(room: string): string {
  return room === DEFAULT_ROOM ? "" : `:${room}`;
}
