import { getLogger } from "@logtape/logtape";
import { setTimeout as sleep } from "node:timers/promises";
import { Episode } from "../../limits/episode.ts";
import { EVENT_MARK, type Notice, parseEvent, type RoomEvent } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater, timestampOf } from "../../protocol/ids.ts";
import type { LogEntry, RoomListener } from "../store.ts";
import { ignoreOutage } from "./ignore_outage.ts";
import { type DeliveredMessage, isSameMessage, type Log } from "./log.ts";
import type { LogObserver } from "./publish_batcher.ts";
import type { SeenIds } from "./scripts.ts";

const logger = getLogger(["chat", "redis"]);

/** How many messages one read of the log returns at most. */
const PAGE_SIZE = 100;

/** The pause before a failed read of the log is retried, in milliseconds. */
const RETRY_DELAY_MS = 100;

/**
 * The gap fill pauses after this many characters, so that a burst of old messages does not make
 * every session look like a slow reader.
 */
const FILL_BURST_CHARS = 64 * 1024;

/** The pause of the gap fill between two bursts, in milliseconds. */
const FILL_PAUSE_MS = 10;

/** The most characters that are buffered during a gap fill. */
const MAX_BUFFERED_CHARS = 16 * 1024 * 1024;

/** What a buffered event takes beside its line, counted in characters. */
const EVENT_OVERHEAD_CHARS = 200;

/** How soon after a delivery the log is asked whether it has the message, in milliseconds. */
const CHECK_DELAY_MS = 1_000;

/** How many of the ids that were delivered since the last check are remembered. */
const MAX_UNCHECKED_IDS = 10_000;

/** An id that is further ahead of the clock, in milliseconds, is not one of Redis. */
const MAX_AHEAD_MS = 3_600_000;

/** The longest notice that is delivered. */
const MAX_NOTICE_CHARS = 64 * 1024;

/** What is dropped is logged when it begins, and when there was none for so many milliseconds. */
const QUIET_MS = 60_000;

const NOT_IN_LOG = "messages that are not in the log";

/** What a subscription needs from the connection that it receives from. */
export interface SubscriptionSource {
  /** Resolves once everything that was published before the call has been received. */
  ping(): Promise<void>;
  /** Breaks the connection. After it is back, every channel is subscribed to again. */
  reset(cause: string): void;
}

interface Received {
  readonly event: RoomEvent;
  readonly line: string;
}

/**
 * The stream of one room's events, without gaps and without duplicates.
 *
 * A message whose `prev` is the last message that was delivered is delivered at once. After any
 * other one, the log decides: the subscription buffers what it receives, reads the log from the
 * last message that it has delivered, and delivers what is missing. What the log does not have is
 * dropped. Anyone who can publish on the channel can forge a message that seems to be the next one,
 * and Redis can lose the end of the log. So the subscription also asks the log within a second
 * after a delivery. If the log does not have the message, the subscription goes back to the last
 * one that it has, and tells this by a `resync`.
 */
export class RoomSubscription implements LogObserver {
  readonly #room: string;
  readonly #log: Log;
  readonly #source: SubscriptionSource;
  readonly #listener: RoomListener;
  /** The id of the last message that was delivered; `undefined` until the start is known. */
  #position: string | undefined;
  /**
   * The messages that were delivered since the log was seen to have one of them, which is the
   * first. The last one is at the position.
   */
  #unchecked: DeliveredMessage[] = [];
  #check: ReturnType<typeof setTimeout> | undefined;
  /** The last message that this instance has logged, and the highest id that was delivered. */
  #logged = BEFORE_FIRST_ID;
  #highest = BEFORE_FIRST_ID;
  /** What was received before the position was known, or during a gap fill. */
  #buffered: Received[] = [];
  #bufferedChars = 0;
  /** Identifies the current gap fill. A fill that finds another one here ends: it is superseded. */
  #currentFill: symbol | undefined;
  /** Whether something may have been published that was not received. */
  #isInterrupted = false;
  readonly #dropped = new Map<string, Episode>();

  /**
   * @param room the room's name
   * @param log where to read missing messages
   * @param source the connection that receives the room's channel
   * @param listener receives the events
   */
  constructor(room: string, log: Log, source: SubscriptionSource, listener: RoomListener) {
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
  }

