import type { RoomEvent } from "../protocol/events.ts";
import type { Encoding } from "../protocol/protocol.ts";
import { Batch } from "./batch.ts";
import { FlushScheduler } from "./flush_scheduler.ts";
import type { Receiver } from "./member.ts";

/** How often the cost of a flush is measured at most, because measuring takes two turns. */
const COST_SAMPLE_INTERVAL_MS = 50;

/**
 * After this many characters the rest of a flush waits for the next turn. Deno writes the frames
 * while they are in the cache, and sessions of other rooms get their turn.
 */
const PORTION_CHARS = 512 * 1024;

/** Sending a frame costs as much as this many characters more: measured. */
const FRAME_OVERHEAD_CHARS = 8 * 1024;

/** A room is overloaded while one of its flushes takes longer than this. */
const MAX_FLUSH_DURATION_MS = 10_000;

/** What a broadcaster is given. */
export interface BroadcasterOptions {
  /** The longest that an event may wait to be sent together with later ones, in milliseconds. */
  readonly maxFlushMs: number;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/**
 * Delivers a room's events to the members who speak one protocol. It encodes each event once.
 *
 * Events of one turn are delivered in one flush. Where the protocol can batch frames, a flush is
 * one frame, the same for every member, because most of the cost of a delivery is the write.
 * {@linkcode FlushScheduler} decides how long a flush is held back for more events.
 */
export class Broadcaster {
  readonly #protocol: Encoding;
  readonly #now: () => number;
  readonly #scheduler: FlushScheduler;
  readonly #isMoreInFlight: () => boolean;
  readonly #members = new Set<Receiver>();
  /** The events that are not flushed yet. Every batch but the last one is full. */
  #batches: Batch[] = [];
  #frameCount = 0;
  #messageCount = 0;
  /** What the events that are not flushed yet are held back for. */
  #heldFor: "nothing" | "batch delay" | "messages in flight" = "nothing";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether a batch delay came before the next flush. */
  #wasDelayed = false;
  #isFlushing = false;
  #flushStartedAt = 0;
  #costSampledAt = 0;

  /**
   * @param protocol the protocol of all members
   * @param options how long events may wait
   * @param isMoreInFlight whether a message is in flight; when the last one has arrived,
   * {@linkcode Broadcaster.onNothingInFlight} is called
   */
  constructor(protocol: Encoding, options: BroadcasterOptions, isMoreInFlight: () => boolean) {
    this.#protocol = protocol;
    this.#now = options.now;
    this.#scheduler = new FlushScheduler(options.maxFlushMs);
    this.#isMoreInFlight = isMoreInFlight;
  }

  /** Whether a flush has taken so long that the room should take no more messages. */
  get isOverloaded(): boolean {
    return this.#isFlushing && this.#now() - this.#flushStartedAt > MAX_FLUSH_DURATION_MS;
  }

