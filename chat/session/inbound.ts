import { MAX_EXCESS_MS, type SessionBudget } from "../limits/session_budget.ts";
import { jsonByteLength } from "../protocol/utf8.ts";

/** How long lines that have waited are read in a turn of the event loop, for all clients. */
const MAX_TURN_MS = 2;

/** How much is read for one client before the next one that waits. */
const LINES_PER_PORTION = 32;
const CHARS_PER_PORTION = 64 * 1024;

/**
 * While more bytes of messages than this are on their way to the store, lines wait. All messages
 * take the same way, so a later one comes after all of these, whoever sends it.
 */
const MAX_IN_FLIGHT_BYTES = 128 * 1024;

/** A longer frame is not read at once, unless nobody else waits. */
const MAX_SHORT_CHARS = 4 * 1024;

/** Those who have more lines to read, in the order in which they do. */
const waiting: (() => void)[] = [];
let isTurnScheduled = false;
/** Counts the turns in which lines were read. */
let turn = 0;
/** When the first line of this turn was read; `undefined` if none was. */
let turnStartedMs: number | undefined;
let isTurnOver = false;
let inFlightBytes = 0;

/** So long after a wait, the next one counts as the first. */
const QUIET_MS = 5_000;

/** How long the messages of a client that has gone may wait for the store. */
const FINISH_TIMEOUT_MS = 5_000;

/** What a frame that waits takes beside its text. */
const FRAME_OVERHEAD_BYTES = 100;

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
  /** The last turn in which a frame was read at once. */
  #lastTurn = -1;
  /** The bytes of this client's messages that are on their way to the store. */
  #inFlightBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Since when the queue has not been empty because of the budget. */
  #waitsSinceMs: number | undefined;
  #lastWaitMs = -Infinity;
  /** Called by {@linkcode Inbound.close}, if the client has gone. */
  #onFinished: (() => void) | undefined;

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

  /** Reads a frame now or later. */
  receive(frame: string): void {
    const isIdle = this.#isStarted && this.#queue.length === 0;
    if (isIdle && this.#isReadAtOnce(frame) && this.#budget.takeLine(this.#costOf(frame)) === 0) {
      spendTurn(this.#budget.nowMs);
      this.#lastTurn = turn;
      return this.#handler.onLine(frame, true);
    }
    this.#queue.push(frame);
    this.#budget.addWaiting(1, frame.length + FRAME_OVERHEAD_BYTES);
    if (isIdle) this.#read();
  }

  /** Starts to read. */
  start(): void {
    this.#isStarted = true;
    this.#read();
  }

  /**
   * Notes that bytes of a message are on their way to the store, or, if negative, that the store
   * has replied.
   */
  addInFlight(bytes: number): void {
    this.#inFlightBytes += bytes;
    inFlightBytes += bytes;
    if (waiting.length > 0 && canRead()) scheduleTurn();
  }

  /**
   * Reads what a client sent before it went, as far as that has to wait for the store alone, for at
   * most {@linkcode FINISH_TIMEOUT_MS}, and closes then.
   *
   * @param onFinished called then, or when something else closes before
   */
  finish(onFinished: () => void): void {
    this.#onFinished = onFinished;
    if (!this.#isStarted || this.#queue.length === 0 || this.#timer !== undefined) {
      return this.close();
    }
    this.#timer = setTimeout(() => this.close(), FINISH_TIMEOUT_MS);
  }

  /** Reads nothing from here on, and forgets what waits. */
  close(): void {
    clearTimeout(this.#timer);
    this.#isStarted = false;
    this.#queue = [];
    this.#budget.clearWaiting();
    const onFinished = this.#onFinished;
    this.#onFinished = undefined;
    onFinished?.();
  }

  /** What a line takes of the budget of bytes. */
  #costOf(line: string): number {
    const isRaw = !this.#hasLines && CONTROL.test(line);
    return 1 + (isRaw ? jsonByteLength(line) : line.length);
  }

  #isReadAtOnce(frame: string): boolean {
    if (frame.length > MAX_SHORT_CHARS || this.#hasLines && frame.includes("\n")) return false;
    // Deno can read very many frames of a client in one turn.
    if (isTurnOver && this.#lastTurn === turn && this.#budget.hasLineLimit) return false;
    return this.#inFlightBytes === 0 || inFlightBytes <= MAX_IN_FLIGHT_BYTES;
  }

  #read(): void {
    let lines = 0, chars = 0;
    while (this.#queue.length > 0) {
      if (!canRead() || lines === LINES_PER_PORTION || chars >= CHARS_PER_PORTION) {
        return void waiting.push(this.#readLater);
      }
      const [frame] = this.#queue;
      const lineBreak = this.#hasLines ? frame.indexOf("\n", this.#position) : -1;
      const isLast = lineBreak === -1;
      const line = frame.slice(this.#position, isLast ? undefined : lineBreak);
      const waitMs = this.#budget.takeLine(this.#costOf(line));
      if (waitMs > 0) return this.#wait(waitMs);
      spendTurn(this.#budget.nowMs);
      lines++;
      chars += line.length;
      if (isLast) this.#budget.addWaiting(-1, -line.length - FRAME_OVERHEAD_BYTES);
      else this.#budget.addWaiting(0, -line.length - 1);
      this.#position = isLast ? 0 : lineBreak + 1;
      if (isLast) this.#queue.shift();
      this.#handler.onLine(line, isLast);
    }
    this.#waitsSinceMs = undefined;
    if (this.#onFinished) this.close();
  }

  readonly #readLater = (): void => this.#read();

  #wait(waitMs: number): void {
    if (this.#onFinished) return this.close();
    const now = this.#budget.nowMs;
    this.#waitsSinceMs ??= now;
    const leftMs = this.#waitsSinceMs + MAX_EXCESS_MS - now;
    if (leftMs <= 0) return this.#handler.onExcess();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#read();
    }, Math.min(waitMs, leftMs));
    this.#handler.onWait(now - this.#lastWaitMs > QUIET_MS);
    this.#lastWaitMs = now;
  }
}

function canRead(): boolean {
  return !isTurnOver && inFlightBytes <= MAX_IN_FLIGHT_BYTES;
}

/** Notes that a line is read, and when. */
function spendTurn(nowMs: number): void {
  if (turnStartedMs === undefined) {
    turnStartedMs = nowMs;
    scheduleTurn();
  } else if (nowMs - turnStartedMs > MAX_TURN_MS) isTurnOver = true;
}

function scheduleTurn(): void {
  if (isTurnScheduled) return;
  isTurnScheduled = true;
  setImmediate(beginTurn);
}

function beginTurn(): void {
  turn++;
  isTurnOver = false;
  turnStartedMs = undefined;
  isTurnScheduled = waiting.length > 0;
  // While a callback of `setImmediate` is always due, Deno looks at the sockets in one of 61 turns.
  if (isTurnScheduled) setTimeout(beginTurn, 0);
  while (waiting.length > 0 && canRead()) waiting.shift()!();
}
