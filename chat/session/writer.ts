import { CLOSE, type CloseReason } from "../protocol/close_codes.ts";
import type { Ack, Encoding, Reply } from "../protocol/protocol.ts";
import { byteLength } from "../protocol/utf8.ts";

/** Of `maxBufferedBytes`, this share may wait at the socket. The rest is for the outbound queue. */
const SOCKET_SHARE = 1 / 2;

/** The memory that Deno needs for a frame that waits at the socket, beside its text: measured. */
const FRAME_OVERHEAD_BYTES = 900;

/**
 * The writer checks for backpressure after this many characters: a check costs more than a send.
 */
const BACKPRESSURE_CHECK_CHARS = 64 * 1024;

/** How often a backpressured writer checks whether the client has read more. */
const DRAIN_CHECK_INTERVAL_MS = 10;

/** The most replies that are held back to be sent together. */
const MAX_HELD_REPLIES = 1_000;

/** How many checks there are in `maxStallSeconds`: see {@linkcode Writer.checkStall}. */
export const STALL_CHECKS = 10;

/** Where a writer sends: a WebSocket, or something like it. */
export interface Outlet {
  /** How many bytes wait for the client. */
  readonly bufferedAmount: number;
  /** Sends a frame. */
  send(frame: string): void;
  /** Closes the connection: see {@linkcode CloseReason}. */
  close(code: number, reason: string): void;
}

/** How much was sent up to a moment. */
interface SentCount {
  chars: number;
  frames: number;
}

/** What is known of a client that has not read everything. */
interface Backlog {
  /** How many bytes were sent since the backlog was noticed. */
  sentBytes: number;
  /** The same at the latest checks, the newest first. */
  readonly sentBytesAtChecks: number[];
}

/**
 * Sends everything that one client receives, and bounds what waits for it.
 *
 * The policy for clients that read slowly:
 *
 * 1. While at most half of `maxBufferedBytes` waits at the socket, every frame is sent at once.
 * 2. Above that the client is *backpressured*: the room's events wait in the outbound queue, where
 *   all clients share their text, until it has read more. Replies are still sent.
 * 3. If the queue and the socket together exceed `maxBufferedBytes`, the writer closes with 4408.
 * 4. A client that has not read all that was sent `maxStallSeconds` ago is *stalled*, however
 *   little is left, and the writer closes with 4408.
 *
 * While a session replays messages, new events wait in the same queue.
 */
export class Writer {
  readonly #socket: Outlet;
  readonly #protocol: Encoding;
  readonly #maxBufferedBytes: number;
  readonly #onOverflow: (reason: CloseReason) => void;
  /** The room's events, while they cannot be sent; `undefined` if they are sent at once. */
  #outboundQueue: string[] | undefined;
  #queuedChars = 0;
  /** Replies that wait to be sent together, or in one frame with the next events. */
  #replies: string[] = [];
  #holdsReplies = false;
  /**
   * How much was sent in all, and at the earlier checks whose frames may still be at the socket.
   */
  readonly #sent: SentCount = { chars: 0, frames: 0 };
  readonly #sentAtChecks: SentCount[] = [{ chars: 0, frames: 0 }];
  #uncheckedChars = 0;
  #backlog: Backlog | undefined;
  #isClosed = false;

