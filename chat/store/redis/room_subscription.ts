import { getLogger } from "@logtape/logtape";
import { setTimeout as sleep } from "node:timers/promises";
import { Episode } from "../../limits/episode.ts";
import {
  EVENT_MARK,
  type Message,
  type Notice,
  parseEvent,
  type RoomEvent,
} from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater, isProofOfNoGap } from "../../protocol/ids.ts";
import type { RoomListener } from "../store.ts";
import { type Continuation, isMessage, readOn } from "./continuation.ts";
import { EventBuffer } from "./event_buffer.ts";
import type { SubscriberConnection } from "./connections.ts";
import { ignoreOutage } from "./ignore_outage.ts";
import type { DeliveredMessage, Log } from "./log.ts";
import { mergePage } from "./merge.ts";
import type { LogObserver } from "./publish_batcher.ts";
import type { SeenIds } from "./scripts.ts";

const logger = getLogger(["chat", "redis"]);

/** By how much the pause grows before a failed read of the log is retried, in milliseconds. */
const RETRY_DELAY_STEP_MS = 100;

/** The longest such pause, in milliseconds: a thousand rooms may be waiting. */
const MAX_RETRY_DELAY_MS = 1_000;

/**
 * The gap fill pauses after this many characters, so that a burst of old messages does not make
 * every session look like a slow reader.
 */
const FILL_BURST_CHARS = 64 * 1024;

/** The pause of the gap fill between two bursts, in milliseconds. */
const FILL_PAUSE_MS = 10;

/** The pause before the listener is told again that the connection was lost, in milliseconds. */
const INTERRUPTION_RETRY_MS = 1_000;

/** How soon after a delivery the log is asked whether it has the message, in milliseconds. */
const CHECK_DELAY_MS = 1_000;

/**
 * The rest of a payload with so many lines that are no events is dropped: to find that a million
 * lines are none takes seconds.
 */
const MAX_INVALID_LINES = 100;

/** How many of the messages that were delivered since the last check are remembered. */
const MAX_RECENT = 10_000;

/** How many of those before are remembered, by their ids: Redis may lose as many. */
const MAX_VERIFIED = 100;

/** The longest notice, and the longest event of an unknown type, that is delivered. */
const MAX_NOTICE_CHARS = 64 * 1024;

/** What is dropped is logged when it begins, and when there was none for so many milliseconds. */
const QUIET_MS = 60_000;

/** Stands for a gap fill that never ends: later payloads are only buffered. */
const CLOSED = Symbol("closed");

/**
 * The stream of one room's events, without gaps and without duplicates.
 *
 * A message whose `prev` is the last message that was delivered is delivered at once. After any
 * other one, the log decides: the subscription buffers what it receives, reads where the log goes
 * on, and delivers what is missing. What the log does not have is dropped. Anyone who can publish
 * on the channel can forge a message that seems to be the next one, and Redis can lose the end of
 * the log. So the subscription also asks the log within a second after a delivery. If the log went
 * on from an earlier message than the last one, a `resync` tells it.
 */
export class RoomSubscription implements LogObserver {
  readonly #room: string;
  readonly #log: Log;
  readonly #source: Pick<SubscriberConnection, "ping">;
  readonly #listener: RoomListener;
  /** The id of the last message that was delivered; `undefined` until the start is known. */
  #position: string | undefined;
  /**
   * The last messages that were delivered: some that the log was seen to have, of which only the
   * ids are known, and then all others. The last one is at the position.
   */
  #recent: DeliveredMessage[] = [];
  /** Messages with higher ids are delivered only if the log has them. */
  #highestPossibleId = BEFORE_FIRST_ID;
  #check: ReturnType<typeof setTimeout> | undefined;
  /** The last message that this instance has logged, and the highest id that it went back from. */
  #logged = BEFORE_FIRST_ID;
  #highest = BEFORE_FIRST_ID;
  /** What was received before the position was known, or during a gap fill. */
  readonly #buffer = new EventBuffer();
  /** Identifies the current gap fill. A fill that finds another one here ends: it is superseded. */
  #currentFill: symbol | undefined;
  /** Whether something may have been published after the position that was not received. */
  #isInterrupted = false;
  /** The last message before an interruption that the listener has not made up for. */
  #untold: { readonly last: string } | undefined;
  /** Whether a gap was told, and no message was delivered since. */
  #isGapTold = false;
  readonly #dropped = new Map<string, Episode>();

  constructor(
    room: string,
    log: Log,
    source: Pick<SubscriberConnection, "ping">,
    listener: RoomListener,
  ) {
    this.#room = room;
    this.#log = log;
    this.#source = source;
    this.#listener = listener;
  }

