import { MAX_EXCESS_MS, type SessionBudget } from "../limits/session_budget.ts";
import { jsonByteLength } from "../protocol/utf8.ts";

/** How long lines are read in a turn of the event loop, for all clients together. */
const MAX_TURN_MS = 2;

/**
 * No more lines are read while more bytes of messages than this are on their way to the store: all
 * later ones, whoever sends them, come after these.
 */
const MAX_IN_FLIGHT_BYTES = 128 * 1024;

/** How much is read for one client before the next one that waits. */
const LINES_PER_PORTION = 32;
const CHARS_PER_PORTION = 64 * 1024;

/** A client's first frame in a turn is read in any case, unless it is longer. */
const MAX_SHORT_CHARS = 4 * 1024;

/** Counts the turns of the event loop in which lines are read. */
let turn = 0;
let isTurnScheduled = false;
/** When the first line of this turn was read; `undefined` if none was. */
let turnStartedMs: number | undefined;
/** Whether lines have been read for long enough in this turn. */
let isTurnOver = false;
let inFlightBytes = 0;
/** Those who have more to read, in the order in which they do. */
const waiting: (() => void)[] = [];

/** So long after a wait, the next one counts as the first. */
const QUIET_MS = 5_000;

/** What a frame that waits counts beside its text: what a short one costs is mostly time. */
const FRAME_OVERHEAD_BYTES = 2 * 1024;

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
 * stays in a queue. In each turn of the event loop, a short frame of one line from each client is
 * read at once. For all others, all clients share a time: those who send much delay nobody.
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
  #turn = -1;
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

  /** Reads a frame now or later. */
  receive(frame: string): void {
    const isIdle = this.#isStarted && this.#queue.length === 0;
    if (isIdle && this.#isReadAtOnce(frame) && this.#budget.takeLine(this.#costOf(frame)) === 0) {
      this.#turn = turn;
      spendTurn(this.#budget.nowMs);
      return this.#handler.onLine(frame, true);
    }
    this.#queue.push(frame);
    this.#budget.addWaiting(frame.length + FRAME_OVERHEAD_BYTES);
    if (isIdle) this.#read();
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
    this.#budget.addWaiting(-this.#budget.waitingBytes);
  }

  /** What a line takes of the budget of bytes. */
  #costOf(line: string): number {
    const isRaw = !this.#hasLines && CONTROL.test(line);
    return 1 + (isRaw ? jsonByteLength(line) : line.length);
  }

  #isReadAtOnce(frame: string): boolean {
    if (frame.length > MAX_SHORT_CHARS || this.#hasLines && frame.includes("\n")) return false;
    return canRead() || this.#turn !== turn;
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
      this.#budget.addWaiting(-line.length - (isLast ? FRAME_OVERHEAD_BYTES : 1));
      this.#position = isLast ? 0 : lineBreak + 1;
      if (isLast) this.#queue.shift();
      this.#handler.onLine(line, isLast);
    }
    this.#waitsSinceMs = undefined;
  }

  readonly #readLater = (): void => this.#read();

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

/**
 * Notes that bytes of a message are on their way to the store, or, if negative, that the store has
 * replied.
 */
export function addInFlight(bytes: number): void {
  inFlightBytes += bytes;
  if (waiting.length > 0 && canRead()) scheduleTurn();
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
  isTurnScheduled = isTurnOver = false;
  turnStartedMs = undefined;
  while (waiting.length > 0 && canRead()) waiting.shift()!();
}
