import { type Message, parseEvent } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID } from "../../protocol/ids.ts";
import { type LogEntry, type LogLimits, StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";
import type { Connection } from "./connections.ts";
import { refKey, roomKeys } from "./keys.ts";
import { PublishBatcher } from "./publish_batcher.ts";
import { PublishRetrier } from "./publish_retrier.ts";

/** An entry of the stream: its id, and its fields with their values, `prev` and `rest` as `say.lua` writes them. */
type Entry = [id: string, fields: string[]];

/** What was said in the rooms, each room's in a stream, see https://redis.io/docs/latest/commands/xadd/ */
export class Log {
  readonly #connection: Connection;
  readonly #outbox: PublishBatcher;
  readonly #settling = new PublishRetrier();

  /**
   * @param connection where to send commands
   * @param limits how much to keep
   */
  constructor(connection: Connection, limits: LogLimits) {
    this.#connection = connection;
    this.#outbox = new PublishBatcher(connection, limits);
  }

  /** Appends a message and publishes it; gives its id. See {@linkcode Store.publish}. */
  publish(room: string, user: string, text: string, ref?: string): Promise<string> {
    // The script puts type, id and prev before it.
    const rest = JSON.stringify({ user, text, ref } satisfies Partial<Message>).slice(1);
    const said = ref === undefined ? { rest } : { rest, ref: refKey(room, user, ref) };
    const append = () => this.#outbox.publish(room, said);
    const sender = senderOf(room, user);
    const id = this.#settling.isRetrying(sender) ? this.#appendLater(sender, append) : append();
    if (ref === undefined) return id;
    return id.catch((error) => {
      if (error instanceof StoreOutcomeUnknown) return this.#settling.retry(sender, append, error);
      throw error;
    });
  }

  /** While Redis is away nothing waits for it. */
  #appendLater(sender: string, append: () => Promise<string>): Promise<string> {
    return this.#connection.isReady
      ? this.#settling.enqueue(sender, append)
      : Promise.reject(new StoreUnavailable("the connection is away"));
  }

  /** Before a user leaves a room: what they said is sent or refused. */
  leave(room: string, user: string): void {
    this.flush(room);
    this.#settling.rejectQueued(senderOf(room, user));
  }

  /** Sends what was said in a room in this turn: what is done there next comes after it. */
  flush(room: string): void {
    this.#outbox.flush(room);
  }

  /** The id of a room's newest message. */
  async newest(room: string): Promise<string> {
    const { log } = roomKeys(room);
    const newest = await this.#connection.run((redis) =>
      redis.xrevrange(log, "+", "-", "COUNT", 1)
    );
    return newest[0]?.[0] ?? BEFORE_FIRST_ID;
  }

  /** Reads the messages after a position: see {@linkcode Store.readAfter}. */
  async readAfter(room: string, position: string, count: number): Promise<LogEntry[]> {
    const { log } = roomKeys(room);
    return toLogged(
      await this.#connection.run((redis) => redis.xrange(log, `(${position}`, "+", "COUNT", count)),
    );
  }

  /** Reads the last messages before a position: see {@linkcode Store.readBefore}. */
  async readBefore(room: string, position: string | undefined, count: number): Promise<LogEntry[]> {
    const { log } = roomKeys(room);
    const end = position === undefined ? "+" : `(${position}`;
    return toLogged(
      await this.#connection.run((redis) => redis.xrevrange(log, end, "-", "COUNT", count)),
    ).reverse();
  }
}

/** Neither name has a colon in it. */
function senderOf(room: string, user: string): string {
  return `${room}:${user}`;
}

/** What somebody else put into the stream is passed over. */
function toLogged(entries: unknown): LogEntry[] {
  return (entries as Entry[]).flatMap(([id, [, prev, , rest]]) => {
    const line = `{"type":"message","id":"${id}","prev":"${prev}",${rest}`;
    const event = parseEvent(line);
    return event.type === "message" ? [{ event, line }] : [];
  });
}
