import { DEFAULT_ROOM } from "../../protocol/names.ts";

/**
 * Where a room stands in Redis. The braces keep what one script touches in one cluster slot, see
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export interface RoomKeys {
  /** The SET of the names in the room. */
  readonly users: string;
  /** The HASH that says for each of these names which instance holds it. */
  readonly owners: string;
  /** The channel of the room's events. */
  readonly channel: string;
  /** The STREAM of the room's messages. */
  readonly log: string;
}

/** The keys of a room. */
export function roomKeys(room: string): RoomKeys {
  const suffix = suffixOf(room);
  return {
    users: `chat-users${suffix}`,
    owners: `{chat-users${suffix}}:owners`,
    channel: `chat${suffix}`,
    log: `{chat${suffix}}:log`,
  };
}

/** The STRING that has the id of the message that a user named with this. A user's name has no colon in it. */
export function refKey(room: string, user: string, ref: string): string {
  return `{chat${suffixOf(room)}}:ref:${user}:${ref}`;
}

/** What tells another room's keys from those of the default one. */
function suffixOf(room: string): string {
  return room === DEFAULT_ROOM ? "" : `:${room}`;
}

/** The SET of all instances that are alive or whose names have not been freed yet. */
export const INSTANCES_KEY = "chat-instances";

/** Where an instance stands in Redis. */
export interface InstanceKeys {
  /** Its lease: a STRING that expires unless the instance renews it. */
  readonly lease: string;
  /** The SET of the rooms in which it may hold names. */
  readonly rooms: string;
  /** Says, for an hour, that others took the instance for dead and freed its names. */
  readonly reaped: string;
}

/** The keys of an instance. */
export function instanceKeys(id: string): InstanceKeys {
  return {
    lease: `chat-instance:${id}`,
    rooms: `chat-instance-rooms:${id}`,
    reaped: `chat-instance-reaped:${id}`,
  };
}
