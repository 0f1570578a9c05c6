import type { Message, Notice, RoomEvent } from "../protocol/events.ts";

/** What a store tells of one room. */
export interface RoomListener {
  /**
   * Receives what happens in the room, in the order that is the same for everyone: each message once and none left out,
   * whatever became of the connection to the store meanwhile. Who joins or leaves during an outage may go unheard.
   *
   * @param event the event, or a line from outside
   * @param line the same as one line of JSON
   */
  onEvent(event: RoomEvent | Notice, line: string): void;

  /**
   * Told that someone else got a user's name while the store could not be reached. It need not be released.
   *
   * @param session what it was claimed with
   */
  onNameLost(user: string, session: string): void;
}

/** A message as the log has it. */
export interface LogEntry {
  /** What was said. */
  readonly event: Message;
  /** The same as one line of JSON. */
  readonly line: string;
}

/** Some of the users in a room. */
export interface UsersPage {
  /** Their names. */
  readonly users: readonly string[];
  /** How many are in the room in all. */
  readonly total: number;
  /** Where the next page begins; `undefined` after the last. */
  readonly next?: string;
}

/** How much of what was said a store keeps. */
export interface LogLimits {
  /** How many messages of a room are kept at least, if so many were said; there may be some more. */
  readonly historyLimit: number;
  /** For how long, in seconds; where nothing was said for that long the room's log goes away. */
  readonly historySeconds: number;
}

/** For how long the same `ref` of the same user stands for the same message, in seconds. */
export const REF_TTL_SECONDS = 300;

/**
 * What the chat asks of the place where its instances meet. Two stores keep this contract: Redis, for any number of
 * instances, and memory, for one process alone. `tests/store/store_contract.ts` runs over both.
 *
 * Calls of one store take effect in the order in which they are made, but for those whose answer was lost. Every call may reject with
 * {@linkcode StoreUnavailable}, or, where it changes something, with {@linkcode StoreOutcomeUnknown}; no command of it waits
 * longer than two seconds for its answer.
 */
export interface Store {
  /**
   * Starts to hear a room. A room has one listener in a store.
   *
   * @param room the room's name
   * @param listener hears everything that happens from the moment this resolves, or from a little before
   * @returns the id of the room's newest message, after which its listener hears every one
   */
  subscribe(room: string, listener: RoomListener): Promise<string>;

  /** Stops hearing a room: its listener is not called any more. */
  unsubscribe(room: string): Promise<void>;

  /**
   * Gives a user's name in a room to one of all who claim it, and publishes `joined` with the session's id if it is
   * given, in one step. The room has to be subscribed to. The name stays with this store until it is released, also
   * through outages, or until this store's process is dead: then others free it.
   *
   * @returns whether the name was given; `false` if someone has it
   * @throws {StoreOutcomeUnknown} if it may have been given: it counts as given until it is released
   */
  claim(room: string, user: string, session: string): Promise<boolean>;

  /**
   * Frees a user's name in a room and publishes `left`, in one step. Does nothing if this store does not hold the name.
   * Never rejects: where the store is away, the name is freed when it is back.
   */
  release(room: string, user: string): Promise<void>;

  /**
   * Appends a user's message to a room's log and publishes it, in one step. One that is said after another with a `ref`
   * comes after it, also where that one's answer was lost.
   *
   * @param ref the user's own name for it, if it has one: within {@linkcode REF_TTL_SECONDS} the same
   * user's same `ref` in the same room is answered with the same id, and nothing is published again
   * @returns its id
   * @throws {StoreOutcomeUnknown} if it may have been taken; with a `ref` only when that could not be learned within five
   * seconds
   */
  publish(room: string, user: string, text: string, ref?: string): Promise<string>;

  /** Reads the messages after a position in a room's log, oldest first, so many at most; none only where it ends. */
  readAfter(room: string, position: string, count: number): Promise<readonly LogEntry[]>;

  /** Reads the last messages of a room's log, or the last before a position; oldest first, so many at most. */
  readBefore(
    room: string,
    position: string | undefined,
    count: number,
  ): Promise<readonly LogEntry[]>;

  /**
   * Lists who is in a room, in no order. Whoever is there from the first page to the last is listed, and perhaps twice.
   *
   * @param from the `next` of the page before, a number of up to 19 digits; `undefined` for the first page
   * @param count about how many to list
   */
  listUsers(room: string, from: string | undefined, count: number): Promise<UsersPage>;

  /** Resolves if the store answers right now, and has every name and every room of this instance. */
  ping(): Promise<void>;

  /** Ends every connection to the store. Names are not released by it. */
  close(): Promise<void>;
}

/** The store cannot be reached or refuses to work: what was asked of it did not happen. */
export class StoreUnavailable extends Error {
  /** Always `"StoreUnavailable"`. */
  override name = "StoreUnavailable";
}

/** The store's answer was lost: what was asked of it may have happened, or may not. */
export class StoreOutcomeUnknown extends Error {
  /** Always `"StoreOutcomeUnknown"`. */
  override name = "StoreOutcomeUnknown";
}
