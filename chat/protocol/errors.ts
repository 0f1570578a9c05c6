/**
 * The kinds of errors that a client can be told. After the first three the server closes the
 * connection (with 4409, 4411 and 1013); after all others the session goes on.
 *
 * - `name_taken`: another user in the room has the name
 * - `too_many_devices`: the user has too many connections in the room
 * - `unavailable`: the server cannot reach the store
 * - `bad_since`: `since` is no id, or it is later than the newest message; the session does not
 *   resume
 * - `bad_message`: the server does not understand what the client sent
 * - `too_many`: the client sends too much. If the error has a `ref`, the message was refused, else
 *   the rest is read later
 * - `too_large`: the text of a message has too many bytes
 * - `not_delivered`: the store refused a message, the room is overloaded, or the message before it
 *   (`after`) is not in the log
 * - `unknown`: the store may have taken a message or not; sending it again with the same `ref` is
 *   safe
 * - `forbidden`: the client may not do this: to publish, for example, if it may only listen
 * - `bad_token`: a later token is not valid, or of another user; the one before still holds
 */
export type ErrorCode =
  | "name_taken"
  | "too_many_devices"
  | "unavailable"
  | "bad_since"
  | "bad_message"
  | "too_large"
  | "too_many"
  | "not_delivered"
  | "unknown"
  | "forbidden"
  | "bad_token";

/** An error, sent to the one session that it concerns. */
export interface ErrorReply {
  /** Always `"error"`. */
  readonly type: "error";
  /** The kind of error, for programs. */
  readonly code: ErrorCode;
  /** The error in words, for people. The text protocol sends just this. */
  readonly message: string;
  /** The `ref` of the message that the error is about, if it had one. */
  readonly ref?: string;
  /** With `too_many`: the client should send nothing for so long, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** Every error that a client can be told, by its kind. */
export const errorReply = {
  nameTaken: (user: string) =>
    make("name_taken", `username ${user} is already taken. please retry with a different name`),
  tooManyDevices: (max: number) =>
    make("too_many_devices", `too many devices: at most ${max} of yours can be in the room`),
  unavailable: () => make("unavailable", "failed to connect. please try again"),
  badSince: (message: string) => make("bad_since", message),
  badMessage: (message: string, ref?: string) => make("bad_message", message, ref),
  tooLarge: (bytes: number, ref?: string) =>
    make("too_large", `the text is too large: at most ${bytes} bytes are allowed`, ref),
  tooMany: (message: string, retryAfterMs: number, ref?: string) => ({
    ...make("too_many", message, ref),
    retryAfterMs,
  }),
  notDelivered: (ref?: string) =>
    make("not_delivered", "message not delivered. please try again", ref),
  unknown: (ref?: string) => make("unknown", "message may not have been delivered", ref),
  forbidden: (message: string, ref?: string) => make("forbidden", message, ref),
  badToken: (message: string) => make("bad_token", message),
} satisfies Record<string, (...args: never[]) => ErrorReply>;

function make(code: ErrorCode, message: string, ref?: string): ErrorReply {
  return { type: "error", code, message, ref };
}
