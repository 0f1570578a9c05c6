import { setTimeout as sleep } from "node:timers/promises";
import { deadline } from "../deadline.ts";
import { OutOfOrder, type StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";

/** How long a message is retried before its outcome stays unknown, in milliseconds. */
const RETRY_DEADLINE_MS = 5_000;

/** The time between two attempts, in milliseconds. */
const RETRY_DELAY_MS = 100;

/** A message of a sender with messages whose outcome is unknown. */
export interface PendingAppend {
  /** Appends the message to the log, and resolves to its id. */
  append(): Promise<string>;
  /** Whether the session that has sent it is still in the room. */
  isSenderPresent(): boolean;
}

/** A message that waits for the retries before it. */
interface Queued extends PendingAppend {
  readonly id: PromiseWithResolvers<string>;
}

/** A sender with messages whose outcome is unknown. */
interface Sender {
  /** Resolves once every retry that has begun so far is over. */
  retriesDone: Promise<void>;
  readonly queue: Queued[];
}

/**
 * Retries messages whose outcome is unknown until there is a reply. The ref of such a message keeps
 * it from being appended twice. What the same sender publishes meanwhile waits, because it must not
 * come first. When the sender leaves, all of it ends: through another instance, later messages of
 * the same user may come before, and Redis may have lost the ref.
 */
export class PublishRetrier {
  readonly #senders = new Map<string, Sender>();

  /** Whether the sender's next message has to be queued. */
  isRetrying(sender: string): boolean {
    return this.#senders.has(sender);
  }

  /** Queues a message, which is appended when the sender's retries are over. */
  enqueue(sender: string, message: PendingAppend): Promise<string> {
    const id = Promise.withResolvers<string>();
    this.#senders.get(sender)!.queue.push({ ...message, id });
    return id.promise;
  }

  /**
   * Retries a message, after the sender's earlier ones, until there is a reply.
   *
   * @param message has a ref
   * @param cause why its outcome is unknown
   * @returns its id
   * @throws {StoreOutcomeUnknown} the cause, if there is no reply within five seconds, the sender
   * leaves, or the message before it is not in the log: the first attempt may still reach Redis
   * after that one
   */
  retry(sender: string, message: PendingAppend, cause: StoreOutcomeUnknown): Promise<string> {
    let state = this.#senders.get(sender);
    if (!state) {
      state = { retriesDone: sleep(RETRY_DELAY_MS), queue: [] };
      this.#senders.set(sender, state);
    }
    const { queue } = state;
    const id = retryUntilDeadline(state.retriesDone, message, cause);
    const done = state.retriesDone = id.then(() => {}, () => {}).then(() => {
      if (state.retriesDone === done) this.#appendQueued(sender, queue);
    });
    return id;
  }

  /**
   * Appends the queue in the same turn in which the retries end, so that no later message overtakes
   * it.
   */
  #appendQueued(sender: string, queue: Queued[]): void {
    this.#senders.delete(sender);
    for (const message of queue) {
      const { id } = message;
      if (message.isSenderPresent()) message.append().then(id.resolve, id.reject);
      else id.reject(new StoreUnavailable("the sender left before the message was published"));
    }
  }
}

async function retryUntilDeadline(
  earlierRetries: Promise<void>,
  message: PendingAppend,
  cause: StoreOutcomeUnknown,
): Promise<string> {
  let isOver = false;
  async function retry(): Promise<string> {
    await earlierRetries;
    while (!isOver && message.isSenderPresent()) {
      const id = await message.append().catch((error) => {
        if (error instanceof OutOfOrder) throw cause;
      });
      if (id !== undefined) return id;
      await sleep(RETRY_DELAY_MS);
    }
    throw cause;
  }
  try {
    return await deadline(retry(), RETRY_DEADLINE_MS);
  } catch {
    isOver = true;
    throw cause;
  }
}
