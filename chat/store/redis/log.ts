import { type Message, parseEvent } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID } from "../../protocol/ids.ts";
import { type LogEntry, type LogLimits, StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import { PublishBatcher } from "./publish_batcher.ts";
import { PublishRetrier } from "./publish_retrier.ts";
import type { PendingMessage } from "./scripts.ts";

/**
 * A stream entry: its id, and its fields with their values, `prev` and `rest` as `publish.lua`
 * writes them.
 */
type StreamEntry = [id: string, fields: string[]];

/**
 * The logs of all rooms. Each is a stream, see
 * https://redis.io/docs/latest/develop/data-types/streams/
 */
export class Log {
  readonly #connection: CommandConnection;
  readonly #batcher: PublishBatcher;
  readonly #retrier = new PublishRetrier();

  /**
   * @param connection where to send commands
   * @param limits how much to keep
   */
  constructor(connection: CommandConnection, limits: LogLimits) {
    this.#connection = connection;
    this.#batcher = new PublishBatcher(connection, limits);
  }

  /**
   * Appends a message to a room's log, publishes it, and resolves to its id: see {@linkcode
   * Store.publish}.
   */
  publish(room: string, user: string, text: string, ref?: string): Promise<string> {
    // The script puts type, id and prev before it.
    const rest = JSON.stringify({ user, text, ref } satisfies Partial<Message>).slice(1);
    const message: PendingMessage = ref === undefined
      ? { rest }
      : { rest, refKey: this.#connection.keys.ref(room, user, ref) };
    const append = () => this.#batcher.publish(room, message);
    const sender = senderOf(room, user);
    const id = this.#retrier.isRetrying(sender) ? this.#enqueue(sender, append) : append();
    if (ref === undefined) return id;
    return id.catch((error) => {
      if (error instanceof StoreOutcomeUnknown) return this.#retrier.retry(sender, append, error);
      throw error;
    });
  }

  /** While the connection is down, nothing is queued. */
  #enqueue(sender: string, append: () => Promise<string>): Promise<string> {
    return this.#connection.isReady
      ? this.#retrier.enqueue(sender, append)
      : Promise.reject(new StoreUnavailable("the connection is down"));
  }

  /**
   * Before a user leaves a room: sends that user's batched messages, and rejects those that wait
   * behind a retry.
   */
  leave(room: string, user: string): void {
    this.flush(room);
    this.#retrier.rejectQueued(senderOf(room, user));
  }

  /** Sends a room's batched messages now. Whatever is sent to Redis next comes after them. */
  flush(room: string): void {
    this.#batcher.flush(room);
  }

  /** The id of a room's newest message. */
  async newest(room: string): Promise<string> {
    const { log } = this.#connection.keys.room(room);
    const entries = await this.#xrevrange(log, "+", 1);
    return entries[0]?.[0] ?? BEFORE_FIRST_ID;
  }

  /** Reads the messages after a position: see {@linkcode Store.readAfter}. */
  async readAfter(room: string, position: string, count: number): Promise<LogEntry[]> {
    const { log } = this.#connection.keys.room(room);
    const start = `(${position}`;
    return toLogEntries(await this.#connection.run("XRANGE", log, start, "+", "COUNT", count));
  }

  /** Reads the last messages before a position: see {@linkcode Store.readBefore}. */
  async readBefore(room: string, position: string | undefined, count: number): Promise<LogEntry[]> {
    const { log } = this.#connection.keys.room(room);
    const end = position === undefined ? "+" : `(${position}`;
    return toLogEntries(await this.#xrevrange(log, end, count)).reverse();
  }

  #xrevrange(log: string, end: string, count: number): Promise<StreamEntry[]> {
    return this.#connection.run("XREVRANGE", log, end, "-", "COUNT", count);
  }
}

/** Unambiguous, because neither name contains a colon. */
function senderOf(room: string, user: string): string {
  return `${room}:${user}`;
}

/** Skips entries that another program put into the stream. */
function toLogEntries(entries: StreamEntry[]): LogEntry[] {
  return entries.flatMap(([id, [, prev, , rest]]) => {
    const line = `{"type":"message","id":"${id}","prev":"${prev}",${rest}`;
    const event = parseEvent(line);
    return event.type === "message" ? [{ event, line }] : [];
  });
}
