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
  /** Whether the message was removed: then its text is empty. Absent if it was not. */
  readonly removed?: true;
  /**
   * The session that sent it, if that one does not receive it and other devices of the user do.
   */
  readonly session?: string;
}

/** A message was removed: its text is gone for good. Not in the log. */
export interface Removed {
  /** Always `"removed"`. */
  readonly type: "removed";
  /** The id of the message. */
  readonly id: string;
  /** Who removed it. */
  readonly by: string;
}

/** Another connection of the same device has taken the name over. Not in the log. */
export interface Replaced {
  /** Always `"replaced"`. */
  readonly type: "replaced";
  /** The user's name. */
  readonly user: string;
  /** The id of the session that has the name now. */
  readonly session: string;
  /** The id of the session that had it before. */
  readonly former: string;
  /** How many users are in the room. */
  readonly users: number;
}

/** A user who is in the room has one more device there. Not in the log. */
export interface Added {
  /** Always `"added"`. */
  readonly type: "added";
  /** The user's name. */
  readonly user: string;
  /** The id of the session. */
  readonly session: string;
  /** How many users are in the room. */
  readonly users: number;
}

/** A moderator has closed all connections of a user in the room. Not in the log. */
export interface Kicked {
  /** Always `"kicked"`. */
  readonly type: "kicked";
  /** The user's name. */
  readonly user: string;
  /** The moderator. */
  readonly by: string;
}

/** A moderator has banned a user from the room, or has lifted that. Not in the log. */
export interface Banned {
  /** Always `"banned"`. */
  readonly type: "banned";
  /** The user's name. */
  readonly user: string;
  /** The moderator. */
  readonly by: string;
  /** When the ban ends, in milliseconds since 1970; 0 if it was lifted. */
  readonly until: number;
  /** Whether the addresses of the user's connections are banned too; absent if they are not. */
  readonly address?: boolean;
}

/** A moderator lets a user publish no messages, or lets the user publish again. Not in the log. */
export interface Muted {
  /** Always `"muted"`. */
  readonly type: "muted";
  /** The user's name. */
  readonly user: string;
  /** The moderator. */
  readonly by: string;
  /** When it ends, in milliseconds since 1970; 0 if it was lifted. */
  readonly until: number;
}

/** A user is typing. Not in the log. */
export interface Typing {
  /** Always `"typing"`. */
  readonly type: "typing";
  /** The user's name. */
  readonly user: string;
}

/** A plain line that somebody published on the room's channel with Redis itself. */
export interface Notice {
  /** Always `"notice"`. */
  readonly type: "notice";
  /** The line, unchanged. */
  readonly text: string;
}

/** The next message follows another one than the last message that was received. */
export interface Resync {
  /** Always `"resync"`. */
  readonly type: "resync";
  /** To be taken as the id of the last message that was received: the next `prev`. */
  readonly last: string;
  /** Whether messages may be missing before the next one. */
  readonly gap: boolean;
}

/** An event of a type that this version does not know. A later version published it. */
export interface Unknown {
  /** Always `"unknown"`; the line of the event has its real type. */
  readonly type: "unknown";
}

/**
 * What is published and not logged. It has no id, and changes nothing about positions and gaps: who
 * is not connected misses it. A type that has no case in `Room` and in the text protocol goes to
 * all JSON clients, and to no text client.
 */
export type UnloggedEvent =
  | Added
  | Joined
  | Left
  | Replaced
  | Removed
  | Kicked
  | Banned
  | Muted
  | Typing;

/**
 * What instances publish to one another on a room's channel. Each event is one line of JSON, and
 * JSON clients receive that very line.
 */
export type PublishedEvent = Message | UnloggedEvent;

/** What a room receives. */
export type RoomEvent = PublishedEvent | Notice | Resync | Unknown;

/**
 * The first character of every payload that an instance publishes; then comes one event on each
 * line. It is the record separator, as in RFC 7464. Any other payload is a notice.
 */
export const EVENT_MARK = "\x1e";

/**
 * The longest line of an event. No message is that long: whatever is longer is no event.
 */
export const MAX_EVENT_CHARS = 32 * 1024 * 1024;

/** Returns the payload that publishes events. */
export function payloadOf(...events: PublishedEvent[]): string {
  return EVENT_MARK + events.map((event) => JSON.stringify(event)).join("\n");
}

/** Whether a value that claims to be of a type has the fields of that type. */
// deno-lint-ignore no-explicit-any -- the fields are checked here
const HAS_FIELDS: Readonly<Record<PublishedEvent["type"], (value: any) => boolean>> = {
  added: hasSession,
  joined: hasSession,
  replaced: (event) => hasSession(event) && typeof event.former === "string",
  left: hasUser,
  typing: hasUser,
  message: ({ id, prev, user, text, ref, removed, session }) =>
    typeof user === "string" && typeof text === "string" && isId(id) && isId(prev) &&
    isOptionalString(ref) && isOptionalString(session) &&
    (removed === undefined || removed === true),
  removed: ({ id, by }) => isId(id) && typeof by === "string",
  kicked: isModeration,
  banned: (event) => isModeration(event) && isRestriction(event),
  muted: (event) => isModeration(event) && isRestriction(event),
};

function isOptionalString(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function hasUser({ user }: Left | Typing): boolean {
  return typeof user === "string";
}

function hasSession({ user, session, users }: Added | Joined | Replaced): boolean {
  return typeof user === "string" && typeof session === "string" &&
    Number.isSafeInteger(users) && users >= 0;
}

function isModeration({ user, by }: Kicked | Banned | Muted): boolean {
  return typeof user === "string" && typeof by === "string";
}

function isRestriction({ until }: Banned | Muted): boolean {
  return Number.isSafeInteger(until);
}

/** What a server sends, and never receives from another one. */
const NEVER_PUBLISHED = ["notice", "resync", "welcome", "ack", "pong", "error"];

/**
 * Parses a line of a payload that begins with {@linkcode EVENT_MARK}.
 *
 * @param line an event as one line of JSON
 * @returns the event; {@linkcode Unknown} if only its type is not known; `undefined` if it is no
 * event, or if its fields are wrong
 *
 * @example
 * ```ts
 * import { parseEvent } from "./events.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseEvent('{"type":"left","user":"foo"}'), { type: "left", user: "foo" });
 * assertEquals(parseEvent('{"type":"left"}'), undefined);
 * assertEquals(parseEvent('{"type":"reacted","id":"1-0"}'), { type: "unknown" });
 * ```
 */
export function parseEvent(line: string): PublishedEvent | Unknown | undefined {
  if (line.length > MAX_EVENT_CHARS) return undefined;
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const type = value?.type;
  if (typeof type !== "string") return undefined;
  if (Object.hasOwn(HAS_FIELDS, type)) {
    return HAS_FIELDS[type as PublishedEvent["type"]](value) ? value : undefined;
  }
  return NEVER_PUBLISHED.includes(type) ? undefined : { type: "unknown" };
}
