import { within } from "../deadline.ts";
import { type Message, parseEvent } from "../events.ts";
import { BEGINNING } from "../ids.ts";
import { type Logged, type LogLimits, StoreAnswerLost } from "../store.ts";
import type { Connection } from "./connection.ts";
import { refKey, roomKeys } from "./keys.ts";
import { Outbox } from "./outbox.ts";

/** How long the fate of a message may take to be learned, in milliseconds. */
const SETTLED_WITHIN = 5_000;

/** The time between two attempts to learn it, in milliseconds. */
const ASK_AGAIN_AFTER = 100;

/** An entry of the stream: its id, and its fields with their values, `prev` and `rest` as `say.lua` writes them. */
type Entry = [id: string, fields: string[]];

/** What was said in the rooms, each room's in a stream, see https://redis.io/docs/latest/commands/xadd/ */
export class Log {
  readonly #connection: Connection;
  readonly #outbox: Outbox;

  /**
   * @param connection where to send commands
   * @param limits how much to keep
   */
  constructor(connection: Connection, limits: LogLimits) {
    this.#connection = connection;
    this.#outbox = new Outbox(connection, limits);
  }

  /** Appends a message and publishes it; gives its id. See {@linkcode Store.say}. */
  say(room: string, user: string, text: string, ref?: string): Promise<string> {
    // The script puts type, id and prev before it.
    const rest = JSON.stringify({ user, text, ref } satisfies Partial<Message>).slice(1);
    if (ref === undefined) return this.#outbox.send(room, { rest });
    const said = { rest, ref: refKey(room, user, ref) };
    const append = () => this.#outbox.send(room, said);
    return append().catch((error) => {
      if (error instanceof StoreAnswerLost) return this.#settle(append, error);
      throw error;
    });
  }

  /** Asks again until there is an answer, which the ref makes safe: what was taken before is not taken twice. */
  async #settle(append: () => Promise<string>, lost: StoreAnswerLost): Promise<string> {
    let isOver = false;
    async function askAgain(): Promise<string> {
      while (!isOver) {
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_AFTER));
        const id = await append().catch(() => undefined);
        if (id !== undefined) return id;
      }
      throw lost;
    }
    try {
      return await within(SETTLED_WITHIN, askAgain());
    } catch {
      isOver = true;
      throw lost;
    }
  }

  /** Sends what was said in a room in this turn: what is done there next comes after it. */
  flush(room: string): void {
    this.#outbox.flush(room);
  }

  /** The id of a room's newest message. */
  async newest(room: string): Promise<string> {
    const { log } = roomKeys(room);
    const newest = await this.#connection.ask((redis) =>
      redis.xrevrange(log, "+", "-", "COUNT", 1)
    );
    return newest[0]?.[0] ?? BEGINNING;
  }

  /** Reads the messages after a position: see {@linkcode Store.readAfter}. */
  async readAfter(room: string, position: string, count: number): Promise<Logged[]> {
    const { log } = roomKeys(room);
    return toLogged(
      await this.#connection.ask((redis) => redis.xrange(log, `(${position}`, "+", "COUNT", count)),
    );
  }

  /** Reads the last messages before a position: see {@linkcode Store.readBefore}. */
  async readBefore(room: string, position: string | undefined, count: number): Promise<Logged[]> {
    const { log } = roomKeys(room);
    const end = position === undefined ? "+" : `(${position}`;
    return toLogged(
      await this.#connection.ask((redis) => redis.xrevrange(log, end, "-", "COUNT", count)),
    ).reverse();
  }
}

/** What somebody else put into the stream is passed over. */
function toLogged(entries: unknown): Logged[] {
  return (entries as Entry[]).flatMap(([id, [, prev, , rest]]) => {
    const line = `{"type":"message","id":"${id}","prev":"${prev}",${rest}`;
    const event = parseEvent(line);
    return event.type === "message" ? [{ event, line }] : [];
  });
}