  get seen(): SeenIds {
    const last = later(this.#position ?? BEFORE_FIRST_ID, this.#logged);
    return { last, highest: later(last, this.#highest) };
  }

  noteLogged(id: string): void {
    this.#logged = later(this.#logged, id);
    this.#forgetBefore(id);
  }

  /**
   * Handles a payload of the room's channel: {@linkcode EVENT_MARK}, then one event on each line.
   * Any other text is a notice from another program.
   */
  handlePayload(payload: string): void {
    if (!payload.startsWith(EVENT_MARK)) return this.#handleNotice(payload);
    const isOne = !payload.includes("\n");
    const lines = payload.slice(EVENT_MARK.length);
    if (isOne) return void this.#handleLine(lines);
    let invalid = 0;
    for (const line of lines.split("\n")) {
      if (!this.#handleLine(line) && ++invalid === MAX_INVALID_LINES) return;
    }
  }

  /** Returns whether the line is an event. */
  #handleLine(line: string): boolean {
    const event = parseEvent(line);
    if (!event) this.#noteDropped("invalid events");
    else if (event.type === "unknown" && line.length > MAX_NOTICE_CHARS) {
      this.#noteDropped("events of unknown types above 64 KiB");
    } else this.#handle(event, line);
    return event !== undefined;
  }

  #handleNotice(text: string): void {
    if (text.length > MAX_NOTICE_CHARS) return this.#noteDropped("notices above 64 KiB");
    const notice: Notice = { type: "notice", text };
    this.#handle(notice, JSON.stringify(notice));
  }

  #handle(event: RoomEvent, line: string): void {
    const isFilling = this.#currentFill !== undefined || this.#position === undefined;
    const isNext = event.type !== "message" ||
      this.#isNext(event) && isProofOfNoGap(event.id, event.prev);
    if (!isFilling && isNext) return this.#deliver(event, line);
    this.#buffer.push({ event, line });
    if (this.#buffer.isFull) this.resync().catch(ignoreOutage);
    else if (!isFilling) this.fillGap();
  }

  #isNext({ id, prev }: Message): boolean {
    return prev === this.#position && isLater(id, prev) && this.#isPossible(id);
  }

  /** Whether Redis can have given an id. */
  #isPossible(id: string): boolean {
    return !isLater(id, this.#highestPossibleId);
  }

  #deliver(event: RoomEvent, line: string): void {
    if (event.type === "message") {
      this.#position = event.id;
      this.#isGapTold = false;
      const count = this.#recent.push(event);
      if (event.id === this.#logged) this.#forgetBefore(event.id);
      else if (count > MAX_RECENT) this.#recent.splice(0, MAX_RECENT / 10);
      this.#scheduleCheck();
    }
    this.#listener.onEvent(event, line);
  }

  /**
   * Starts after the room's newest message.
   *
   * @returns its id
   */
  async start(): Promise<string> {
    const newest = await this.#log.newest(this.#room);
    if (this.#position !== undefined) {
      await this.fillGap();
      return this.#position;
    }
    this.#position = newest;
    this.#recent = [{ id: newest }];
    this.#noteVerified(newest);
    this.#isInterrupted = false;
    if (this.#buffer.length > 0) this.fillGap();
    return newest;
  }

  /**
   * Continues after the connection was lost and the channel is subscribed to again, or after too
   * much was buffered. What was buffered is dropped: its messages are in the log, and its other
   * events are out of date.
   */
  async resync(): Promise<void> {
    this.#buffer.clear();
    this.#isInterrupted = true;
    const last = this.#untold?.last ?? this.#position;
    if (last === undefined) return void await this.start();
    const untold = this.#untold = { last };
    await this.fillGap();
    // What the listener needs may be refused for longer. After another interruption, the call for
    // that one goes on.
    while (this.#untold === untold && this.#currentFill !== CLOSED) {
      await sleep(INTERRUPTION_RETRY_MS, undefined, { ref: false });
      await this.#tellInterruption();
    }
  }

  async #tellInterruption(): Promise<void> {
    const untold = this.#untold;
    if (!untold || this.#currentFill === CLOSED) return;
    try {
      await this.#listener.onInterrupted?.(untold.last);
      if (this.#untold === untold) this.#untold = undefined;
    } catch (error) {
      ignoreOutage(error);
    }
  }

  /** Stops the delivery for good. */
  close(): void {
    this.#currentFill = CLOSED;
    this.#buffer.clear();
    clearTimeout(this.#check);
  }

  /**
   * Delivers the missing messages from the log, then what was buffered meanwhile. Retries until it
   * succeeds.
   */
  async fillGap(): Promise<void> {
    if (this.#currentFill === CLOSED) return;
    const fill = this.#currentFill = Symbol();
    const wasInterrupted = this.#isInterrupted;
    for (let failures = 0; this.#currentFill === fill;) {
      try {
        // Whoever resumes after a message is not told what was not logged before that.
        await this.#tellInterruption();
        if (this.#currentFill !== fill) return;
        // What was received before the log is read is in the log, if it is real.
        const settled = this.#buffer.length;
        const continuation = await readOn(this.#log, this.#room, this.#recent);
        // Afterwards the buffer has everything that was published before the read.
        await this.#source.ping();
        if (this.#currentFill !== fill) return;
        const isFilled = await this.#deliverPage(continuation, settled, fill, wasInterrupted);
        if (this.#currentFill !== fill || !isFilled) continue;
        this.#currentFill = undefined;
        this.#endInterruption();
      } catch (error) {
        if (failures++ === 0) ignoreOutage(error);
        await sleep(Math.min(MAX_RETRY_DELAY_MS, RETRY_DELAY_STEP_MS * failures));
      }
    }
  }

  /** Delivers what one read of the log has shown. Returns whether the gap is filled. */
  async #deliverPage(
    page: Continuation,
    settled: number,
    fill: symbol,
    wasInterrupted: boolean,
  ): Promise<boolean> {
    const { base = BEFORE_FIRST_ID, entries } = page;
    const isInLog = page.base === this.#position;
    if (page.base !== undefined) this.#noteVerified(base);
    else if (entries.length > 0) this.#recent = [];
    if (isInLog) this.#endInterruption();
    else this.#handleLoss(page);

    // A log in which someone has put a far higher id went on from that.
    const wasAhead = !this.#isPossible(this.#position!);
    // Whoever joins before the first of them must not be told of a position that the log has left.
    const prev = entries[0]?.event.prev ?? this.#position;
    if (!isInLog && prev !== this.#position && !this.#isNextBuffered()) this.#goOnAfter(prev!);

    const isInPage = (id: string) => entries.some(({ event }) => event.id === id);
    // The log began anew, perhaps with a message whose instance had not heard those before it.
    const isAnew = page.isBaseLost ||
      !isInLog && (page.olderEnd ?? entries[0]?.event.prev) === BEFORE_FIRST_ID;
    // If it has something else than the last messages, that was told.
    const canBeLost = isAnew || !isInLog && page.base !== undefined;
    let mayBeLost = false;
    const merged = mergePage(page, this.#buffer, settled, {
      isNext: (message, entry) =>
        this.#isNext(message) && !(isInLog && entry && isLater(message.id, entry.id)),
      isProof: ({ id, prev }) => isProofOfNoGap(id, prev),
      onDropped: ({ id }) => {
        // Only after ids of the future are lower ones new.
        if (!isLater(id, base) && !wasAhead) return;
        this.#noteDropped("messages that are not in the log");
        // Redis may have lost it together with the last one that was delivered.
        const isReal = isAnew || wasAhead || this.#isPossible(id);
        mayBeLost ||= canBeLost && !this.#isGapTold && isReal;
        this.#isInterrupted ||= mayBeLost;
      },
    });
    let chars = 0;
    let step;
    while (!(step = merged.next()).done) {
      const { event, line } = step.value;
      if (event.type === "message") {
        const { id, prev } = event;
        if (!isProofOfNoGap(id, prev) && (wasInterrupted || !isInPage(id))) {
          this.#tellResync(prev, true);
        } else if (prev !== this.#position) this.#goOnAfter(prev);
        else if (mayBeLost && this.#isInterrupted) this.#tellResync(prev, true);
      }
      this.#deliver(event, line);
      chars += line.length;
      // Another fill, which may come in a pause, goes on after a message.
      if (chars < FILL_BURST_CHARS || this.#recent.length === 0) continue;
      chars = 0;
      await sleep(FILL_PAUSE_MS);
      if (this.#currentFill !== fill) return false;
    }
    if (mayBeLost && this.#isInterrupted) this.#tellResync(this.#position!, true);
    return step.value;
  }

  /** Whether a message in the buffer follows the last one that was delivered. */
  #isNextBuffered(): boolean {
    return Array.from(this.#buffer).some(({ event }) =>
      event.type === "message" && this.#isNext(event)
    );
  }

  /** All that was missed is delivered or told; but the log does not show what it had before. */
  #endInterruption(): void {
    if (this.#position !== BEFORE_FIRST_ID) this.#isInterrupted = false;
  }

  /** Handles that the log does not have the last message that was delivered. */
  #handleLoss({ base, entries, olderEnd = BEFORE_FIRST_ID }: Continuation): void {
    const position = this.#position!;
    if (olderEnd !== BEFORE_FIRST_ID) return this.#tellResync(olderEnd, true);
    if (entries.length > 0) {
      // Nobody knows what was between. If the next one has another `prev`, that tells it.
      const isHole = base === undefined && entries[0].event.prev === position;
      if (isHole) this.#tellResync(position, true);
      return;
    }
    // The next message will follow what was lost at the end of the log, so that whoever has not
    // received that can tell. It cannot follow a lower id.
    const last = base !== undefined && isLater(base, position) ? base : position;
    const isHole = this.#isInterrupted && !this.#log.mayHaveExpired(position);
    if (isHole || last !== position) this.#tellResync(last, isHole);
  }

  /** Goes on with a message of the log that does not follow the last one that was delivered. */
  #goOnAfter(prev: string): void {
    const isKnown = [this.#position, prev].includes(BEFORE_FIRST_ID) ||
      this.#recent.some(({ id }) => id === prev);
    this.#tellResync(prev, this.#isInterrupted || !isKnown);
  }

  #tellResync(last: string, gap: boolean): void {
    const position = this.#position!;
    const wasLeft = this.#log.mayHaveBeenLeft(this.#room, position);
    if (gap) {
      this.#isInterrupted = false;
      if (this.#isGapTold && last === position) return;
      if (!wasLeft) {
        logger.error(
          "Room {room}: messages after {position} may be missing: Redis has lost them, or " +
            "HISTORY_LIMIT or HISTORY_BYTES is too small for an outage",
          { room: this.#room, position },
        );
      }
    } else if (!wasLeft && !this.#log.mayHaveExpired(position)) {
      logger.warn(
        "Room {room}: {position} was delivered, but the log does not have it, and goes on after " +
          "{last}: Redis has lost it, or another program has forged it",
        { room: this.#room, position, last },
      );
    }
    if (last !== position) {
      if (!isLater(this.#logged, position)) this.#logged = BEFORE_FIRST_ID;
      this.#highest = later(this.#highest, position);
      this.#position = last;
      this.#recent.push({ id: last });
    }
    this.#isGapTold = gap;
    const event: RoomEvent = { type: "resync", last, gap };
    this.#listener.onEvent(event, JSON.stringify(event));
  }

  #scheduleCheck(): void {
    this.#check ??= setTimeout(() => this.#checkPosition(), CHECK_DELAY_MS);
  }

  /** Asks whether the log has the last message that was delivered. */
  async #checkPosition(): Promise<void> {
    this.#check = undefined;
    const last = this.#recent.at(-1)!;
    try {
      const [first] = this.#currentFill ? [] : await this.#log.readFrom(this.#room, last.id, 1);
      if (this.#currentFill) {
        if (this.#currentFill !== CLOSED) this.#scheduleCheck();
      } else if (isMessage(first, last)) {
        this.#noteVerified(last.id);
      } else this.fillGap();
    } catch (error) {
      ignoreOutage(error);
      if (this.#currentFill !== CLOSED) this.#scheduleCheck();
    }
  }

  /**
   * Forgets most of what was delivered before a message that the log has. To keep all of it until
   * the next check costs 1 µs of garbage collection a message, of 12 µs that a message takes.
   */
  #forgetBefore(id: string): void {
    const index = this.#recent.findLastIndex((message) => message.id === id);
    if (index > 2 * MAX_VERIFIED) this.#recent.splice(0, index - MAX_VERIFIED);
  }

  /** Notes that the log has a message which was delivered, as the last one of them. */
  #noteVerified(id: string): void {
    const end = this.#recent.findLastIndex((message) => message.id === id);
    const verified = this.#recent.slice(Math.max(0, end - MAX_VERIFIED), end);
    this.#recent.splice(0, end, ...verified.map(({ id }) => ({ id })));
    this.#highestPossibleId = this.#log.highestPossibleId();
  }

  #noteDropped(what: string): void {
    let episode = this.#dropped.get(what);
    if (!episode) {
      episode = new Episode((count, durationMs) => {
        const seconds = Math.round(durationMs / 1000);
        logger.info`Room ${this.#room}: ${count} ${what} were dropped in ${seconds} s`;
      }, QUIET_MS);
      this.#dropped.set(what, episode);
    }
    if (!episode.record()) return;
    logger.warn`Room ${this.#room}: ${what} are dropped. Another program publishes on its channel`;
  }
}

function later(one: string, other: string): string {
  return isLater(one, other) ? one : other;
}
