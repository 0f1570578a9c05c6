import type { ErrorReply } from "./errors.ts";
import type { RoomEvent } from "./events.ts";
import type { FromClient } from "./from_client.ts";

/** The first thing that a session receives. */
export interface Welcome {
  /** Always `"welcome"`. */
  readonly type: "welcome";
  /** The user's name, as everyone in the room sees it. */
  readonly user: string;
  /** The room's name. */
  readonly room: string;
  /** The id of the room's newest message; `0-0` if there is none. */
  readonly last: string;
  /** Whether no message is missing after `since`; `false` if the session does not resume. */
  readonly recovered: boolean;
  /** How many users are in the room, this one included. */
  readonly users: number;
  /** The most bytes that the text of a message can have, as JSON without the quotes, in UTF-8. */
  readonly maxMessageBytes: number;
  /**
   * The most bytes that a client can have in flight: sent, and not yet answered. A message counts
   * as the length of its text in UTF-16 code units plus 100. A single frame cannot have more bytes
   * in UTF-8 either.
   */
  readonly maxInFlightBytes: number;
  /**
   * What a client may send because this server offers it: `after`, the field of a message, and the
   * lines `leave`, `token` and `typing`.
   */
  readonly features: readonly string[];
  /**
   * When the session ends without a later token, in milliseconds since 1970; absent without
   * authentication.
   */
  readonly expires?: number;
  /** `false` if the user may only listen; absent otherwise. */
  readonly canPublish?: false;
  /** `true` if the user may moderate; absent otherwise. */
  readonly canModerate?: true;
  /** Until when the user is muted, in milliseconds since 1970; absent if the user is not. */
  readonly mutedUntil?: number;
  /** How many messages a client may send a second; absent if nothing limits them. */
  readonly messagesPerSecond?: number;
  /** How many of them at once. */
  readonly messagesBurst?: number;
  /** How many bytes a client may send a second; absent if nothing limits them. */
  readonly bytesPerSecond?: number;
  /** How many of them at once. */
  readonly bytesBurst?: number;
}

/** The first thing that a listener receives, who is no user. */
export type ListenerWelcome = Pick<Welcome, "type" | "room" | "last" | "recovered">;

/** The reply to a message with a `ref`, once the message is in the log. */
export interface Ack {
  /** Always `"ack"`. */
  readonly type: "ack";
  /** The message's `ref`. */
  readonly ref: string;
  /** The message's id. */
  readonly id: string;
}

/** The reply to a ping. */
export interface Pong {
  /** Always `"pong"`. */
  readonly type: "pong";
}

/** The reply to a later token. */
export interface TokenAccepted {
  /** Always `"token"`. */
  readonly type: "token";
  /** When the session ends without another token, in milliseconds since 1970. */
  readonly expires: number;
}

/** The reply to what a moderator did with a `ref`. */
export interface Done {
  /** Always `"done"`. */
  readonly type: "done";
  /** The `ref`. */
  readonly ref: string;
}

/** What the server sends to one session alone. */
export type Reply = Welcome | Ack | Pong | Done | TokenAccepted | ErrorReply;

/** A line that the server does not understand. */
export interface BadLine extends ErrorReply {
  /** The `after` of the message, if it has one. The client is not told. */
  readonly after?: string;
}

/** What a client's frame can contain. */
export type Decoded = FromClient | BadLine;

/** How events and replies become frames. */
export interface Encoding {
  /** Whether a frame can have several lines, in both directions. */
  readonly canBatch: boolean;
  /**
   * Encodes an event for everyone in a room; `line` is the same event as one line of JSON.
   * `undefined` if clients of this protocol do not get such an event.
   */
  encodeEvent(event: RoomEvent, line: string): string | undefined;
  /**
   * Encodes a reply for one session; `undefined` if clients of this protocol do not get such a
   * reply.
   */
  encodeReply(reply: Reply): string | undefined;
  /** Joins frames to as few as the protocol allows. */
  batch(frames: string[]): string[];
}

/** How events become frames, and frames become messages. */
export interface Protocol extends Encoding {
  /** The name of the WebSocket subprotocol; `""` for none. */
  readonly name: string;
  /** Whether a sender receives its own messages too. */
  readonly echoes: boolean;
  /** Decodes a line of a client, or a frame that has no lines; `undefined` if it is blank. */
  decode(line: string): Decoded | undefined;
}
