import type { ErrorCode, ErrorReply } from "./protocol.ts";

function make(code: ErrorCode, message: string, ref?: string): ErrorReply {
  return { type: "error", code, message, ref };
}

/** Everything that a client may be told to have gone wrong. The text protocol sends the words as they stand here. */
export const errorReply = {
  nameTaken: (user: string) =>
    make(
      "name_taken",
      `username ${user} is already taken. please retry with a different name`,
    ),
  unavailable: () => make("unavailable", "failed to connect. please try again"),
  badSince: (message: string) => make("bad_since", message),
  badMessage: (message: string, ref?: string) => make("bad_message", message, ref),
  tooLarge: (bytes: number, ref?: string) =>
    make("too_large", `the text is too large: at most ${bytes} bytes are allowed`, ref),
  notDelivered: (ref?: string) =>
    make("not_delivered", "message not delivered. please try again", ref),
  unknown: (ref?: string) => make("unknown", "message may not have been delivered", ref),
} satisfies Record<string, (...args: never[]) => ErrorReply>;
