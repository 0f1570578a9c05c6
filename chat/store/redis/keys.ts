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

/** Returns the keys of a room. */
export function roomKeys(room: string): RoomKeys {
  const suffix = suffixOf(room);
  return {
    users: `chat-users${suffix}`,
    owners: `{chat-users${suffix}}:owners`,
    channel: `chat${suffix}`,
    log: `{chat${suffix}}:log`,
  };
}

/**
 * Returns the key of a STRING: the id of the message that a user published with this ref. The key
 * is unambiguous because a user's name contains no colon.
 */
export function refKey(room: string, user: string, ref: string): string {
  return `{chat${suffixOf(room)}}:ref:${user}:${ref}`;
}

/** The default room's keys have no suffix. */
function suffixOf(room: string): string {
  return room === DEFAULT_ROOM ? "" : `:${room}`;
}

/**
 * A SET of the ids of all instances that are alive, and of those that died and are not reaped yet.
 */
export const INSTANCES_KEY = "chat-instances";

/** The keys of an instance. */
export interface InstanceKeys {
  /** The lease: a STRING that expires unless the instance renews it. */
  readonly lease: string;
  /** A SET of the rooms in which the instance may hold names. */
  readonly rooms: string;
  /** A STRING that exists for an hour after another instance reaped this one. */
  readonly reaped: string;
}

/** Returns the keys of an instance. */
export function instanceKeys(id: string): InstanceKeys {
  return {
    lease: `chat-instance:${id}`,
    rooms: `chat-instance-rooms:${id}`,
    reaped: `chat-instance-reaped:${id}`,
  };
}
