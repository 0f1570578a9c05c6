import { setImmediate } from "node:timers";
import type { Event, Notice } from "./events.ts";
import type { Member } from "./member.ts";
import { Pace } from "./pace.ts";
import type { Protocol } from "./protocol/protocol.ts";

/** What a flush costs is measured no more often, in milliseconds, because that costs two turns. */
const MEASURE_EVERY = 50;

/** After so many characters the rest of a flush waits a turn, in which Deno writes them while they are in the cache. */
const PORTION = 512 * 1024;

/**
 * The members of a room who speak one protocol. Where it can join frames, everything that happens in one turn reaches
 * each of them as one frame, the same for all, because most of what a delivery costs is the write. A frame waits a moment
 * for what its room expects to happen next. A room that is so busy that sending is the load itself gets pauses, in which
 * more can be joined: see {@linkcode Pace}.
 */
export class Audience {
  readonly #protocol: Protocol;
  readonly #pace: Pace;
  readonly #isMoreExpected: () => boolean;
  readonly #members = new Set<Member>();
  /** What has happened and was not sent yet. */
  #frames: string[] = [];
  /** How many messages are among it. */
  #messages = 0;
  /** Who came since then, and how much had happened before. */
  #newcomers = new Map<Member, number>();
  /** Ends a pause, or the wait for what the room expects. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isPaused = false;
  #isWaiting = false;
  /** The flush that is under way, from one portion to the next. */
  #sending: Iterator<void> | undefined;
  /** Whether the next flush is due already. */
  #isLate = false;
  #measuredAt = 0;

  /**
   * @param protocol how they speak
   * @param maxFlushMs the longest that something may wait to be joined, in milliseconds
   * @param isMoreExpected whether more will happen soon, or {@linkcode Audience.expectNothing} be called
   */
  constructor(protocol: Protocol, maxFlushMs: number, isMoreExpected: () => boolean) {
    this.#protocol = protocol;
    this.#pace = new Pace(maxFlushMs);
    this.#isMoreExpected = isMoreExpected;
  }

  /** Takes someone in, who hears what happens from here on. */
  add(member: Member): void {
    this.#members.add(member);
    if (this.#frames.length > 0) this.#newcomers.set(member, this.#frames.length);
  }

  /** Takes someone out. */
  delete(member: Member): void {
    this.#members.delete(member);
    this.#newcomers.delete(member);
  }

  /**
   * Tells everyone of an event.
   *
   * @param event what has happened
   * @param line the same as one line of JSON
   * @param except who is not told, if there is someone
   */
  tell(event: Event | Notice, line: string, except?: Member): void {
    if (this.#members.size === 0) return;
    const frame = this.#protocol.event(event, line);
    if (!this.#protocol.joins) return this.#send(frame, except);
    if (except) {
      this.#flush();
      this.#finish();
      return this.#send(frame, except);
    }
    if (event.type === "message") this.#messages++;
    if (this.#frames.push(frame) === 1) this.#begin();
    else this.#endPauseIfComplete();
  }

  /** What was expected has come, or never will. */
  expectNothing(): void {
    if (this.#isWaiting) this.#flush();
    else this.#endPauseIfComplete();
  }

  /** Something has happened that is to be sent, at the end of this turn or later. */
  #begin(): void {
    const pause = this.#pace.pause(this.#members.size);
    this.#isPaused = pause > 0;
    if (!this.#isPaused) return this.#waitForExpected(0);
    this.#timer = setTimeout(() => this.#waitForExpected(pause), pause);
    this.#endPauseIfComplete();
  }

  #waitForExpected(waited: number): void {
    const patience = this.#pace.patience(this.#members.size) - waited;
    if (patience <= 0 || !this.#isMoreExpected()) return this.#flushSoon();
    this.#isWaiting = true;
    this.#timer = setTimeout(() => this.#flush(), patience);
  }

  #endPauseIfComplete(): void {
    if (!this.#isPaused || this.#isMoreExpected()) return;
    if (this.#pace.isComplete(this.#messages)) this.#flushSoon();
  }

  #send(frame: string, except?: Member): void {
    for (const member of this.#members) {
      if (member !== except) member.hear(frame);
    }
  }

  /** With what else happens in this turn. */
  #flushSoon(): void {
    const frames = this.#frames;
    queueMicrotask(() => {
      if (this.#frames === frames) this.#flush();
    });
  }

  #flush(): void {
    if (this.#frames.length === 0) return;
    this.#isLate = this.#sending !== undefined;
    if (this.#isLate) return;
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    const start = performance.now();
    this.#pace.note(start, this.#frames.length, this.#messages, this.#isPaused);
    this.#isPaused = false;
    const sending = this.#sending = this.#sendJoined(this.#frames, this.#newcomers);
    this.#frames = [];
    this.#messages = 0;
    this.#newcomers = new Map();
    this.#goOn(sending, start, this.#members.size);
  }

  /** Sends frames to everyone who is here now; yields after each portion. */
  *#sendJoined(frames: string[], newcomers: Map<Member, number>): Iterator<void> {
    const joined = this.#protocol.join(frames);
    let length = 0;
    for (const member of [...this.#members]) {
      if (length > PORTION) {
        yield;
        length = 0;
      }
      // Who has left meanwhile hears nothing more.
      if (!this.#members.has(member)) continue;
      const before = newcomers.get(member);
      const own = before === undefined ? joined : this.#protocol.join(frames.slice(before));
      for (const frame of own) {
        member.hear(frame);
        length += frame.length;
      }
    }
  }

  #goOn(sending: Iterator<void>, start: number, members: number): void {
    if (this.#sending !== sending) return;
    if (!this.#sendPortion(sending)) {
      setImmediate(() => this.#goOn(sending, start, members));
      return;
    }
    if (members > 0 && start - this.#measuredAt > MEASURE_EVERY) this.#measure(start, members);
    if (this.#isLate) this.#flush();
  }

  /** Says whether it was the last one. */
  #sendPortion(sending: Iterator<void>): boolean {
    let isLast = true;
    try {
      isLast = sending.next().done === true;
    } finally {
      if (isLast) this.#sending = undefined;
    }
    return isLast;
  }

  /** Ends at once the flush that is under way, and with it the one that is due. */
  #finish(): void {
    while (this.#sending) {
      if (this.#sendPortion(this.#sending) && this.#isLate) this.#flush();
    }
  }

  #measure(start: number, members: number): void {
    this.#measuredAt = start;
    // What was sent in a turn is written before the next one is over.
    setImmediate(() => setImmediate(() => this.#pace.noteCost(performance.now() - start, members)));
  }
}
