import { MAX_EVENT_CHARS, type Message, parseEvent, type Removed } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater, nextId, previousId, timestampOf } from "../../protocol/ids.ts";
import {
  type LogEntry,
  type LogLimits,
  LONE_LOG_SECONDS,
  type Sender,
  StoreOutcomeUnknown,
  StoreUnavailable,
} from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import { type LogObserver, makePublishBatcher, type PublishBatcher } from "./publish_batcher.ts";
import { type PendingAppend, PublishRetrier } from "./publish_retrier.ts";
import { isReply } from "./redis_errors.ts";
import { defineRemove, type PendingMessage } from "./scripts.ts";

/**
 * A stream entry: its id, and its fields with their values, `prev` and `rest` as `publish.lua`
 * writes them.
 */
type StreamEntry = [id: string, fields: string[]];

/** How many messages a search reads at a time. */
const PAGE_SIZE = 100;

/** Redis does not give ids that are further ahead of its clock, in milliseconds. */
const MAX_AHEAD_MS = 3_600_000;

/** More than the fields that precede the rest of an event. */
const ID_FIELDS_CHARS = 200;

/** How a stream is read. Redis 6.0 has no range without its start, so a start is the next id. */
const FORWARD = { command: "XRANGE", end: "+", next: nextId };
const BACKWARD = { command: "XREVRANGE", end: "-", next: previousId };

/** A message that was delivered; only its id is known if it was seen in the log. */
export type DeliveredMessage = Message | { readonly id: string; readonly prev?: undefined };

/**
 * Whether a message of the log is one that was delivered. One with the same id can be another one:
 * ids can come again after a loss, or be forged.
 */
export function isSameMessage(message: Message, delivered: DeliveredMessage): boolean {
  return message.id === delivered.id &&
    (delivered.prev === undefined ||
      message.prev === delivered.prev && message.user === delivered.user &&
        (message.text === delivered.text || Boolean(message.removed || delivered.removed)));
}

/**
 * The logs of all rooms. Each is a stream, see
 * https://redis.io/docs/latest/develop/data-types/streams/
 */
export class Log {
  readonly #connection: CommandConnection;
  readonly #batcher: PublishBatcher;
  readonly #historySeconds: number;
  readonly #nowMs: () => number;
  readonly #remove: ReturnType<typeof defineRemove>;
  readonly #hasName: (room: string, user: string, session: string) => boolean;
  readonly #hasMembers: (room: string) => boolean;
  readonly #retrier = new PublishRetrier();

  /**
   * @param options.nowMs the time by the clock of Redis
   * @param options.observerOf who receives the messages of a room
   * @param options.hasName whether a session of this instance has a name in a room
   * @param options.hasMembers whether any session of this instance has one there
   */
  constructor(connection: CommandConnection, limits: LogLimits, options: {
    nowMs: () => number;
    observerOf: (room: string) => LogObserver | undefined;
    hasName: (room: string, user: string, session: string) => boolean;
    hasMembers: (room: string) => boolean;
  }) {
    this.#connection = connection;
    this.#batcher = makePublishBatcher(connection, limits, options);
    this.#historySeconds = limits.historySeconds;
    this.#nowMs = options.nowMs;
    this.#remove = defineRemove(connection, limits.historySeconds);
    this.#hasName = options.hasName;
    this.#hasMembers = options.hasMembers;
  }

  /**
   * Appends a message to a room's log, publishes it, and resolves to its id: see {@linkcode
   * Store.publish}.
   */
  publish(
    room: string,
    user: string,
    text: string,
    ref?: string,
    after?: string,
    sender?: Sender,
  ): Promise<string> {
    const session = sender?.isNamed ? sender.session : undefined;
    const message: PendingMessage = {
      // The script puts type, id and prev before it.
      rest: JSON.stringify({ user, text, ref, session } satisfies Partial<Message>).slice(1),
      ...{ user, ref, after },
    };
    // Only control characters, which are six times as long as JSON, can make it so long.
    if (message.rest.length + ID_FIELDS_CHARS > MAX_EVENT_CHARS) {
      return Promise.reject(new StoreUnavailable("the message is too long as JSON"));
    }
    const pending: PendingAppend = {
      append: () => this.#batcher.publish(room, message),
      isSenderPresent: () => !sender || this.#hasName(room, user, sender.session),
    };
    const queue = queueOf(room, user);
    const id = this.#retrier.isRetrying(queue) ? this.#enqueue(queue, pending) : pending.append();
    if (ref === undefined) return id;
    return id.catch((error) => {
      // A retry helps if only the reply was lost, but not if a script could not undo its work.
      if (error instanceof StoreOutcomeUnknown && !isReply(error.cause)) {
        return this.#retrier.retry(queue, pending, error);
      }
      throw error;
    });
  }

