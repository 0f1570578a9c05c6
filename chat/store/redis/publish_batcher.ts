import { setImmediate } from "node:timers";
import type { LogLimits } from "../store.ts";
import type { Connection } from "./connections.ts";
import { roomKeys } from "./keys.ts";
import { defineLogScripts, type LogScripts, type Said } from "./scripts.ts";

/** More messages than this are not sent as one command, because Redis does nothing else meanwhile. */
const MOST_AT_ONCE = 100;

/** The same for their length, in characters, unless one message is longer. */
const LONGEST_AT_ONCE = 64 * 1024;

interface Batch {
  readonly messages: Said[];
  length: number;
  readonly ids: PromiseWithResolvers<string[]>;
}

/**
 * What is said in a room in one turn goes to Redis as one command, because most of what a message costs there and here is
 * its command.
 */
export class PublishBatcher {
  readonly #scripts: LogScripts;
  readonly #limits: LogLimits;
  /** What was said in this turn, by room. */
  readonly #batches = new Map<string, Batch>();

  /**
   * @param connection where to send it
   * @param limits how much the log keeps
   */
  constructor(connection: Connection, limits: LogLimits) {
    this.#scripts = defineLogScripts(connection);
    this.#limits = limits;
  }

  /**
   * Sends a message at the end of this turn, or when the room is flushed.
   *
   * @returns its id
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown}, as all that are sent with it
   */
  publish(room: string, said: Said): Promise<string> {
    const { length } = said.rest;
    let batch = this.#batches.get(room);
    if (batch && batch.length + length > LONGEST_AT_ONCE) {
      this.flush(room);
      batch = undefined;
    }
    batch ??= this.#open(room);
    const place = batch.messages.push(said) - 1;
    batch.length += length;
    if (batch.messages.length === MOST_AT_ONCE) this.flush(room);
    return batch.ids.promise.then((ids) => ids[place]);
  }

  /** Sends what was said in a room so far: what is done there next comes after it. */
  flush(room: string): void {
    const batch = this.#batches.get(room);
    if (!batch) return;
    this.#batches.delete(room);
    const { messages, ids } = batch;
    this.#scripts.publish(roomKeys(room), messages, this.#limits).then(ids.resolve, ids.reject);
  }

  #open(room: string): Batch {
    const batch = { messages: [], length: 0, ids: Promise.withResolvers<string[]>() };
    this.#batches.set(room, batch);
    setImmediate(() => {
      if (this.#batches.get(room) === batch) this.flush(room);
    });
    return batch;
  }
}
