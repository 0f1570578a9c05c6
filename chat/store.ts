/** What a store tells of one room. */
export interface Listener {
  /**
   * Receives what is published in the room, in the order that is the same for everyone.
   *
   * @param payload an event as JSON, or a line from outside: see `parseEvent`
   */
  hear(payload: string): void;

  /**
   * Told that someone else got a user's name while the store could not be reached. It need not be released.
   *
   * @param session what it was claimed with
   */
  lost(user: string, session: string): void;
}

/**
 * What the chat asks of the place where its instances meet. Two stores keep this contract: Redis, for any number of
 * instances, and memory, for one process alone. `tests/store_contract.ts` runs over both.
 *
 * Calls of one store take effect in the order in which they are made. Every call may reject with
 * {@linkcode StoreUnavailable}, or, where it changes something, with {@linkcode StoreAnswerLost}; no command of it waits
 * longer than two seconds for its answer.
 */
export interface Store {
  /**
   * Starts to hear a room. A room has one listener in a store.
   *
   * @param room the room's name
   * @param listener hears everything that is published from the moment this resolves, or from a little before
   */
  subscribe(room: string, listener: Listener): Promise<void>;

  /** Stops hearing a room: its listener is not called any more. */
  unsubscribe(room: string): Promise<void>;

  /**
   * Gives a user's name in a room to one of all who claim it, and publishes `joined` with the session's id if it is
   * given, in one step. The room has to be subscribed to. The name stays with this store until it is released, also
   * through outages, or until this store's process is dead: then others free it.
   *
   * @returns whether the name was given; `false` if someone has it
   * @throws {StoreAnswerLost} if it may have been given: it counts as given until it is released
   */
  claim(room: string, user: string, session: string): Promise<boolean>;

  /**
   * Frees a user's name in a room and publishes `left`, in one step. Does nothing if this store does not hold the name.
   * Never rejects: where the store is away, the name is freed when it is back.
   */
  release(room: string, user: string): Promise<void>;

  /** Publishes a user's message in a room. */
  say(room: string, user: string, text: string): Promise<void>;

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
export class StoreAnswerLost extends Error {
  /** Always `"StoreAnswerLost"`. */
  override name = "StoreAnswerLost";
}
