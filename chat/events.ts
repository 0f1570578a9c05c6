/** Someone has joined the room. `session` names the connection, because a name may change hands. */
export interface Joined {
  readonly type: "joined";
  readonly user: string;
  readonly session: string;
}

/** Someone has left the room. */
export interface Left {
  readonly type: "left";
  readonly user: string;
}

/** Someone has said something. */
export interface Message {
  readonly type: "message";
  readonly user: string;
  readonly text: string;
}

/** A plain line that was published on the room's channel with Redis itself. */
export interface Notice {
  readonly type: "notice";
  readonly text: string;
}

/** What travels between the instances, as JSON on the room's channel. */
export type Event = Joined | Left | Message;

/**
 * Reads what was heard on a room's channel.
 *
 * @param payload an {@linkcode Event} as JSON, or any line from outside
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
export function parseEvent(payload: string): Event | Notice {
  if (payload.startsWith('{"type":"')) {
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
function isEvent(value: any): value is Event {
  if (typeof value.user !== "string") return false;
  switch (value.type) {
    case "joined":
      return typeof value.session === "string";
    case "left":
      return true;
    case "message":
      return typeof value.text === "string";
    default:
      return false;
  }
}
