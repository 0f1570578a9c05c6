import type { ErrorCode } from "../protocol/errors.ts";

/**
 * What went wrong: a code of the server's `error` event, or one of the client.
 *
 * - `closed`: `close()` was called, or the signal was aborted
 * - `refused`: the server refuses what was asked for, and would refuse it again
 * - `replaced`: another connection of the same user has taken the name over
 * - `too_slow`: a loop over the messages took them too slowly
 */
export type ChatErrorCode = ErrorCode | "closed" | "refused" | "replaced" | "too_slow";

/** Why a message was not sent, a request failed, or the client closed. */
export class ChatError extends Error {
  /** Always `"ChatError"`. */
  override name = "ChatError";
  /**
   * What went wrong, for programs. A message that was rejected with `unknown` may or may not have
   * been delivered. With every other code it was not delivered.
   */
  readonly code: ChatErrorCode;

  /**
   * Creates an error.
   *
   * @param code what went wrong, for programs
   * @param message what went wrong, for people
   * @param options the cause, if there is one
   */
  constructor(code: ChatErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
