/** What the client of a request may do. */
export interface Access {
  /** Who the client is; `undefined` without authentication: then it may take any name. */
  readonly user: string | undefined;
  /** Until when this holds, in milliseconds since 1970; `Infinity` for ever. */
  readonly expiresAtMs: number;
  /** Whether the client may publish messages; else it only listens. */
  readonly canPublish: boolean;
  /** Whether the client may remove messages, and put other users out. */
  readonly canModerate: boolean;
  /** Tells whether the client may join a room, and read it. */
  allowsRoom(room: string): boolean;
}

/** What anyone may do where there is no authentication. */
export const ANYONE: Access = {
  user: undefined,
  expiresAtMs: Infinity,
  canPublish: true,
  canModerate: false,
  allowsRoom: () => true,
};
