import { setImmediate } from "node:timers";
import { Batch } from "./batch.ts";
import type { Event, Notice } from "./events.ts";
import type { Member } from "./member.ts";
import { Pace } from "./pace.ts";
import type { Protocol } from "./protocol/protocol.ts";

/** What a flush costs is measured no more often, in milliseconds, because that costs two turns. */
const MEASURE_EVERY = 50;

/**
 * After so many characters the rest of a flush waits a turn, in which Deno writes them while they are in the cache, and
 * clients that are not in this room are heard.
 */
const PORTION = 512 * 1024;

/** To send a frame costs as much as so many characters more: measured. */
const FRAME = 8 * 1024;

/** So much may wait until it is sent, in characters: it is shared by all members, and far more than any pause brings. */
const MOST_WAITING = 64 * 1024 * 1024;

/**
 * The members of a room who speak one protocol. Everything that happens in one turn reaches them together. Where their
 * protocol can join frames, it is one frame, the same for all, because most of what a delivery costs is the write. It
 * waits a moment then for what its room expects to happen next. A room that is so busy that sending is the load itself
 * gets pauses, in which more can be joined: see {@linkcode Pace}.
 */
export class Audience {
  readonly #protocol: Protocol;
  readonly #pace: Pace;
  readonly #isMoreExpected: () => boolean;
  readonly #members = new Set<Member>();
  /** What has happened and was not sent yet. */
  #batch: Batch;
  /** How many messages are among it. */
  #messages = 0;
  /** How many characters. */
  #waiting = 0;
  /** Ends a pause, or the wait for what the room expects. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isPaused = false;
  #isWaiting = false;
  /** Whether a flush is under way, from one portion to the next. */
  #isSending = false;
  #measuredAt = 0;

  /**
   * @param protocol how they speak
   * @param maxFlushMs the longest that something may wait to be joined, in milliseconds
   * @param isMoreExpected whether more will happen soon, or {@linkcode Audience.expectNothing} be called
   */
  constructor(protocol: Protocol, maxFlushMs: number, isMoreExpected: () => boolean) {
    this.#protocol = protocol;
    this.#batch = new Batch(protocol);
    this.#pace = new Pace(maxFlushMs);
    this.#isMoreExpected = isMoreExpected;
  }

  /** Whether so much happens that it cannot all be sent. */
  get isBehind(): boolean {
    return this.#waiting > MOST_WAITING;
  }

  /** Takes someone in, who hears what happens from here on. */
  add(member: Member): void {
    this.#members.add(member);
    this.#batch.welcome(member);
  }

  /** Takes someone out. */
  delete(member: Member): void {
    this.#members.delete(member);
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
    this.#batch.add(frame, except);
    this.#waiting += frame.length;
    if (event.type === "message") this.#messages++;
    if (this.#batch.size === 1) this.#begin();
    else this.#endPauseIfComplete();
  }

  /** What was expected has come, or never will. */
  expectNothing(): void {
    if (this.#isWaiting) this.#flush();
    else this.#endPauseIfComplete();
  }

  /** Something has happened that is to be sent, at the end of this turn or later, and not before a flush is over. */
  #begin(): void {
    if (this.#isSending) return;
    if (!this.#protocol.joins) return this.#flushSoon();
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

  /** With what else happens in this turn. */
  #flushSoon(): void {
    const batch = this.#batch;
    queueMicrotask(() => {
      if (this.#batch === batch) this.#flush();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    const start = performance.now();
    this.#pace.note(start, this.#batch.size, this.#messages, this.#isPaused);
    this.#isPaused = false;
    const portions = this.#sendPortions(this.#batch);
    this.#batch = new Batch(this.#protocol);
    this.#messages = 0;
    this.#waiting = 0;
    this.#goOn(portions, start, this.#members.size);
  }

  /** Sends a batch to everyone who is here now; yields after each portion. */
  *#sendPortions(batch: Batch): Iterator<void> {
    let length = 0;
    for (const member of [...this.#members]) {
      if (length > PORTION) {
        yield;
        length = 0;
      }
      // Who has left meanwhile hears nothing more.
      if (!this.#members.has(member)) continue;
      for (const frame of batch.of(member)) {
        member.hear(frame);
        length += frame.length + FRAME;
      }
    }
  }

  #goOn(portions: Iterator<void>, start: number, members: number): void {
    // An exception ends it too.
    this.#isSending = false;
    this.#isSending = !portions.next().done;
    if (this.#isSending) {
      setImmediate(() => this.#goOn(portions, start, members));
      return;
    }
    if (members > 0 && start - this.#measuredAt > MEASURE_EVERY) this.#measure(start, members);
    if (this.#batch.size > 0) this.#begin();
  }

  #measure(start: number, members: number): void {
    this.#measuredAt = start;
    // What was sent in a turn is written before the next one is over.
    setImmediate(() => setImmediate(() => this.#pace.noteCost(performance.now() - start, members)));
  }
}