  /**
   * Handles a payload of the room's channel: {@linkcode EVENT_MARK}, then one event on each line.
   * Any other text is a notice from another program.
   */
  handlePayload(payload: string): void {
    if (!payload.startsWith(EVENT_MARK)) return this.#handleNotice(payload);
    const isOne = !payload.includes("\n");
    const lines = payload.slice(EVENT_MARK.length);
    if (isOne) return this.#handleLine(lines);
    for (const line of lines.split("\n")) this.#handleLine(line);
  }

  #handleLine(line: string): void {
    const event = parseEvent(line);
    if (event) this.#handle(event, line);
    else this.#noteDropped("invalid events");
  }

  #handleNotice(text: string): void {
    if (text.length > MAX_NOTICE_CHARS) return this.#noteDropped("notices above 64 KiB");
    const notice: Notice = { type: "notice", text };
    this.#handle(notice, JSON.stringify(notice));
  }

  #handle(event: RoomEvent, line: string): void {
    const isNext = event.type !== "message" || event.prev === this.#position;
    if (isNext && !this.#currentFill && this.#position !== undefined) {
      return this.#deliver(event, line);
    }
    this.#buffer([{ event, line }]);
    if (!this.#currentFill && this.#position !== undefined) this.fillGap();
  }

  #buffer(received: readonly Received[]): void {
    for (const { line } of received) this.#bufferedChars += line.length + EVENT_OVERHEAD_CHARS;
    this.#buffered.push(...received);
    if (this.#bufferedChars > MAX_BUFFERED_CHARS) this.#source.reset("the gap fill buffer is full");
  }

  #deliver(event: RoomEvent, line: string): void {
    if (event.type === "message") {
      this.#position = event.id;
      if (this.#unchecked.push(event) > MAX_UNCHECKED_IDS) this.#unchecked.splice(0, 1_000);
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
    this.#unchecked = [{ id: newest }];
    this.#isInterrupted = false;
    if (this.#buffered.length > 0) this.fillGap();
    return newest;
  }

  /**
   * Continues after the connection was lost and the channel is subscribed to again. What was
   * buffered before is dropped: its messages are in the log, and its other events are out of date.
   */
  async resync(): Promise<void> {
    this.#takeBuffered();
    this.#isInterrupted = true;
    await (this.#position === undefined ? this.start() : this.fillGap());
  }

  /** Stops the delivery for good. */
  close(): void {
    // A symbol that belongs to no fill: later payloads are only buffered, and never delivered.
    this.#currentFill = Symbol();
    this.#takeBuffered();
    clearTimeout(this.#check);
  }

  /**
   * Delivers the missing messages from the log, then what was buffered meanwhile. Retries until it
   * succeeds.
   */
  async fillGap(): Promise<void> {
    const fill = this.#currentFill = Symbol();
    for (let isFilled = false, failures = 0; !isFilled && this.#currentFill === fill;) {
      try {
        isFilled = await this.#fillPage(fill);
      } catch (error) {
        if (failures++ === 0) ignoreOutage(error);
        await sleep(RETRY_DELAY_MS);
      }
    }
  }

  /** Delivers what one page of the log has. Returns whether the gap is filled. */
  async #fillPage(fill: symbol): Promise<boolean> {
    // What was received before the read is in the log, if it is real.
    const settled = this.#buffered.length;
    const { delivered, page } = await this.#readPage();
    // By now the buffer has everything that was published before the read. A message that is in
    // both is delivered from the buffer, where it has its place among `joined` and `left`.
    await this.#source.ping();
    if (this.#currentFill !== fill) return true;
    if (page.length < PAGE_SIZE) this.#noteLost(this.#buffered.slice(0, settled), delivered, page);
    if (delivered === undefined) {
      if (page.length === 0) this.#reportLostEnd();
    } else if (delivered !== this.#position) {
      this.#goBackTo(delivered);
    }
    const last = this.#unchecked.findLast(({ id }) => id === this.#position);
    this.#unchecked = [last ?? { id: this.#position! }];

    const missing = page[0]?.event.id === delivered ? page.slice(1) : page;
    return await this.#deliverPage(missing, settled, page.length === PAGE_SIZE, fill);
  }

  /**
   * Delivers a page of the log and what was received meanwhile.
   *
   * @param missing the messages of the page that were not delivered yet
   * @param settled how much of the buffer was received before the page was read
   * @param isPartial whether the log may have more
   * @returns whether the gap is filled
   */
  async #deliverPage(
    missing: readonly LogEntry[],
    settled: number,
    isPartial: boolean,
    fill: symbol,
  ): Promise<boolean> {
    const indexes = new Map(missing.map(({ event }, i) => [event.id, i]));
    const indexOf = ({ event }: Received) =>
      event.type === "message" ? indexes.get(event.id) : undefined;
    const pace = makePacer();
    let next = 0;
    const deliver = async ({ event, line }: Received) => {
      if (event.type === "message" && event.prev !== this.#position) this.#follow(event.prev);
      this.#deliver(event, line);
      await pace(line);
      return this.#currentFill === fill;
    };
    const deliverUpTo = async (end: number) => {
      while (next < end) if (!await deliver(missing[next++])) return false;
      return true;
    };

    const reached = this.#buffered.findIndex((received) => indexOf(received) !== undefined);
    if (!await deliverUpTo(reached < 0 ? missing.length : indexOf(this.#buffered[reached])!)) {
      return true;
    }
    if (isPartial && reached < 0) return false;
    const buffered = this.#takeBuffered();
    for (const [i, received] of buffered.entries()) {
      const { event } = received;
      const index = indexOf(received);
      if (index !== undefined) {
        if (index < next) continue;
        if (!await deliverUpTo(index)) return true;
        next++;
      } else if (
        event.type === "message" &&
        (event.prev !== this.#position || missing[next]?.event.prev === this.#position)
      ) {
        if (i < settled && !(isPartial && i > reached)) {
          if (isLater(event.id, this.#position!)) this.#noteDropped(NOT_IN_LOG);
          continue;
        }
        // The log may have it by now.
        this.#buffer(buffered.slice(i).concat(this.#takeBuffered()));
        return false;
      }
      if (!await deliver(received)) return true;
    }
    if (this.#buffered.length > 0 || next < missing.length) return false;
    this.#currentFill = undefined;
    this.#isInterrupted = false;
    if (this.#unchecked.length > 1) this.#scheduleCheck();
    return true;
  }

  /**
   * Reads the log from the last message that was delivered and that the log has. If it has none of
   * them, it reads what follows, beginning with the first new message.
   */
  async #readPage(): Promise<{ delivered?: string; page: readonly LogEntry[] }> {
    const position = this.#position!;
    const read = (start: string) => this.#log.readFrom(this.#room, start, PAGE_SIZE);
    const page = await read(position);
    const isInLog = page.length === 0
      ? position === BEFORE_FIRST_ID
      : isOrFollows(page[0], this.#last);
    if (isInLog) return { delivered: position, page };
    const delivered = await this.#log.findLast(this.#room, this.#unchecked);
    if (delivered !== undefined) {
      const rest = await read(delivered);
      // If nothing came after it, Redis has lost what was delivered. The next message follows that,
      // so that those who have not received it can tell.
      const hasLostEnd = rest.length === 1 && isLater(position, delivered) && isPossible(position);
      return hasLostEnd ? { page: [] } : { delivered, page: rest };
    }
    for (const { event } of this.#buffered.slice(0, PAGE_SIZE)) {
      if (event.type !== "message" || isLater(event.id, position)) continue;
      // After a failover, the ids of new messages can be lower.
      const lower = await read(event.id);
      if (lower[0]?.event.id === event.id) return { page: lower };
    }
    return { page };
  }

  get #last(): DeliveredMessage {
    const last = this.#unchecked.at(-1)!;
    return last.id === this.#position ? last : { id: this.#position! };
  }

  #scheduleCheck(): void {
    this.#check ??= setTimeout(() => this.#checkPosition(), CHECK_DELAY_MS);
  }

  /** Asks whether the log has the last message that was delivered. */
  async #checkPosition(): Promise<void> {
    this.#check = undefined;
    const last = this.#last;
    try {
      const [first] = await this.#log.readFrom(this.#room, last.id, 1);
      if (this.#currentFill) return;
      if (!isOrFollows(first, last)) return void this.fillGap();
      this.#unchecked.splice(0, this.#unchecked.lastIndexOf(last));
    } catch (error) {
      ignoreOutage(error);
    }
  }

  /** Notes whether Redis may have lost messages that were received and are not delivered yet. */
  #noteLost(received: Received[], after = BEFORE_FIRST_ID, page: readonly LogEntry[]): void {
    const ids = new Set(page.map(({ event }) => event.id));
    this.#isInterrupted ||= received.some(({ event }) =>
      event.type === "message" && !ids.has(event.id) && isPossible(event.id) &&
      isLater(event.id, after)
    );
  }

  /** Goes back to a message that was delivered, because the log does not have the later ones. */
  #goBackTo(id: string): void {
    logger.warn(
      "Room {room}: {position} was delivered, but the log does not have it, and goes on after " +
        "{id}: Redis has lost it, or another program has forged it",
      { room: this.#room, position: this.#position, id },
    );
    this.#tellResync(id, this.#isInterrupted);
  }

  /** Goes on with a message that does not follow the last one that was delivered. */
  #follow(prev: string): void {
    const position = this.#position!;
    // What a room starts with may follow messages that have expired.
    const isHole = position !== BEFORE_FIRST_ID && isLater(prev, position);
    if (isHole) {
      logger.error(
        "Room {room}: the messages after {position} up to {prev} left the log before they could " +
          "be delivered: HISTORY_LIMIT is too small for an outage, or Redis has lost them",
        { room: this.#room, position, prev },
      );
    }
    this.#tellResync(prev, isHole || this.#mayHaveMissed());
  }

  /** The log ends before the last message that was delivered. */
  #reportLostEnd(): void {
    if (this.#mayHaveMissed()) this.#tellResync(this.#position!, true);
  }

  /** Whether the log, which does not have the position, may have lost later messages with it. */
  #mayHaveMissed(): boolean {
    const position = this.#position!;
    const hasExpired = position !== BEFORE_FIRST_ID && this.#log.mayHaveExpired(position);
    if (!this.#isInterrupted || hasExpired) return false;
    logger.error(
      "Room {room}: Redis has lost {position}, and perhaps later messages that this instance " +
        "has not received",
      { room: this.#room, position },
    );
    return true;
  }

  #tellResync(last: string, gap: boolean): void {
    const position = this.#position!;
    if (isLater(position, last)) {
      if (!isLater(this.#logged, position)) this.#logged = BEFORE_FIRST_ID;
      if (isPossible(position)) this.#highest = later(this.#highest, position);
    }
    if (gap) this.#isInterrupted = false;
    this.#position = last;
    const event: RoomEvent = { type: "resync", last, gap };
    this.#listener.onEvent(event, JSON.stringify(event));
  }

  #takeBuffered(): Received[] {
    const buffered = this.#buffered;
    this.#buffered = [];
    this.#bufferedChars = 0;
    return buffered;
  }

  #noteDropped(what: string): void {
    let episode = this.#dropped.get(what);
    if (!episode) {
      episode = new Episode(QUIET_MS, (count, durationMs) => {
        const seconds = Math.round(durationMs / 1000);
        logger.info`Room ${this.#room}: ${count} ${what} were dropped in ${seconds} s`;
      });
      this.#dropped.set(what, episode);
    }
    if (!episode.record()) return;
    logger.warn`Room ${this.#room}: ${what} are dropped. Another program publishes on its channel`;
  }
}

/** Whether a message of the log is one that was delivered, or the next one. */
function isOrFollows(entry: LogEntry | undefined, delivered: DeliveredMessage): boolean {
  return entry !== undefined &&
    (isSameMessage(entry.event, delivered) || entry.event.prev === delivered.id);
}

/** Whether Redis can have given an id. */
function isPossible(id: string): boolean {
  return timestampOf(id) < Date.now() + MAX_AHEAD_MS;
}

function later(one: string, other: string): string {
  return isLater(one, other) ? one : other;
}

/** Pauses after each burst. */
function makePacer(): (line: string) => Promise<void> | undefined {
  let chars = 0;
  return (line) => {
    chars += line.length;
    if (chars < FILL_BURST_CHARS) return;
    chars = 0;
    return sleep(FILL_PAUSE_MS);
  };
}