  /** While the connection is down, nothing is queued. */
  #enqueue(queue: string, pending: PendingAppend): Promise<string> {
    return this.#connection.isReady
      ? this.#retrier.enqueue(queue, pending)
      : Promise.reject(new StoreUnavailable("the connection is down"));
  }

  /** Sends a room's batched messages now. Whatever is sent to Redis next comes after them. */
  flush(room: string): void {
    this.#batcher.flush(room);
  }

  /** Removes a message: see {@linkcode Store.remove}. */
  async remove(room: string, id: string, by: string, isModerator: boolean): Promise<boolean> {
    this.flush(room);
    const [entry] = await this.readFrom(room, id, 1);
    if (entry?.event.id !== id) return true;
    if (!isModerator && entry.event.user !== by) return false;
    await this.#remove(this.#connection.keys.room(room), entry.event, { type: "removed", id, by });
    return true;
  }

  /** Reads removals: see {@linkcode Store.readRemovals}. */
  async readRemovals(room: string, position: string): Promise<Removed[]> {
    const { removals } = this.#connection.keys.room(room);
    const args = [timestampOf(position), "+inf"];
    const lines = await this.#connection.run<string[]>("ZRANGEBYSCORE", removals, ...args);
    return lines.flatMap((line) => {
      const event = parseEvent(line);
      return event?.type === "removed" ? event : [];
    });
  }

  /** The id of a room's newest message. */
  async newest(room: string): Promise<string> {
    const [newest] = await this.readBefore(room, undefined, 1);
    return newest?.event.id ?? BEFORE_FIRST_ID;
  }

  /** Tells whether a message is so old that the log need not have it any more. */
  mayHaveExpired(id: string): boolean {
    return timestampOf(id) < this.#nowMs() - this.#historySeconds * 1000;
  }

  /** Tells whether the log may have ended after a message because nobody was in the room. */
  mayHaveBeenLeft(room: string, id: string): boolean {
    return !this.#hasMembers(room) && timestampOf(id) < this.#nowMs() - LONE_LOG_SECONDS * 1000;
  }

  /**
   * Returns an id that no message will have for an hour. One with a higher id was never in the log,
   * unless someone has put an entry of the future there.
   */
  highestPossibleId(): string {
    return `${this.#nowMs() + MAX_AHEAD_MS}-0`;
  }

  /** Reads messages from a position on: the message with this id too, if the log has it. */
  async readFrom(room: string, position: string, count: number): Promise<LogEntry[]> {
    return await this.#read(room, position, FORWARD, count);
  }

  /** Finds the id of the last message that is among some that were delivered. */
  async findLast(
    room: string,
    delivered: readonly DeliveredMessage[],
  ): Promise<string | undefined> {
    // Several can have the same id.
    const wanted = Map.groupBy(delivered, ({ id }) => id);
    const ids = [...wanted.keys()];
    const highest = ids.reduce((one, other) => isLater(one, other) ? one : other);
    const lowest = ids.reduce((one, other) => isLater(one, other) ? other : one);
    let before: string | undefined = nextId(highest);
    while (before !== undefined && isLater(before, lowest)) {
      const page: LogEntry[] = await this.readBefore(room, before, PAGE_SIZE);
      const found = page.findLast(({ event }) =>
        wanted.get(event.id)?.some((message) => isSameMessage(event, message))
      );
      if (found) return found.event.id;
      before = page[0]?.event.id;
    }
    return undefined;
  }

  /** Reads the messages after a position: see {@linkcode Store.readAfter}. */
  async readAfter(room: string, position: string, count: number): Promise<LogEntry[]> {
    return await this.#read(room, nextId(position), FORWARD, count);
  }

  /** Reads the last messages before a position: see {@linkcode Store.readBefore}. */
  async readBefore(room: string, position: string | undefined, count: number): Promise<LogEntry[]> {
    const start = position === undefined ? "+" : previousId(position);
    return (await this.#read(room, start, BACKWARD, count)).reverse();
  }

  /** Reads so many messages, or all that there are. */
  async #read(
    room: string,
    start: string,
    { command, end, next }: typeof FORWARD,
    count: number,
  ): Promise<LogEntry[]> {
    const { log } = this.#connection.keys.room(room);
    const found: LogEntry[] = [];
    // The loop ends at once, unless another program has put entries into the stream.
    for (;;) {
      const args = [log, start, end, "COUNT", count];
      const entries = await this.#connection.run<StreamEntry[]>(command, ...args);
      found.push(...toLogEntries(entries));
      if (found.length >= count || entries.length < count) return found.slice(0, count);
      start = next(entries.at(-1)![0]);
    }
  }
}

/** Unambiguous, because neither name contains a colon. */
function queueOf(room: string, user: string): string {
  return `${room}:${user}`;
}

/** Skips entries that another program put into the stream. */
function toLogEntries(entries: readonly StreamEntry[]): LogEntry[] {
  return entries.flatMap(([id, fields]) => {
    const prev = valueOf("prev", fields);
    const rest = valueOf("rest", fields);
    // JSON may have line breaks between its parts, but an event is one line.
    const line = `{"type":"message","id":"${id}","prev":"${prev}",${rest}`.replaceAll("\n", " ");
    const event = parseEvent(line);
    // The rest could have an id of its own, which would replace the right one.
    return event?.type === "message" && event.id === id ? [{ event, line }] : [];
  });
}

/** A later version may add fields. */
function valueOf(name: string, fields: string[]): string | undefined {
  return fields.find((_, i) => i % 2 === 1 && fields[i - 1] === name);
}
