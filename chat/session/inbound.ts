import { MAX_EXCESS_MS, type SessionBudget } from "../limits/session_budget.ts";
import { jsonByteLength } from "../protocol/utf8.ts";

/** How much is read at once. Then the server has its turn for everything else. */
const LINES_PER_TURN = 32;
const CHARS_PER_TURN = 64 * 1024;

/** A longer frame is not read at once, unless nobody else has the turn. */
const MAX_SHORT_CHARS = 4 * 1024;

/** Those that have more lines to read. In each turn of the event loop, one of them does. */
const turns: (() => void)[] = [];
let isTurnTaken = false;

/** So long after a wait, the next one counts as the first. */
const QUIET_MS = 5_000;

/** What a frame that waits takes beside its text. */
const FRAME_OVERHEAD_BYTES = 100;

/** The most frames that may wait: what each of them costs is mostly time. */
export const MAX_QUEUED_FRAMES = 512;

/** Such characters take six bytes each as JSON, which is what everyone else gets. */
// deno-lint-ignore no-control-regex -- they are what it looks for
const CONTROL = /[\0-\x1f]/;

/** What a session does with what it has received. */
export interface InboundHandler {
  /** Handles a line, which is the last one of its frame or not. */
  onLine(line: string, isLast: boolean): void;
  /** Is told that the next line waits for the budget, for the first time in a while or again. */
  onWait(isFirst: boolean): void;
  /** Is told that lines have waited for too long. Must close the session. */
  onExcess(): void;
}

/**
 * Reads a client's frames line by line and in order, as fast as its budget allows. What has to wait
 * stays in a queue. If nothing waits, a short frame of one line is read at once. All others are
 * read in turns that all clients share, so that they delay nobody, however many there are.
 */
export class Inbound {
  readonly #budget: SessionBudget;
  readonly #hasLines: boolean;
  readonly #handler: InboundHandler;
  #isStarted = false;
  #queue: string[] = [];
  /** Where in the first frame of the queue the next line begins. */
  #position = 0;
  #queuedBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Since when the queue has not been empty because of the budget. */
  #waitsSinceMs: number | undefined;
  #lastWaitMs = -Infinity;

  /**
   * @param budget what the client may send
   * @param hasLines whether a frame has lines, or is one, whatever it contains
   * @param handler what to do with them
   */
  constructor(budget: SessionBudget, hasLines: boolean, handler: InboundHandler) {
    this.#budget = budget;
    this.#hasLines = hasLines;
    this.#handler = handler;
  }

  /** What waits, roughly in bytes. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** How many frames wait. */
  get queuedFrames(): number {
    return this.#queue.length;
  }

  /** Reads a frame now or later. */
  receive(frame: string): void {
    const isIdle = this.#isStarted && this.#queue.length === 0;
    const isShort = frame.length <= MAX_SHORT_CHARS &&
      (!this.#hasLines || !frame.includes("\n"));
    if (isIdle && isShort && this.#budget.takeLine(this.#costOf(frame)) === 0) {
      return this.#handler.onLine(frame, true);
    }
    this.#queue.push(frame);
    this.#queuedBytes += frame.length + FRAME_OVERHEAD_BYTES;
    if (isIdle) takeTurn(() => this.#read());
  }

  /** Starts to read. */
  start(): void {
    this.#isStarted = true;
    this.#read();
  }

  /** Reads nothing from here on, and forgets what waits. */
  close(): void {
    clearTimeout(this.#timer);
    this.#isStarted = false;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** What a line takes of the budget of bytes. */
  #costOf(line: string): number {
    const isRaw = !this.#hasLines && CONTROL.test(line);
    return 1 + (isRaw ? jsonByteLength(line) : line.length);
  }

  #read(): void {
    let chars = 0;
    for (let lines = 0; lines < LINES_PER_TURN && chars < CHARS_PER_TURN; lines++) {
      if (this.#queue.length === 0) break;
      const [frame] = this.#queue;
      const lineBreak = this.#hasLines ? frame.indexOf("\n", this.#position) : -1;
      const isLast = lineBreak === -1;
      const line = frame.slice(this.#position, isLast ? undefined : lineBreak);
      const waitMs = this.#budget.takeLine(this.#costOf(line));
      if (waitMs > 0) return this.#wait(waitMs);
      chars += line.length;
      this.#queuedBytes -= isLast ? line.length + FRAME_OVERHEAD_BYTES : line.length + 1;
      this.#position = isLast ? 0 : lineBreak + 1;
      if (isLast) this.#queue.shift();
      this.#handler.onLine(line, isLast);
    }
    if (this.#queue.length > 0) takeTurn(() => this.#read());
    else this.#waitsSinceMs = undefined;
  }

  #wait(waitMs: number): void {
    const now = this.#budget.nowMs;
    this.#waitsSinceMs ??= now;
    const leftMs = this.#waitsSinceMs + MAX_EXCESS_MS - now;
    if (leftMs <= 0) return this.#handler.onExcess();
    this.#timer = setTimeout(() => this.#read(), Math.min(waitMs, leftMs));
    this.#handler.onWait(now - this.#lastWaitMs > QUIET_MS);
    this.#lastWaitMs = now;
  }
}

/** Calls a function at once, or in the next turn that is free. */
function takeTurn(read: () => void): void {
  if (isTurnTaken) return void turns.push(read);
  isTurnTaken = true;
  setImmediate(endTurn);
  read();
}

function endTurn(): void {
  isTurnTaken = false;
  const next = turns.shift();
  if (next) takeTurn(next);
}
