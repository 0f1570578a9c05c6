/** What the client of a request may do. */
export interface Access {
  /** Who the client is; `undefined` without authentication: then it may take any name. */
  readonly user: string | undefined;
  /** Until when this holds, in milliseconds since 1970; `Infinity` for ever. */
  readonly expiresAtMs: number;
  /** Whether the client may publish messages; else it only listens. */
  readonly canPublish: boolean;
  /** Whether the client may remove messages, and kick, ban and mute users. */
  readonly canModerate: boolean;
  /** Tells whether the client may join a room, and read it. */
  allowsRoom(room: string): boolean;
  /** Finds out what a later token allows; absent without authentication. */
  readonly renew?: Authenticate;
}

/** What anyone may do where there is no authentication. */
export const ANYONE: Access = {
  user: undefined,
  expiresAtMs: Infinity,
  canPublish: true,
  canModerate: false,
  allowsRoom: () => true,
};

/**
 * Finds out what a token allows.
 *
 * @throws {TokenRefused} if the token is not valid
 * @throws {KeysUnavailable} if no key to check tokens could be read yet
 */
export type Authenticate = (token: string) => Promise<Access>;

/** A token that allows nothing. The message says why, and shows nothing of the token. */
export class TokenRefused extends Error {
  /** Always `"TokenRefused"`. */
  override name = "TokenRefused";
}

/** The keys that check tokens could not be read. */
export class KeysUnavailable extends Error {
  /** Always `"KeysUnavailable"`. */
  override name = "KeysUnavailable";
}
