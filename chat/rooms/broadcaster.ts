import { setImmediate } from "node:timers";
import { Batch } from "./batch.ts";
import type { Notice, RoomEvent } from "../protocol/events.ts";
import type { Member } from "./member.ts";
import { FlushScheduler } from "./flush_scheduler.ts";
import type { Protocol } from "../protocol/protocol.ts";

/** What a flush costs is measured no more often, in milliseconds, because that costs two turns. */
const MEASURE_EVERY = 50;

/**
 * After so many characters the rest of a flush waits a turn, in which Deno writes them while they are in the cache, and
 * clients that are not in this room are heard.
 */
const PORTION = 512 * 1024;

/** To send a frame costs as much as so many characters more: measured. */
const FRAME = 8 * 1024;

/** A flush that takes longer than this, in milliseconds, is so far behind that nothing more should be said. */
const LONGEST_FLUSH = 10_000;

/**
 * The members of a room who speak one protocol. Everything that happens in one turn reaches them together. Where their
 * protocol can join frames, it is one frame, the same for all, because most of what a delivery costs is the write. Such a
 * frame waits a moment for what its room expects to happen next. A room that is so busy that sending is the load itself
 * gets pauses, in which more can be joined: see {@linkcode FlushScheduler}.
 */
export class Broadcaster {
  readonly #protocol: Protocol;
  readonly #pace: FlushScheduler;
  readonly #isMoreExpected: () => boolean;
  readonly #members = new Set<Member>();
  /** What has happened and was not sent yet; only the last one is not full. */
  #batches: Batch[] = [];
  /** How many frames are in these. */
  #frames = 0;
  /** How many of them are messages. */
  #messages = 0;
  /** How many frames there were when the pause began. */
  #framesBefore = 0;
  /** Ends a pause, or the wait for what the room expects. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isPaused = false;
  #isWaiting = false;
  /** Whether a flush is under way, from one portion to the next. */
  #isSending = false;
  #sendingSince = 0;
  #measuredAt = 0;

  /**
   * @param protocol how they speak
   * @param maxFlushMs the longest that something may wait to be joined, in milliseconds
   * @param isMoreExpected whether more will happen soon, or {@linkcode Broadcaster.expectNothing} be called
   */
  constructor(protocol: Protocol, maxFlushMs: number, isMoreExpected: () => boolean) {
    this.#protocol = protocol;
    this.#pace = new FlushScheduler(maxFlushMs);
    this.#isMoreExpected = isMoreExpected;
  }

  /** Whether so much waits to be sent that nothing more should be said. */
  get isOverloaded(): boolean {
    return this.#isSending && performance.now() - this.#sendingSince > LONGEST_FLUSH;
  }

  /** Takes someone in, who hears what happens from here on. */
  add(member: Member): void {
    this.#members.add(member);
    for (const batch of this.#batches) batch.welcome(member);
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
  broadcast(event: RoomEvent | Notice, line: string, except?: Member): void {
    if (this.#members.size === 0) return;
    let batch = this.#batches.at(-1);
    if (!batch || batch.isFull) this.#batches.push(batch = new Batch(this.#protocol));
    batch.add(this.#protocol.encodeEvent(event, line), except);
    if (event.type === "message") this.#messages++;
    if (++this.#frames === 1) this.#begin();
    else this.#endPauseIfComplete();
  }

  /** Whether a member is sure to hear something in the next flush, which begins within `maxFlushMs`. */
  willTell(member: Member): boolean {
    return !this.#isSending && this.#batches.length > 0 && this.#batches[0].isWholeFor(member);
  }

  /** What was expected has come, or never will. */
  expectNothing(): void {
    if (this.#isWaiting) this.#flushSoon();
    else this.#endPauseIfComplete();
  }

  /** Decides when what has just happened is sent; while a flush is under way, its end decides. */
  #begin(): void {
    if (this.#isSending) return;
    if (!this.#protocol.canBatch) return this.#flushSoon();
    const pause = this.#pace.batchDelayMs(this.#members.size);
    this.#isPaused = pause > 0;
    if (!this.#isPaused) return this.#waitForExpected(0);
    this.#framesBefore = this.#frames;
    this.#timer = setTimeout(() => this.#waitForExpected(pause), pause);
    this.#endPauseIfComplete();
  }

  #waitForExpected(waited: number): void {
    const patience = this.#pace.maxWaitMs(this.#members.size) - waited;
    if (patience <= 0 || !this.#isMoreExpected()) return this.#flushSoon();
    this.#isWaiting = true;
    this.#timer = setTimeout(() => this.#flush(), patience);
  }

  #endPauseIfComplete(): void {
    if (!this.#isPaused || this.#isMoreExpected()) return;
    if (this.#pace.isBatchComplete(this.#messages)) this.#flushSoon();
  }

  /** With what else happens in this turn. */
  #flushSoon(): void {
    const batches = this.#batches;
    queueMicrotask(() => {
      if (this.#batches === batches) this.#flush();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    const start = this.#sendingSince = performance.now();
    const cameInPause = this.#isPaused ? this.#frames - this.#framesBefore : undefined;
    this.#pace.recordFlush(start, this.#frames, this.#messages, cameInPause);
    this.#isPaused = false;
    const portions = this.#sendPortions(this.#batches);
    this.#batches = [];
    this.#frames = this.#messages = 0;
    this.#isSending = true;
    this.#goOn(portions, this.#members.size);
  }

  /** Sends batches to everyone who is here now; yields after each portion, and after each batch. */
  *#sendPortions(batches: readonly Batch[]): Iterator<void> {
    const members = [...this.#members];
    let length = 0;
    for (const batch of batches) {
      // Nobody is sent two long ones in a turn, in which nothing can be read.
      if (batch !== batches[0]) length = Infinity;
      for (const member of members) {
        if (length > PORTION) {
          yield;
          length = 0;
        }
        // Who has left meanwhile hears nothing more.
        if (!this.#members.has(member)) continue;
        for (const frame of batch.of(member)) {
          member.deliver(frame);
          length += frame.length + FRAME;
        }
      }
    }
  }

  #goOn(portions: Iterator<void>, members: number): void {
    this.#isSending = !portions.next().done;
    if (this.#isSending) {
      setImmediate(() => this.#goOn(portions, members));
      return;
    }
    this.#measure(members);
    if (this.#frames > 0) this.#begin();
  }

  /** Learns what a flush costs that has just been sent. */
  #measure(members: number): void {
    const start = this.#sendingSince;
    if (!this.#protocol.canBatch || members === 0 || start - this.#measuredAt < MEASURE_EVERY) {
      return;
    }
    this.#measuredAt = start;
    // What was sent in a turn is written before the next one is over.
    setImmediate(() =>
      setImmediate(() => this.#pace.recordCost(performance.now() - start, members))
    );
  }
}