  /**
   * @param socket where to send
   * @param protocol how to encode
   * @param maxBufferedBytes the most bytes that may wait for the client
   * @param onOverflow called with the reason when the client is too slow; must close the session
   */
  constructor(
    socket: Outlet,
    protocol: Encoding,
    maxBufferedBytes: number,
    onOverflow: (reason: CloseReason) => void,
  ) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#onOverflow = onOverflow;
  }

  /** Sends a frame of the room's events, or queues it. */
  deliver(frame: string): void {
    if (!this.#outboundQueue) return this.#sendAfterReplies(frame);
    if (this.#isClosed) return;
    this.#outboundQueue.push(frame);
    this.#queuedChars += frame.length;
    if (this.#queuedChars + this.#socket.bufferedAmount > this.#maxBufferedBytes) {
      this.#onOverflow(CLOSE.tooSlow);
    }
  }

  /** Sends a reply, which overtakes the outbound queue. */
  reply(reply: Reply): void {
    const frame = this.#protocol.encodeReply(reply);
    if (frame === undefined) return;
    if (!this.#holdsReplies) return this.#sendAfterReplies(frame);
    this.#replies.push(frame);
    if (this.#replies.length === MAX_HELD_REPLIES) this.#flushReplies();
  }

  /** Collects replies until {@linkcode Writer.releaseReplies}, to send them together. */
  holdReplies(): void {
    this.#holdsReplies = true;
  }

  /** Sends the replies that were held back. */
  releaseReplies(): void {
    if (!this.#holdsReplies) return;
    this.#holdsReplies = false;
    this.#flushReplies();
  }

  /**
   * Sends an ack at the end of the turn, together with others.
   *
   * @param canWait whether the next event is certain to come soon. If every client
   * publishes, half of all frames would be acks: with 100 clients and 64 messages in flight, acks
   * that share a frame with events save 18 % of the CPU per delivery.
   */
  acknowledge(ack: Ack, canWait: boolean): void {
    const frame = this.#protocol.encodeReply(ack);
    if (frame === undefined || this.#isClosed) return;
    this.#replies.push(frame);
    if (this.#outboundQueue || !canWait) queueMicrotask(() => this.#flushReplies());
  }

  /** Queues the room's events from here on, until {@linkcode Writer.drainQueue} has sent them. */
  startQueue(): void {
    this.#outboundQueue ??= [];
  }

  /** Sends frames no faster than the client reads them. */
  async sendPaced(frames: string[]): Promise<void> {
    for (const frame of this.#protocol.batch(frames)) {
      await this.#untilDrained();
      this.#send(frame);
    }
  }

  /** Sends the outbound queue no faster than the client reads it, and then stops queueing. */
  async drainQueue(): Promise<void> {
    do {
      await this.#untilDrained();
      await this.sendPaced(this.#takeQueued());
    } while (this.#outboundQueue!.length > 0);
    if (!this.#isClosed) this.#outboundQueue = undefined;
  }

  /**
   * Closes if the client has not read all that was sent {@linkcode STALL_CHECKS} checks ago. The
   * pings of Deno do not detect this: they wait behind the write that is stuck.
   */
  checkStall(): void {
    if (this.#isClosed) return;
    const waitingBytes = this.#socket.bufferedAmount;
    if (waitingBytes === 0) {
      this.#backlog = undefined;
      return;
    }
    const { sentBytes, sentBytesAtChecks } = this.#backlog ??= {
      sentBytes: 0,
      sentBytesAtChecks: [],
    };
    const hasAllChecks = sentBytesAtChecks.length === STALL_CHECKS;
    if (hasAllChecks && waitingBytes > sentBytes - sentBytesAtChecks.pop()!) {
      return this.#onOverflow(CLOSE.tooSlow);
    }
    sentBytesAtChecks.unshift(sentBytes);
  }

  /** Sends the replies that wait and nothing else from here on, then closes the connection. */
  close({ code, reason }: CloseReason): void {
    this.#flushReplies();
    this.discard();
    this.#socket.close(code, reason);
  }

  /** Sends nothing from here on. */
  discard(): void {
    this.#isClosed = true;
    this.#outboundQueue = [];
  }

  #flushReplies(): void {
    if (this.#replies.length === 0) return;
    const replies = this.#replies;
    this.#replies = [];
    for (const frame of this.#protocol.batch(replies)) this.#send(frame);
  }

  #sendAfterReplies(frame: string): void {
    if (this.#replies.length === 0) return this.#send(frame);
    this.#replies.push(frame);
    this.#flushReplies();
  }

  #send(frame: string): void {
    if (this.#isClosed) return;
    this.#socket.send(frame);
    if (this.#backlog) this.#backlog.sentBytes += byteLength(frame);
    this.#sent.chars += frame.length;
    this.#sent.frames++;
    this.#uncheckedChars += frame.length + FRAME_OVERHEAD_BYTES;
    if (this.#uncheckedChars < BACKPRESSURE_CHECK_CHARS) return;
    this.#uncheckedChars = 0;
    this.#sentAtChecks.push({ ...this.#sent });
    // Deno writes nothing of what was sent in this turn before the next one.
    if (this.#isBackpressured()) setTimeout(() => this.#checkBackpressure(), 0);
  }

  #isBackpressured(): boolean {
    return this.#bytesAtSocket() > SOCKET_SHARE * this.#maxBufferedBytes;
  }

  /** Estimates how many bytes of memory the frames take that wait at the socket. */
  #bytesAtSocket(): number {
    const waitingBytes = this.#socket.bufferedAmount;
    if (waitingBytes === 0) return 0;
    const checks = this.#sentAtChecks;
    while (checks.length > 1 && checks[1].chars <= this.#sent.chars - waitingBytes) checks.shift();
    return waitingBytes + FRAME_OVERHEAD_BYTES * (this.#sent.frames - checks[0].frames);
  }

  #checkBackpressure(): void {
    if (this.#isClosed || !this.#isBackpressured()) return;
    const isQueueing = this.#outboundQueue !== undefined;
    // The frames of one turn may be too many for a moment, as long as no more follow.
    const waitingBytes = isQueueing ? this.#bytesAtSocket() : this.#socket.bufferedAmount;
    if (waitingBytes > this.#maxBufferedBytes) return this.#onOverflow(CLOSE.tooSlow);
    if (isQueueing) return;
    this.#flushReplies();
    this.startQueue();
    this.drainQueue();
  }

  /** Takes as many events from the outbound queue as fill one long frame. */
  #takeQueued(): string[] {
    const queue = this.#outboundQueue!;
    let count = 0, chars = 0;
    while (count < queue.length && chars < BACKPRESSURE_CHECK_CHARS) chars += queue[count++].length;
    this.#queuedChars -= chars;
    return queue.splice(0, count);
  }

  async #untilDrained(): Promise<void> {
    while (!this.#isClosed && this.#isBackpressured()) await nextDrainCheck();
  }
}

let drainCheck: Promise<void> | undefined;

/** Resolves at the next drain check: one timer serves all backpressured writers. */
function nextDrainCheck(): Promise<void> {
  return drainCheck ??= new Promise((resolve) =>
    setTimeout(() => {
      drainCheck = undefined;
      resolve();
    }, DRAIN_CHECK_INTERVAL_MS)
  );
}
