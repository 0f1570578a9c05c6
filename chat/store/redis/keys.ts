import { DEFAULT_ROOM } from "../../protocol/names.ts";

/**
 * The keys and the channel of a room. The braces keep all keys that one script uses in one cluster
 * slot, see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export interface RoomKeys {
  /** A SET of the names of the users in the room. */
  readonly users: string;
  /** A HASH from each of these names to the id of the instance that holds it. */
  readonly owners: string;
  /** The channel on which the room's events are published. */
  readonly channel: string;
  /** A STREAM of the room's messages. */
  readonly log: string;
}

/** The keys of an instance. */
export interface InstanceKeys {
  /** The lease: a STRING that expires unless the instance renews it. */
  readonly lease: string;
  /** A SET of the rooms in which the instance may hold names. */
  readonly rooms: string;
  /** A STRING that exists for an hour after another instance reaped this one. */
  readonly reaped: string;
}

/** The names of all keys and channels of one chat. */
export class Keys {
  /**
   * A SET of the ids of all instances that are alive, and of those that died and are not reaped
   * yet.
   */
  readonly instances: string;
  /** A key of no fixed type, which exists only while the probe runs. */
  readonly probe: string;
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
    this.instances = `${prefix}chat-instances`;
    this.probe = `${this.#logTag(DEFAULT_ROOM)}:probe`;
  }

  /** Returns the keys of a room. The default room's keys have no suffix. */
  room(room: string): RoomKeys {
    const suffix = suffixOf(room);
    const users = `${this.#prefix}chat-users${suffix}`;
    return {
      users,
      // With a prefix, the key begins with it as well as with the whole hash tag.
      owners: `${this.#prefix}{${users}}:owners`,
      channel: this.#channel + suffix,
      log: `${this.#logTag(room)}:log`,
    };
  }

  /**
   * Returns the key of a STRING: the id of the message that a user published with this ref. The key
   * is unambiguous because a user's name contains no colon.
   */
  ref(room: string, user: string, ref: string): string {
    return `${this.#logTag(room)}:ref:${user}:${ref}`;
  }

  /** Returns the keys of an instance. */
  instance(id: string): InstanceKeys {
    return {
      lease: `${this.#prefix}chat-instance:${id}`,
      rooms: `${this.#prefix}chat-instance-rooms:${id}`,
      reaped: `${this.#prefix}chat-instance-reaped:${id}`,
    };
  }

  /** Returns the channel on which one instance proves that it hears. */
  hearing(id: string): string {
    return `${this.#channel}-hearing:${id}`;
  }

  #logTag(room: string): string {
    return `${this.#prefix}{${this.#prefix}chat${suffixOf(room)}}`;
  }
}

function suffixOf(room: string): string {
  return room === DEFAULT_ROOM ? "" : `:${room}`;
}
