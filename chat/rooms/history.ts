import { isLater, nextId } from "../protocol/ids.ts";
import type { LogEntry, Store } from "../store/store.ts";

/** So many messages are read at a time: few, since each may be large, and a session holds what it has not sent yet. */
const PAGE = 16;

/** What was said, for those who come later. Whoever asks for the same at the same moment shares one read of the store. */
export class History {
  readonly #store: Store;
  readonly #underWay = new Map<string, Promise<readonly LogEntry[]>>();

  /** @param store where the log is */
  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Reads the messages of a room after one position, up to and with another one, page by page.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async *between(room: string, position: string, end: string): AsyncGenerator<readonly LogEntry[]> {
    while (isLater(end, position)) {
      // With the end in it: a read that began before the end was known may not have it.
      const page = await this.#share(
        `${room} ${position} ${end}`,
        () => this.#store.readAfter(room, position, PAGE),
      );
      const wanted = page.filter(({ event }) => !isLater(event.id, end));
      if (wanted.length === 0) return;
      yield wanted;
      position = wanted.at(-1)!.event.id;
    }
  }

  /**
   * Reads the last messages of a room, up to and with a position.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async last(room: string, count: number, end: string): Promise<readonly LogEntry[]> {
    return await this.#share(
      `${room} ${count} ${end}`,
      () => this.#store.readBefore(room, nextId(end), count),
    );
  }

  #share(key: string, read: () => Promise<readonly LogEntry[]>): Promise<readonly LogEntry[]> {
    const known = this.#underWay.get(key);
    if (known) return known;
    const reading = read().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, reading);
    return reading;
  }
}
