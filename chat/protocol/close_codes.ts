/**
 * Why the server closes a connection: a code of RFC 6455, section 7.4, and the reason in words (at
 * most 123 bytes).
 */
export interface CloseReason {
  /** The status code of the close frame. */
  readonly code: number;
  /** The reason in words. */
  readonly reason: string;
  /** Whether a client may connect again. If not, the server would only refuse it again. */
  readonly mayReconnect: boolean;
}

/** Every reason for which the server closes a connection. */
export const CLOSE = {
  left: { code: 1000, reason: "you have left", mayReconnect: true },
  shutdown: { code: 1001, reason: "the server is shutting down", mayReconnect: true },
  binary: {
    code: 1003,
    reason: "binary frames are not understood, send text",
    mayReconnect: true,
  },
  tooLarge: { code: 1009, reason: "the message is too large", mayReconnect: true },
  tryLater: { code: 1013, reason: "try again later", mayReconnect: true },
  expired: { code: 4401, reason: "the token has expired", mayReconnect: false },
  forbidden: { code: 4403, reason: "not allowed", mayReconnect: false },
  tooSlow: { code: 4408, reason: "too slow a reader", mayReconnect: true },
  nameTaken: { code: 4409, reason: "the name is taken", mayReconnect: false },
  replaced: { code: 4410, reason: "replaced by another connection", mayReconnect: false },
  tooManyDevices: { code: 4411, reason: "too many devices of the user", mayReconnect: false },
  tooMany: { code: 4429, reason: "too many messages at once", mayReconnect: true },
} as const satisfies Record<string, CloseReason>;

/** The codes after which a client must not connect again. */
export type FinalCode = Extract<
  typeof CLOSE[keyof typeof CLOSE],
  { readonly mayReconnect: false }
>["code"];
