import { isId } from "./ids.ts";

/** Someone has joined the room. */
export interface Joined {
  /** Always `"joined"`. */
  readonly type: "joined";
  /** Who it is. */
  readonly user: string;
  /** Names the connection, because a name may change hands. */
  readonly session: string;
  /** How many users are in the room now. */
  readonly users: number;
}

/** Someone has left the room. */
export interface Left {
  /** Always `"left"`. */
  readonly type: "left";
  /** Who it was. */
  readonly user: string;
}

/** Someone has said something, and the log has it. */
export interface Message {
  /** Always `"message"`. */
  readonly type: "message";
  /** Where it stands in the log. */
  readonly id: string;
  /** The id of the message before it, so that everyone can see for themselves that nothing is missing. */
  readonly prev: string;
  /** Who said it. */
  readonly user: string;
  /** What was said, as it was. */
  readonly text: string;
  /** What its sender named it with. */
  readonly ref?: string;
}

/** A plain line that was published on the room's channel with Redis itself. */
export interface Notice {
  /** Always `"notice"`. */
  readonly type: "notice";
  /** The line, as it was. */
  readonly text: string;
}

/** What travels between the instances, as JSON on the room's channel, a line each: the very line that JSON sessions get. */
export type RoomEvent = Joined | Left | Message;

/**
 * Reads a line of what was heard on a room's channel.
 *
 * @param payload an {@linkcode RoomEvent} as one line of JSON, or anything else from outside
 * @returns the event; a {@linkcode Notice} with the payload as it is where it is none
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
export function parseEvent(payload: string): RoomEvent | Notice {
  // An event is one line, because a frame of the JSON protocol holds an event a line.
  if (payload.startsWith('{"type":"') && !payload.includes("\n")) {
    try {
      const event = JSON.parse(payload);
      if (isEvent(event)) return event;
    } catch {
      // Not JSON, and so a line from outside.
    }
  }
  return { type: "notice", text: payload };
}

// deno-lint-ignore no-explicit-any -- the answer of JSON.parse, looked at before it is trusted
function isEvent(value: any): value is RoomEvent {
  if (typeof value.user !== "string") return false;
  switch (value.type) {
    case "joined":
      return typeof value.session === "string" && typeof value.users === "number";
    case "left":
      return true;
    case "message":
      return typeof value.text === "string" && isId(value.id) && isId(value.prev);
    default:
      return false;
  }
}
