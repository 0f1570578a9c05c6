import { isId } from "./ids.ts";

/** A user joined the room. Not in the log. */
export interface Joined {
  /** Always `"joined"`. */
  readonly type: "joined";
  /** The user's name. */
  readonly user: string;
  /** The id of the session, because a name can pass from one session to another. */
  readonly session: string;
  /** How many users are in the room now. */
  readonly users: number;
}

/** A user left the room. Not in the log. */
export interface Left {
  /** Always `"left"`. */
  readonly type: "left";
  /** The user's name. */
  readonly user: string;
}

/** A user published a message, and it is in the log. */
export interface Message {
  /** Always `"message"`. */
  readonly type: "message";
  /** The message's position in the log. */
  readonly id: string;
  /**
   * The id of the message before it. A receiver whose last message has another id has missed some.
   */
  readonly prev: string;
  /** The sender's name. */
  readonly user: string;
  /** The text, unchanged. */
  readonly text: string;
  /** The sender's own name for the message, if it gave one. */
  readonly ref?: string;
}

/** A plain line that somebody published on the room's channel with Redis itself. */
export interface Notice {
  /** Always `"notice"`. */
  readonly type: "notice";
  /** The line, unchanged. */
  readonly text: string;
}

/**
 * What instances publish to one another on a room's channel. Each event is one line of JSON, and
 * JSON clients receive that very line.
 */
export type RoomEvent = Joined | Left | Message;

/** Whether a value that claims to be of a type has the fields of that type. */
// deno-lint-ignore no-explicit-any -- the fields are checked here
const HAS_FIELDS: Readonly<Record<RoomEvent["type"], (value: any) => boolean>> = {
  joined: ({ user, session, users }) =>
    typeof user === "string" && typeof session === "string" &&
    Number.isSafeInteger(users) && users >= 0,
  left: ({ user }) => typeof user === "string",
  message: ({ id, prev, user, text, ref }) =>
    typeof user === "string" && typeof text === "string" && isId(id) && isId(prev) &&
    (ref === undefined || typeof ref === "string"),
};

/**
 * Parses a line that was received on a room's channel.
 *
 * @param line a {@linkcode RoomEvent} as one line of JSON, or anything that somebody else published
 * @returns the event; a {@linkcode Notice} with the line as its text if it is no event
 *
 * @example
 * ```ts
 * import { parseEvent } from "./events.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseEvent('{"type":"left","user":"foo"}'), { type: "left", user: "foo" });
 * assertEquals(parseEvent("ops: deploy at five"), { type: "notice", text: "ops: deploy at five" });
 * ```
 */
export function parseEvent(line: string): RoomEvent | Notice {
  // An event is one line, because a frame of the JSON protocol has one event a line.
  if (line.startsWith('{"type":"') && !line.includes("\n")) {
    try {
      const value = JSON.parse(line);
      if (isEvent(value)) return value;
    } catch {
      // It is not JSON, so it is a notice.
    }
  }
  return { type: "notice", text: line };
}

function isEvent(value: { type: unknown }): value is RoomEvent {
  // JSON may have a second `type`, of any kind, which replaces the first.
  return typeof value.type === "string" && Object.hasOwn(HAS_FIELDS, value.type) &&
    HAS_FIELDS[value.type as RoomEvent["type"]](value);
}
