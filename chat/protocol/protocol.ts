import type { Notice, RoomEvent } from "./events.ts";

/** What a session is told first. */
export interface Welcome {
  /** Always `"welcome"`. */
  readonly type: "welcome";
  /** The name that it has now. */
  readonly user: string;
  /** The room that it is in. */
  readonly room: string;
  /** The id of the room's newest message; `0-0` if there is none. */
  readonly last: string;
  /** Whether nothing is missing after the id that the session resumes from; `false` if it does not resume. */
  readonly recovered: boolean;
  /** How many users are in the room, the new one included. */
  readonly users: number;
  /** The most UTF-8 bytes that the text of a message may have. */
  readonly maxMessageBytes: number;
  /**
   * The most that may be unanswered at a time. The server counts each unanswered message as the
   * UTF-16 length of its text plus 100. No frame may have more UTF-8 bytes than this either.
   */
  readonly maxInFlightBytes: number;
}

/** The log has a message that its sender named with a `ref`. */
export interface Ack {
  /** Always `"ack"`. */
  readonly type: "ack";
  /** What its sender named it with. */
  readonly ref: string;
  /** The message's id. */
  readonly id: string;
}

/** The answer to a ping. */
export interface Pong {
  /** Always `"pong"`. */
  readonly type: "pong";
}

/**
 * What may go wrong for a client:
 *
 * | code | what | then |
 * | --- | --- | --- |
 * | `name_taken` | someone in the room has the name | the session is closed with 4409 |
 * | `unavailable` | the store cannot be reached | the session is closed with 1013 |
 * | `bad_since` | `since` is no id, or later than everything that was said | the session goes on, not resumed |
 * | `bad_message` | what the client sent cannot be understood | the session goes on |
 * | `too_large` | the text of a message has too many bytes | the session goes on |
 * | `not_delivered` | a message was not taken, by the store or because its room is behind | the session goes on |
 * | `unknown` | the store may have taken a message, or not; saying it again with the same `ref` settles it | the same |
 */
export type ErrorCode =
  | "name_taken"
  | "unavailable"
  | "bad_since"
  | "bad_message"
  | "too_large"
  | "not_delivered"
  | "unknown";

/** Something went wrong. */
export interface ErrorReply {
  /** Always `"error"`. */
  readonly type: "error";
  /** What it is, for programs. */
  readonly code: ErrorCode;
  /** What it is, in words, for people. */
  readonly message: string;
  /** Which message it is about, if it was named. */
  readonly ref?: string;
}

/** What a session is told that nobody else is. */
export type Reply = Welcome | Ack | Pong | ErrorReply;

/** A client says something in the room. */
export interface ClientMessage {
  /** Always `"message"`. */
  readonly type: "message";
  /** What it says. */
  readonly text: string;
  /** What the client names it with; it is acknowledged then, and safe to repeat. */
  readonly ref?: string;
}

/** A client wants to know whether the server is there. */
export interface Ping {
  /** Always `"ping"`. */
  readonly type: "ping";
}

/** How a session and its client speak with one another. */
export interface Protocol {
  /** Its name among WebSocket subprotocols; `""` for none. */
  readonly name: string;
  /** Whether a sender gets its own messages, as everyone else. */
  readonly echoes: boolean;
  /** What everyone in the room is told of an event, which is also given as one line of JSON. */
  encodeEvent(event: RoomEvent | Notice, line: string): string;
  /** Whether several frames can be sent as one. */
  readonly canBatch: boolean;
  /** The same frames, or fewer, where they can be joined. */
  batch(frames: string[]): string[];
  /** A frame for one session; `undefined` where its client is told nothing. */
  encodeReply(answer: Reply): string | undefined;
  /** What a client's frame says, one after the other. */
  decode(frame: string): (ClientMessage | Ping | ErrorReply)[];
}
