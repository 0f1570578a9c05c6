import { BEFORE_FIRST_ID } from "../../protocol/ids.ts";
import { type LogLimits, Muted, OutOfOrder, TooManyRefs } from "../store.ts";
import type { CommandConnection } from "./connections.ts";
import { definePublish, type PendingMessage, type PublishReply, type SeenIds } from "./scripts.ts";

/** The most messages in a batch. Redis serves nobody else while it appends them. */
const MAX_BATCH_MESSAGES = 100;

/** The most characters in a batch, unless a single message is longer. */
const MAX_BATCH_CHARS = 64 * 1024;

const NOTHING_SEEN: SeenIds = { last: BEFORE_FIRST_ID, highest: BEFORE_FIRST_ID };

/** Who receives the messages of a room on this instance. */
export interface LogObserver {
  /** What was seen of the room's log. */
  readonly seen: SeenIds;
  /** Notes that this instance has logged a message. */
  noteLogged(id: string): void;
}

interface PublishBatch {
  readonly messages: PendingMessage[];
  chars: number;
  readonly ids: PromiseWithResolvers<PublishReply[]>;
}

/** See {@linkcode makePublishBatcher}. */
export type PublishBatcher = ReturnType<typeof makePublishBatcher>;

/**
 * Makes what sends all messages that are published in a room in one turn of the event loop as one
 * command. Most of the cost is per command, not per message.
 *
 * @param limits how much the log keeps
 * @param options.observerOf who receives the messages of a room
 * @param options.nowMs the time by the clock of Redis
 */
export function makePublishBatcher(
  connection: CommandConnection,
  limits: LogLimits,
  { observerOf, nowMs }: {
    observerOf: (room: string) => LogObserver | undefined;
    nowMs: () => number;
  },
) {
  const sendBatch = definePublish(connection);
  /** The open batch of each room. */
  const batches = new Map<string, PublishBatch>();

  /**
   * Adds a message to the room's batch, which is sent at the end of this turn, when it is full, or
   * when it is flushed.
   *
   * @returns the message's id
   * @throws {OutOfOrder} if the message before it is not in the log
   * @throws {TooManyRefs} if the sender has too many refs
   * @throws {Muted} if the sender is muted
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown}, for every message of the batch
   * alike
   */
  function publish(room: string, message: PendingMessage): Promise<string> {
    const { length } = message.rest;
    let batch = batches.get(room);
    if (batch && batch.chars + length > MAX_BATCH_CHARS) {
      flush(room);
      batch = undefined;
    }
    batch ??= startBatch(room);
    const index = batch.messages.push(message) - 1;
    batch.chars += length;
    if (batch.messages.length === MAX_BATCH_MESSAGES) flush(room);
    return batch.ids.promise.then((ids) => {
      const id = ids[index];
      if (id === null) throw new OutOfOrder();
      if (id === 0) throw new TooManyRefs();
      if (id === -1) throw new Muted();
      return id;
    });
  }

  /** Sends a room's batch now. Whatever is sent to Redis next comes after it. */
  function flush(room: string): void {
    const batch = batches.get(room);
    if (!batch) return;
    batches.delete(room);
    const { messages, ids } = batch;
    const observer = observerOf(room);
    const seen = observer?.seen ?? NOTHING_SEEN;
    const keys = connection.keys.room(room);
    sendBatch(keys, messages, limits, seen, nowMs()).then(
      (replies) => {
        const last = replies.findLast((id) => typeof id === "string");
        if (last) observer?.noteLogged(last);
        ids.resolve(replies);
      },
      ids.reject,
    );
  }

  function startBatch(room: string): PublishBatch {
    const batch: PublishBatch = { messages: [], chars: 0, ids: Promise.withResolvers() };
    batches.set(room, batch);
    setImmediate(() => {
      if (batches.get(room) === batch) flush(room);
    });
    return batch;
  }

  return { publish, flush };
}
