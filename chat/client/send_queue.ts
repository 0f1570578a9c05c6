/**
 * The messages of a client that the server has not acknowledged yet. The queue keeps them in order,
 * limits how much is in flight, retries, and rejects. It knows nothing of sockets.
 *
 * @module
 */
import type { ErrorCode, ErrorReply } from "../protocol/errors.ts";
import type { Ack, Welcome } from "../protocol/protocol.ts";
import { TokenBucket } from "../protocol/token_bucket.ts";
import { byteLength, jsonByteLength } from "../protocol/utf8.ts";
import { ChatError, type ChatErrorCode } from "./chat_error.ts";
import { makeRandomId } from "./name_secret.ts";

/** What the server accepts, from its `welcome`. */
export type SendLimits = Pick<
  Welcome,
  | "maxMessageBytes"
  | "maxInFlightBytes"
  | "features"
  | "messagesPerSecond"
  | "messagesBurst"
  | "bytesPerSecond"
  | "bytesBurst"
>;

/** The limits of servers from before 0.2, which do not state them. */
const DEFAULT_LIMITS: SendLimits = {
  maxMessageBytes: 65_536,
  maxInFlightBytes: 1_048_576,
  features: [],
};

/** The most messages in flight, however short they are. */
const MAX_IN_FLIGHT = 64;

/**
 * The server adds this to the size of each message that it has not answered yet. It is more than a
 * line break and the field `after` take.
 */
const OVERHEAD_BYTES = 100;

/** The time between an error reply and the retry. */
const RETRY_DELAY_MS = 500;

/** How long a message may be retried. The server remembers each `ref` for five minutes. */
const RETRY_FOR_MS = 270_000;

/** How much is stored at most: the oldest messages. */
const MAX_STORED_BYTES = 262_144;

/** What is stored of each message. */
const STORED_FIELDS = ["ref", "text", "firstSentAt"];

/** After these errors a message is sent again. */
const RETRIED: readonly ErrorCode[] = ["not_delivered", "unknown", "too_many"];

const OUTCOME_UNKNOWN = "message may not have been delivered";

/** A message that the server has not acknowledged yet. */
export interface UnsentMessage {
  /** The client's name for the message, which the message will have as its `ref`. */
  readonly ref: string;
  /** The text. */
  readonly text: string;
  /** What `send` has returned: the message's id, once the server has acknowledged it. */
  readonly id: Promise<string>;
}

interface PendingSend extends UnsentMessage {
  /** The message as a line of JSON, without `after`. */
  readonly line: string;
  readonly lineBytes: number;
  readonly resolve: (id: string) => void;
  readonly reject: (error: ChatError) => void;
  /** Milliseconds since 1970. `undefined` if the server certainly does not have the message. */
  firstSentAt?: number;
  /** Whether the outcome of an earlier attempt is unknown. A refused retry does not change that. */
  isInDoubt: boolean;
}

/** The messages that are not acknowledged yet, in the order of the calls to `send`. */
export class SendQueue {
  readonly #sendLines: (lines: readonly string[]) => void;
  readonly #now: () => number;
  readonly #monotonicNow: () => number;
  /** The start of all refs of one client, which no other client's refs have. */
  readonly #refPrefix = makeRandomId().slice(0, 18);
  #lastRef = 0;
  #pending = new Map<string, PendingSend>();
  /** Stores what is not acknowledged; `undefined` before {@linkcode SendQueue.restore}. */
  #store: ((unsent: string) => void) | undefined;
  #isStorePlanned = false;
  /** Those that were sent on the current connection and are not answered yet. */
  readonly #inFlight = new Set<PendingSend>();
  /** The limits of the server that welcomed the client; `undefined` while there is none. */
  #limits: SendLimits | undefined;
  #messages = makeBucket();
  #bytes = makeBucket();
  /** Nothing is sent before it has run. */
  #pauseTimer: ReturnType<typeof setTimeout> | undefined;
  #pausedUntil = 0;

  /**
   * Creates an empty queue, which sends nothing before {@linkcode SendQueue.onWelcome}.
   *
   * @param sendLines sends lines of JSON in one frame
   * @param now the clock, in milliseconds
   * @param monotonicNow a clock that is never set, in milliseconds
   */
  constructor(
    sendLines: (lines: readonly string[]) => void,
    now: () => number = Date.now,
    monotonicNow: () => number = () => performance.now(),
  ) {
    this.#sendLines = sendLines;
    this.#now = now;
    this.#monotonicNow = monotonicNow;
  }

