/** What it costs to write a frame to one member, in milliseconds, as long as it was not measured. */
const WRITE = 0.005;

/** More than this is not what it costs, but what else goes on in this process. */
const DEAREST_WRITE = 10 * WRITE;

/** Of what is measured so much is believed at once, in which there may have been something else. */
const TRUST = 1 / 4;

/** What happened longer ago than about so many flushes says nothing of how busy the room is now. */
const FLUSHES_REMEMBERED = 10;

/** Nor does how long nothing happened, once it was so many milliseconds. */
const QUIET = 250;

/** For what is on its way a flush waits no longer than so many times as long as it takes itself. */
const PATIENCE = 4;

/** A pause is so many times as long as a flush. */
const PAUSE = 2;

/** A shorter pause than this is none, in milliseconds: no timer of Deno is more exact. */
const SHORTEST_PAUSE = 2;

/** After a pause in which nothing was joined some flushes come without one, after the next about twice as many, up to this. */
const MOST_WITHOUT_PAUSE = 31;

/** One of so many pauses is never cut short, to see how much can come in one. */
const FULL_PAUSE_EVERY = 32;

/** When an audience flushes: how long it waits for more, judged by what flushes cost and by what came of them lately. */
export class FlushScheduler {
  /** Nothing waits longer than this, in milliseconds. */
  readonly #longest: number;
  /** What it costs to write a frame to one member, in milliseconds. */
  #write = WRITE;
  #flushedAt = 0;
  /** How much has happened lately, and in how many milliseconds. */
  readonly #lately = { frames: 0, time: 0 };
  /** How many messages there are at the end of a pause. */
  #usual = 0;
  #pauses = 0;
  #fruitlessPauses = 0;
  #flushesWithoutPause = 0;

  /** @param longest the longest that something may wait to be joined, in milliseconds */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** How long to wait for what is on its way to so many members, in milliseconds. */
  maxWaitMs(members: number): number {
    return Math.min(PATIENCE * this.#write * members, this.#longest);
  }

  /**
   * How long to wait for whatever may happen, in milliseconds: not at all, unless sending would be the load itself, that
   * is, would take a quarter of the time if each thing were sent alone.
   */
  batchDelayMs(members: number): number {
    const cost = this.#write * members;
    const pause = Math.min(PAUSE * cost, this.#longest);
    if (pause < SHORTEST_PAUSE || this.#flushesWithoutPause > 0) return 0;
    return 4 * cost * this.#lately.frames > this.#lately.time ? pause : 0;
  }

  /**
   * Whether so many messages are all that come in this pause: those who answer one another say nothing more until they
   * have heard these.
   */
  isBatchComplete(messages: number): boolean {
    const isWhole = this.#pauses % FULL_PAUSE_EVERY === 0;
    return !isWhole && messages > 0 && messages >= Math.round(this.#usual);
  }

  /**
   * Learns from a flush.
   *
   * @param now when it began
   * @param frames how much it joins
   * @param messages how many messages are among these
   * @param cameInPause how much of it came in the pause before it, if there was one
   */
  recordFlush(now: number, frames: number, messages: number, cameInPause?: number): void {
    const keep = 1 - 1 / FLUSHES_REMEMBERED;
    this.#lately.frames = keep * this.#lately.frames + frames;
    this.#lately.time = keep * this.#lately.time + Math.min(now - this.#flushedAt, QUIET);
    this.#flushedAt = now;
    if (this.#flushesWithoutPause > 0) this.#flushesWithoutPause--;
    if (cameInPause === undefined) return;
    this.#pauses++;
    this.#usual = Math.max(messages, keep * this.#usual + (1 - keep) * messages);
    // Where everyone waits for one message before the next is said, nothing happens in a pause.
    this.#fruitlessPauses = cameInPause > 0 ? 0 : this.#fruitlessPauses + 1;
    this.#flushesWithoutPause = Math.min(2 ** this.#fruitlessPauses - 1, MOST_WITHOUT_PAUSE);
  }

  /** Learns how long it took until a flush to so many members was written, in milliseconds. */
  recordCost(milliseconds: number, members: number): void {
    const write = Math.min(milliseconds / members, this.#write / TRUST, DEAREST_WRITE);
    this.#write += TRUST * (write - this.#write);
  }
}