  /** Adds a member, who receives the events from here on. */
  add(member: Receiver): void {
    this.#members.add(member);
    for (const batch of this.#batches) batch.skipFor(member);
  }

  /** Removes a member. */
  delete(member: Receiver): void {
    this.#members.delete(member);
  }

  /**
   * Broadcasts an event to every member.
   *
   * @param event the event
   * @param line the same event as one line of JSON
   * @param except members who do not receive it
   */
  broadcast(event: RoomEvent, line: string, except: readonly Receiver[]): void {
    if (this.#members.size === 0) return;
    const frame = this.#protocol.encodeEvent(event, line);
    if (frame === undefined) return;
    let batch = this.#batches.at(-1);
    if (!batch || batch.isFull) this.#batches.push(batch = new Batch(this.#protocol));
    const isMessage = event.type === "message";
    batch.add(frame, isMessage, except);
    if (isMessage) this.#messageCount++;
    if (++this.#frameCount === 1) this.#scheduleFlush();
    else this.#endBatchDelayIfComplete();
  }

  /** Whether a member is certain to receive a frame within `maxFlushMs`. */
  isFlushPendingFor(member: Receiver): boolean {
    return !this.#isFlushing && this.#batches.length > 0 && this.#batches[0].isCompleteFor(member);
  }

  /** Called when no message is in flight any more. */
  onNothingInFlight(): void {
    if (this.#heldFor === "messages in flight") this.#flushSoon();
    else this.#endBatchDelayIfComplete();
  }

  /**
   * Schedules the next flush. While a flush is under way, its end does this.
   */
  #scheduleFlush(): void {
    if (this.#isFlushing) return;
    if (!this.#protocol.canBatch) return this.#flushSoon();
    const delayMs = this.#scheduler.batchDelayMs(this.#members.size);
    if (delayMs === 0) return this.#awaitInFlight(0);
    this.#heldFor = "batch delay";
    this.#wasDelayed = true;
    this.#timer = setTimeout(() => this.#awaitInFlight(delayMs), delayMs);
    this.#endBatchDelayIfComplete();
  }

  #awaitInFlight(waitedMs: number): void {
    const waitMs = this.#scheduler.maxWaitMs(this.#members.size) - waitedMs;
    if (waitMs <= 0 || !this.#isMoreInFlight()) return this.#flushSoon();
    this.#heldFor = "messages in flight";
    this.#timer = setTimeout(() => this.#flush(), waitMs);
  }

  #endBatchDelayIfComplete(): void {
    if (this.#heldFor !== "batch delay" || this.#isMoreInFlight()) return;
    if (this.#scheduler.isBatchComplete(this.#messageCount)) this.#flushSoon();
  }

  /** Flushes at the end of this turn, together with whatever else happens in it. */
  #flushSoon(): void {
    const batches = this.#batches;
    queueMicrotask(() => {
      if (this.#batches === batches) this.#flush();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#flushStartedAt = this.#now();
    this.#scheduler.recordFlush(
      this.#flushStartedAt,
      this.#frameCount,
      this.#messageCount,
      this.#wasDelayed,
    );
    const portions = this.#deliverInPortions(this.#batches);
    this.#batches = [];
    this.#frameCount = this.#messageCount = 0;
    this.#heldFor = "nothing";
    this.#wasDelayed = false;
    this.#isFlushing = true;
    this.#deliverNext(portions, this.#members.size);
  }

  /** Delivers batches to the members of this moment, and yields where the rest must wait a turn. */
  *#deliverInPortions(batches: readonly Batch[]): Iterator<void> {
    const members = [...this.#members];
    let chars = 0;
    for (const batch of batches) {
      // At most one full batch a turn: during a turn the server cannot read what clients send.
      if (batch !== batches[0]) chars = Infinity;
      for (const member of members) {
        if (chars > PORTION_CHARS) {
          yield;
          chars = 0;
        }
        const hasLeft = !this.#members.has(member);
        if (hasLeft) continue;
        for (const frame of batch.framesFor(member)) {
          member.deliver(frame);
          chars += frame.length + FRAME_OVERHEAD_CHARS;
        }
      }
    }
  }

  #deliverNext(portions: Iterator<void>, members: number): void {
    this.#isFlushing = !portions.next().done;
    if (this.#isFlushing) {
      setImmediate(() => this.#deliverNext(portions, members));
      return;
    }
    this.#sampleCost(members);
    if (this.#frameCount > 0) this.#scheduleFlush();
  }

  /** Measures what the flush that has just ended costs, if the last sample is old enough. */
  #sampleCost(members: number): void {
    const start = this.#flushStartedAt;
    if (!this.#protocol.canBatch || members === 0) return;
    if (start - this.#costSampledAt < COST_SAMPLE_INTERVAL_MS) return;
    this.#costSampledAt = start;
    // Deno writes the frames of one turn before the next turn is over.
    setImmediate(() =>
      setImmediate(() => this.#scheduler.recordCost(this.#now() - start, members))
    );
  }
}
