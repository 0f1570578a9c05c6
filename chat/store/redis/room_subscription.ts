import { getLogger } from "@logtape/logtape";
import { setTimeout as sleep } from "node:timers/promises";
import { EVENT_MARK, type Message, parseEvent, type RoomEvent } from "../../protocol/events.ts";
import { Episode } from "../../limits/episode.ts";
import { isLater } from "../../protocol/ids.ts";
import type { RoomListener } from "../store.ts";
import type { Log } from "./log.ts";

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

/** Invalid events are logged once in so many milliseconds. */
const QUIET_MS = 60_000;

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
 * The stream of one room's events, without gaps and without duplicates. When a message is missing,
 * the subscription buffers what it receives, reads the missing messages from the log and delivers
 * them first.
 */
export class RoomSubscription {
  readonly #room: string;
  readonly #log: Log;
  readonly #source: SubscriptionSource;
  readonly #listener: RoomListener;
  /**
   * The id of the last message that was delivered or skipped at the start; `undefined` until it is
   * known.
   */
  #position: string | undefined;
  /** What was received before the position was known, or during a gap fill. */
  #buffered: Received[] = [];
  #bufferedChars = 0;
  readonly #invalid = new Episode(
    QUIET_MS,
    (count) => logger.warn`Room ${this.#room}: ${count} events with invalid fields were dropped`,
  );
  /** Identifies the current gap fill. A fill that finds another one here ends: it is superseded. */
  #currentFill: symbol | undefined;

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

  /**
   * Handles a payload of the room's channel: {@linkcode EVENT_MARK}, then one event on each line.
   * Any other text is a notice from another program.
   */
  handlePayload(payload: string): void {
    if (!payload.startsWith(EVENT_MARK)) {
      const notice = { type: "notice", text: payload } as const;
      return this.#handle(notice, JSON.stringify(notice));
    }
    for (const line of payload.slice(EVENT_MARK.length).split("\n")) {
      const event = parseEvent(line);
      if (event) this.#handle(event, line);
      else if (this.#invalid.record()) {
        logger.warn`Room ${this.#room}: events with invalid fields are dropped`;
      }
    }
  }

  #handle(event: RoomEvent, line: string): void {
    if (this.#currentFill || this.#position === undefined) {
      this.#buffer({ event, line });
    } else if (event.type === "message" && event.prev !== this.#position) {
      this.#handleOutOfOrder(event, line);
    } else {
      if (event.type === "message") this.#position = event.id;
      this.#listener.onEvent(event, line);
    }
  }

  #handleOutOfOrder(event: Message, line: string): void {
    if (!isLater(event.prev, this.#position!)) return this.#deliver(event, line);
    this.#buffer({ event, line });
    this.fillGap();
  }

  #buffer(received: Received): void {
    this.#buffered.push(received);
    this.#bufferedChars += received.line.length + EVENT_OVERHEAD_CHARS;
    if (this.#bufferedChars > MAX_BUFFERED_CHARS) this.#source.reset("the gap fill buffer is full");
  }

  /**
   * Starts after the room's newest message.
   *
   * @returns its id
   */
  async start(): Promise<string> {
    const newest = await this.#log.newest(this.#room);
    if (this.#position === undefined) {
      this.#position = newest;
      for (const { event, line } of this.#takeBuffered()) this.#deliver(event, line);
    } else {
      await this.fillGap();
    }
    return this.#position;
  }

  /**
   * Continues after the connection was lost and the channel is subscribed to again. What was
   * buffered before is dropped: its messages are in the log, and its other events are out of date.
   */
  async resync(): Promise<void> {
    this.#takeBuffered();
    await (this.#position === undefined ? this.start() : this.fillGap());
  }

  /**
   * Delivers the missing messages from the log, then what was buffered meanwhile. Retries until it
   * succeeds.
   */
  async fillGap(): Promise<void> {
    const fill = this.#currentFill = Symbol();
    for (let isFilled = false; !isFilled;) {
      try {
        isFilled = await this.#fillPage(fill);
      } catch {
        await sleep(RETRY_DELAY_MS);
      }
      if (this.#currentFill !== fill) return;
    }
    // More may be buffered while this is delivered.
    while (this.#buffered.length > 0) {
      await this.#deliverThrottled(this.#takeBuffered(), fill);
      if (this.#currentFill !== fill) return;
    }
    this.#currentFill = undefined;
  }

  /** Stops the delivery for good. */
  close(): void {
    // A symbol that belongs to no fill: later payloads are only buffered, and never delivered.
    this.#currentFill = Symbol();
    this.#takeBuffered();
  }

  /**
   * Reads one page of missing messages from the log and delivers it. Returns whether the gap is
   * filled.
   */
  async #fillPage(fill: symbol): Promise<boolean> {
    const newest = await this.#log.newest(this.#room);
    // Redis has lost the end of the log, or all of it. The ids of new messages may be earlier than
    // the position.
    if (isLater(this.#position!, newest)) this.#position = newest;
    const missing = await this.#log.readAfter(this.#room, this.#position!, PAGE_SIZE);
    this.#reportHole(missing[0]?.event.prev);
    // By now the buffer has everything that was published before the read. A message that is in
    // both is delivered from the buffer, where it has its place among `joined` and `left`.
    await this.#source.ping();
    if (this.#currentFill !== fill) return true;
    const received = this.#buffered.map(({ event }) => event)
      .find((event) => event.type === "message");
    const end = received && missing.findIndex(({ event }) => !isLater(received.id, event.id));
    const reachesBuffer = end !== undefined && end >= 0;
    await this.#deliverThrottled(reachesBuffer ? missing.slice(0, end) : missing, fill);
    return reachesBuffer || missing.length === 0;
  }

  #reportHole(prev: string | undefined): void {
    if (prev === undefined || !isLater(prev, this.#position!)) return;
    logger.error(
      "Room {room}: the messages after {position} up to {prev} left the log before they could be " +
        "delivered. HISTORY_LIMIT is too small for the messages of an outage",
      { room: this.#room, position: this.#position, prev },
    );
  }

  #takeBuffered(): Received[] {
    const buffered = this.#buffered;
    this.#buffered = [];
    this.#bufferedChars = 0;
    return buffered;
  }

  async #deliverThrottled(all: readonly Received[], fill: symbol): Promise<void> {
    let chars = 0;
    for (const { event, line } of all) {
      if (this.#currentFill !== fill) return;
      this.#deliver(event, line);
      chars += line.length;
      if (chars < FILL_BURST_CHARS) continue;
      chars = 0;
      await sleep(FILL_PAUSE_MS);
    }
  }

  /** Delivers an event, unless it is a message that has been delivered already. */
  #deliver(event: RoomEvent, line: string): void {
    if (event.type === "message") {
      if (!isLater(event.id, this.#position!)) return;
      this.#position = event.id;
    }
    this.#listener.onEvent(event, line);
  }
}
