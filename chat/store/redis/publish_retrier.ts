import { setTimeout as sleep } from "node:timers/promises";
import { deadline } from "../deadline.ts";
import { type StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";

/** How long the fate of a message may take to be learned, in milliseconds. */
const SETTLED_WITHIN = 5_000;

/** The time between two attempts to learn it, in milliseconds. */
const ASK_AGAIN_AFTER = 100;

/** Appends a message to the log, and gives its id. */
type Append = () => Promise<string>;

/** A message that waits for those before it. */
interface Waiting {
  readonly append: Append;
  readonly id: PromiseWithResolvers<string>;
}

interface Sender {
  /** Resolves once all that was lost so far is settled, or nobody can tell any more. */
  settled: Promise<void>;
  readonly waiting: Waiting[];
}

/**
 * What becomes of messages whose answers were lost: they are sent again until there is an answer. What the same sender
 * says meanwhile waits for that, or it could come before them.
 */
export class PublishRetrier {
  /** Those of whose messages some are not settled. */
  readonly #senders = new Map<string, Sender>();

  /** Whether what a sender says next has to wait. */
  isRetrying(sender: string): boolean {
    return this.#senders.has(sender);
  }

  /** Appends a message when everything before it is settled. */
  enqueue(sender: string, append: Append): Promise<string> {
    const id = Promise.withResolvers<string>();
    this.#senders.get(sender)!.waiting.push({ append, id });
    return id.promise;
  }

  /**
   * Appends a message again until there is an answer: it has a ref, so that it is not taken twice.
   *
   * @param lost why this is necessary
   * @returns its id
   * @throws {StoreOutcomeUnknown} the same, if there is no answer within five seconds
   */
  retry(sender: string, append: Append, lost: StoreOutcomeUnknown): Promise<string> {
    let one = this.#senders.get(sender);
    if (!one) this.#senders.set(sender, one = { settled: sleep(ASK_AGAIN_AFTER), waiting: [] });
    const id = askAgain(one.settled, append, lost);
    const settled = one.settled = id.then(() => {}, () => {}).then(() => {
      if (one.settled === settled) this.#goOn(sender, one);
    });
    return id;
  }

  /** Refuses what waits of a sender who leaves; what was lost is settled all the same. */
  rejectQueued(sender: string): void {
    for (const { id } of this.#senders.get(sender)?.waiting.splice(0) ?? []) {
      id.reject(new StoreUnavailable("its sender has left before it was taken"));
    }
  }

  /** In the turn in which nothing holds up the sender any more, so that nothing overtakes what waits. */
  #goOn(sender: string, { waiting }: Sender): void {
    this.#senders.delete(sender);
    for (const { append, id } of waiting) append().then(id.resolve, id.reject);
  }
}

async function askAgain(
  settledBefore: Promise<void>,
  append: Append,
  lost: StoreOutcomeUnknown,
): Promise<string> {
  let isOver = false;
  async function ask(): Promise<string> {
    await settledBefore;
    while (!isOver) {
      const id = await append().catch(() => undefined);
      if (id !== undefined) return id;
      await sleep(ASK_AGAIN_AFTER);
    }
    throw lost;
  }
  try {
    return await deadline(ask(), SETTLED_WITHIN);
  } catch {
    isOver = true;
    throw lost;
  }
}