  /**
   * Adds a message, and sends it when the connection and the limits allow it.
   *
   * @returns the message's id, once the server has acknowledged it
   * @throws {ChatError} if the server refuses the message, or its outcome stays unknown
   */
  send(text: string): Promise<string> {
    const pending = makePending(text, `${this.#refPrefix}-${++this.#lastRef}`);
    this.#pending.set(pending.ref, pending);
    this.#planStore();
    this.#rejectIfTooLarge(pending);
    this.#flush();
    return pending.id;
  }

  /** The messages that are not acknowledged yet, in their order. */
  get unsent(): UnsentMessage[] {
    return [...this.#pending.values()];
  }

  /**
   * Puts the messages of a former queue before all others, and stores all of them from now on.
   *
   * @param stored what the former queue has stored last; anything else is ignored
   * @param store stores what is not acknowledged, after each turn in which that has changed
   * @returns the messages of the former queue
   */
  restore(stored: string, store: (unsent: string) => void): UnsentMessage[] {
    const restored = parseStored(stored);
    const entries = restored.map((pending) => [pending.ref, pending] as const);
    this.#pending = new Map([...entries, ...this.#pending]);
    this.#store = store;
    this.#planStore();
    return restored;
  }

  /** Starts to send on a new connection, whose server may omit its limits. */
  onWelcome(limits: Partial<SendLimits>): void {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#messages = makeBucket(limits.messagesPerSecond, limits.messagesBurst);
    this.#bytes = makeBucket(limits.bytesPerSecond, limits.bytesBurst);
    for (const pending of this.#pending.values()) this.#rejectIfTooLarge(pending);
    this.#flush();
  }

  /** Resolves the message that the server acknowledged. */
  onAck({ ref, id }: Pick<Ack, "ref" | "id">): void {
    const pending = this.#pending.get(ref);
    if (!pending) return;
    this.#remove(pending);
    pending.resolve(id);
    this.#flush();
  }

  /** Rejects the message that the error is about, or retries it after a pause. */
  onError({ code, message, ref, retryAfterMs }: ErrorReply): void {
    if (retryAfterMs !== undefined) this.#pause(retryAfterMs);
    const pending = ref === undefined ? undefined : this.#pending.get(ref);
    if (!pending) return;
    if (!RETRIED.includes(code)) {
      this.#reject(pending, code, message);
      return this.#flush();
    }
    this.#inFlight.delete(pending);
    if (code === "unknown") pending.isInDoubt = true;
    if (!pending.isInDoubt) pending.firstSentAt = undefined;
    this.#planStore();
    if (retryAfterMs === undefined) this.#pause(RETRY_DELAY_MS);
  }

  /** Stops sending until the next welcome. What was in flight is in doubt. */
  onConnectionLost(): void {
    this.#limits = undefined;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    for (const pending of this.#inFlight) pending.isInDoubt = true;
    this.#inFlight.clear();
  }

  /** Rejects everything: with the error's code, or with `unknown` if it is in doubt. */
  close({ code, message }: ChatError): void {
    this.onConnectionLost();
    for (const pending of this.#pending.values()) this.#reject(pending, code, message);
    // The next client may begin in this turn.
    this.#store?.("");
    this.#store = undefined;
  }

  /** Stores what is not acknowledged at the end of this turn: a burst costs as much as one. */
  #planStore(): void {
    if (!this.#store || this.#isStorePlanned) return;
    this.#isStorePlanned = true;
    queueMicrotask(() => {
      this.#isStorePlanned = false;
      let bytes = 0;
      const stored = this.unsent.filter((pending) =>
        (bytes += (pending as PendingSend).lineBytes) <= MAX_STORED_BYTES
      );
      this.#store?.(JSON.stringify(stored, STORED_FIELDS));
    });
  }

  /** Sends nothing for a time. A longer pause stands. */
  #pause(ms: number): void {
    const until = this.#monotonicNow() + ms;
    if (this.#pauseTimer !== undefined && until < this.#pausedUntil) return;
    this.#pausedUntil = until;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = undefined;
      this.#flush();
    }, ms);
  }

  /** Sends the messages that wait, in order, as far as the limits allow. */
  #flush(): void {
    if (!this.#limits || this.#pauseTimer !== undefined) return;
    const now = this.#now();
    const monotonicNow = this.#monotonicNow();
    let bytesInFlight = 0;
    for (const { lineBytes } of this.#inFlight) bytesInFlight += lineBytes + OVERHEAD_BYTES;
    const canSendAfter = this.#limits.features.includes("after");
    const lines: string[] = [];
    let after: string | undefined;
    for (const pending of this.#pending.values()) {
      if (this.#inFlight.size === MAX_IN_FLIGHT) break;
      const { ref, firstSentAt, line, lineBytes } = pending;
      if (this.#inFlight.has(pending)) {
        after = ref;
        continue;
      }
      if (firstSentAt !== undefined && now - firstSentAt > RETRY_FOR_MS) {
        this.#reject(pending, "unknown", OUTCOME_UNKNOWN);
        continue;
      }
      // A line has at least as many UTF-8 bytes as its text has UTF-16 units, and the overhead
      // covers the rest. So this sum keeps to both limits, of frames and of messages.
      bytesInFlight += lineBytes + OVERHEAD_BYTES;
      if (this.#inFlight.size > 0 && bytesInFlight > this.#limits.maxInFlightBytes) break;
      const waitMs = Math.max(
        this.#messages.msUntil(1, monotonicNow),
        this.#bytes.msUntil(lineBytes + OVERHEAD_BYTES, monotonicNow),
      );
      if (waitMs > 0) {
        this.#pause(waitMs);
        break;
      }
      this.#messages.take(1, monotonicNow);
      this.#bytes.take(lineBytes + OVERHEAD_BYTES, monotonicNow);
      this.#inFlight.add(pending);
      pending.firstSentAt ??= now;
      lines.push(
        canSendAfter && after !== undefined ? `${line.slice(0, -1)},"after":"${after}"}` : line,
      );
      after = ref;
    }
    if (lines.length === 0) return;
    this.#planStore();
    this.#sendLines(lines);
  }

  /** Rejects a message that this server would not accept even if it were the only one. */
  #rejectIfTooLarge(pending: PendingSend): void {
    if (!this.#limits) return;
    const { maxMessageBytes, maxInFlightBytes } = this.#limits;
    const { text, lineBytes } = pending;
    // The server counts a text alone as JSON, and what is in flight as UTF-16 units.
    const limits = [
      [jsonByteLength(text), maxMessageBytes],
      [Math.max(lineBytes, text.length + OVERHEAD_BYTES), maxInFlightBytes],
    ];
    for (const [bytes, limit] of limits) {
      const message = `the text is too large: at most ${limit} bytes are allowed`;
      if (bytes > limit) return this.#reject(pending, "too_large", message);
    }
  }

  #reject(pending: PendingSend, code: ChatErrorCode, message: string): void {
    this.#remove(pending);
    // Whatever is wrong with this attempt, an earlier one may have been delivered.
    const outcome = pending.isInDoubt
      ? ["unknown", OUTCOME_UNKNOWN] as const
      : [code, message] as const;
    pending.reject(new ChatError(...outcome));
  }

  #remove(pending: PendingSend): void {
    this.#pending.delete(pending.ref);
    this.#inFlight.delete(pending);
    this.#planStore();
  }
}

function makePending(text: string, ref: string, firstSentAt?: number): PendingSend {
  const { promise: id, ...settle } = Promise.withResolvers<string>();
  const line = JSON.stringify({ type: "message", text, ref });
  return {
    ...{ ref, text, id, ...settle, line, lineBytes: byteLength(line) },
    ...{ firstSentAt, isInDoubt: firstSentAt !== undefined },
  };
}

/** Reads the messages of a former queue. Nobody has to handle what becomes of them. */
function parseStored(stored: string): PendingSend[] {
  try {
    return JSON.parse(stored).map(({ text, ref, firstSentAt }: PendingSend) => {
      const pending = makePending(text, ref, firstSentAt);
      pending.id.catch(() => {});
      return pending;
    });
  } catch {
    return [];
  }
}

/**
 * Creates a bucket with half of the server's burst, because what the network has delayed may arrive
 * at once.
 */
function makeBucket(perSecond = 0, burst = 0): TokenBucket {
  return new TokenBucket(perSecond, burst / 2 / (perSecond || 1));
}
