/**
 * Why the server closes a connection: a code of RFC 6455, section 7.4, and the reason in words (at
 * most 123 bytes).
 */
export interface CloseReason {
  /** The status code of the close frame. */
  readonly code: number;
  /** The reason in words. */
  readonly reason: string;
}

/** Every reason for which the server closes a connection. */
export const CLOSE = {
  shutdown: { code: 1001, reason: "the server is shutting down" },
  binary: { code: 1003, reason: "binary frames are not understood, send text" },
  tooLarge: { code: 1009, reason: "the message is too large" },
  tryLater: { code: 1013, reason: "try again later" },
  tooSlow: { code: 4408, reason: "too slow a reader" },
  nameTaken: { code: 4409, reason: "the name is taken" },
  tooMany: { code: 4429, reason: "too many messages at once" },
} as const satisfies Record<string, CloseReason>;
