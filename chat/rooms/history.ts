import { Semaphore } from "../limits/semaphore.ts";
import type { Removed } from "../protocol/events.ts";
import { isLater, nextId } from "../protocol/ids.ts";
import { byteLength } from "../protocol/utf8.ts";
import { type LogEntry, type Store, StoreUnavailable } from "../store/store.ts";

/** How many messages are read at a time: few, because each may be large. */
const READ_COUNT = 16;

/** The most bytes of messages on one page, unless a single message is longer. */
const MAX_PAGE_BYTES = 1024 * 1024;

/** How many pages are read at a time, for all clients. */
const MAX_READS = 16;

/** A read that has waited for so long fails. */
const MAX_WAIT_MS = 5_000;

/** Some messages of a room, oldest first. */
export interface Page {
  readonly entries: readonly LogEntry[];
  /** Whether the log has no older messages. */
  readonly isBeginning: boolean;
}

/** A page that has not been read yet, for all who have asked for it. */
interface Pending extends PromiseWithResolvers<Page> {
  readonly askedAtMs: number;
  hasBegun: boolean;
}

/**
 * Reads rooms' messages from the store, a few pages at a time. Each of its methods is given the
 * semaphore of the client's address, so that no address has all places. Those who wait for the same
 * page share a read.
 */
export class History {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #places = new Semaphore(MAX_READS);
  readonly #pending = new Map<string, Pending>();

  /** @param now a monotonic clock, in milliseconds */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * Reads the messages of a room after one id, up to and including another one, page by page.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async *between(
    reads: Semaphore,
    room: string,
    after: string,
    end: string,
  ): AsyncGenerator<readonly LogEntry[]> {
    while (isLater(end, after)) {
      const { entries } = await this.#read(reads, `${room} after ${after}`, async () => ({
        entries: await this.#store.readAfter(room, after, READ_COUNT),
        isBeginning: false,
      }));
      const wanted = entries.filter(({ event }) => !isLater(event.id, end));
      if (wanted.length === 0) return;
      yield wanted;
      after = wanted.at(-1)!.event.id;
    }
  }

  /**
   * Reads the last messages of a room, up to and including an id: 1 MiB of them at most.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  async last(
    reads: Semaphore,
    room: string,
    count: number,
    end: string,
  ): Promise<readonly LogEntry[]> {
    return (await this.page(reads, room, count, nextId(end))).entries;
  }

  /**
   * Reads the last messages of a room, or the last ones before an id: 1 MiB of them at most, or a
   * single one.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
   */
  page(reads: Semaphore, room: string, count: number, before?: string): Promise<Page> {
    const key = `${room} ${count} before ${before}`;
    return this.#read(reads, key, () => this.#readPage(room, count, before));
  }

  /** Reads the removals that were made after a message: see {@linkcode Store.readRemovals}. */
  removals(reads: Semaphore, room: string, since: string): Promise<readonly Removed[]> {
    return reads.run(() => this.#places.run(() => this.#store.readRemovals(room, since)));
  }

  /** Reads backwards until a page is full, or the log begins. */
  async #readPage(room: string, limit: number, before?: string): Promise<Page> {
    let entries: LogEntry[] = [];
    let bytes = 0;
    while (entries.length < limit) {
      const count = Math.min(READ_COUNT, limit - entries.length);
      const read = await this.#store.readBefore(room, entries[0]?.event.id ?? before, count);
      const excess = read.findLastIndex(({ line }) => (bytes += byteLength(line)) > MAX_PAGE_BYTES);
      const fitting = read.slice(excess + 1);
      entries = [...fitting, ...entries];
      if (entries.length === 0) return { entries: read.slice(-1), isBeginning: read.length === 0 };
      if (excess >= 0) return { entries, isBeginning: false };
      if (read.length < count) return { entries, isBeginning: true };
    }
    return { entries, isBeginning: false };
  }

  /** Reads a page in its turn. A read that has begun is not shared: it may be out of date. */
  #read(reads: Semaphore, key: string, read: () => Promise<Page>): Promise<Page> {
    let pending = this.#pending.get(key);
    if (!pending) {
      const askedAtMs = this.#now();
      pending = { ...Promise.withResolvers<Page>(), askedAtMs, hasBegun: false };
      this.#pending.set(key, pending);
    }
    const page = pending;
    reads.run(() => this.#places.run(() => this.#begin(key, page, read)));
    return page.promise;
  }

  async #begin(key: string, page: Pending, read: () => Promise<Page>): Promise<void> {
    if (page.hasBegun) return;
    page.hasBegun = true;
    this.#pending.delete(key);
    try {
      // Else what waits for a store that answers slowly would grow without end.
      const isLate = this.#now() - page.askedAtMs > MAX_WAIT_MS;
      if (isLate) throw new StoreUnavailable("too many reads of history are waiting");
      page.resolve(await read());
    } catch (error) {
      page.reject(error);
    }
  }
}
