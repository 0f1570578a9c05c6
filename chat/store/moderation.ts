/** That a user is banned from a room, or muted there. */
export interface Restriction {
  /** The user's name. */
  readonly user: string;
  /** The moderator who did it. */
  readonly by: string;
  /** When it ends, in milliseconds since 1970. */
  readonly until: number;
}

/** A user who is kept out of a room. */
export interface Ban extends Restriction {
  /** Whether the addresses of the user's connections are banned too. */
  readonly address: boolean;
}

/** The most users of a room who can be banned, or muted: each time, all of them are looked at. */
export const MAX_RESTRICTED = 10_000;

/** Which of the two restrictions. */
export type RestrictionKind = "banned" | "muted";

/**
 * Who is banned from a room, who is muted there, and who moderates it. Its methods reject as those
 * of {@linkcode Store} do.
 */
export interface ModerationStore {
  /**
   * Bans or mutes a user, or lifts that, and publishes `banned` or `muted`, in one atomic step.
   * Does nothing if there is nothing to lift.
   *
   * @param by the moderator
   * @param seconds for how long; 0 to lift it
   * @param address whether addresses are banned too: see {@linkcode ModerationStore.banAddress}
   * @returns whether it holds now; `false` if too many users are restricted already
   */
  restrict(
    kind: RestrictionKind,
    room: string,
    user: string,
    by: string,
    seconds: number,
    address?: boolean,
  ): Promise<boolean>;

  /** Lists the users of a room who are banned or muted now. */
  listRestricted(kind: RestrictionKind, room: string): Promise<readonly Ban[]>;

  /** Adds an address of a user who is banned with addresses: it is banned as long as the user. */
  banAddress(room: string, user: string, address: string): Promise<void>;

  /** Tells whether a user or an address is banned from a room. */
  isBanned(room: string, user: string, address: string): Promise<boolean>;

  /** Returns until when a user is muted in a room, in milliseconds since 1970; 0 if not muted. */
  mutedUntil(room: string, user: string): Promise<number>;

  /** Notes that a user moderates a room until a time in milliseconds since 1970, or longer. */
  noteModerator(room: string, user: string, untilMs: number): Promise<void>;

  /** Tells whether a user moderates a room. */
  isModerator(room: string, user: string): Promise<boolean>;
}
