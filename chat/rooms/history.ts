import type { Removed } from "../protocol/events.ts";
import { isLater, nextId } from "../protocol/ids.ts";
import type { LogEntry, Store } from "../store/store.ts";

/**
 * How many messages are read at a time: few, because each may be large and sessions hold a page.
 */
const PAGE_SIZE = 16;

/**
 * Reads rooms' messages from the store. Sessions that ask for the same page at once share a read.
 */
export class History {
  readonly #store: Store;
  readonly #pending = new Map<string, Promise<readonly LogEntry[]>>();

  /** @param store the store that keeps the log */
  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Reads the messages of a room after one id, up to and including another one, page by page.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async *between(room: string, after: string, end: string): AsyncGenerator<readonly LogEntry[]> {
    while (isLater(end, after)) {
      // The end is part of the key: a read that began before this end existed may not have it.
      const page = await this.#share(
        `${room} ${after} ${end}`,
        () => this.#store.readAfter(room, after, PAGE_SIZE),
      );
      const wanted = page.filter(({ event }) => !isLater(event.id, end));
      if (wanted.length === 0) return;
      yield wanted;
      after = wanted.at(-1)!.event.id;
    }
  }

  /**
   * Reads the last messages of a room, up to and including an id.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async last(room: string, count: number, end: string): Promise<readonly LogEntry[]> {
    return await this.#share(
      `${room} ${count} ${end}`,
      () => this.#store.readBefore(room, nextId(end), count),
    );
  }

  /** Reads the removals that were made after a message: see {@linkcode Store.readRemovals}. */
  removals(room: string, since: string): Promise<readonly Removed[]> {
    return this.#store.readRemovals(room, since);
  }

  /** Later sessions share no read that has begun already: it may have what was removed since. */
  stopSharing(): void {
    this.#pending.clear();
  }

  #share(key: string, read: () => Promise<readonly LogEntry[]>): Promise<readonly LogEntry[]> {
    const known = this.#pending.get(key);
    if (known) return known;
    const reading = read().finally(() => this.#pending.delete(key));
    this.#pending.set(key, reading);
    return reading;
  }
}
