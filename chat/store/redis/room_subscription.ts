import { setTimeout as sleep } from "node:timers/promises";
import { type Message, type Notice, parseEvent, type RoomEvent } from "../../protocol/events.ts";
import { isLater } from "../../protocol/ids.ts";
import type { RoomListener } from "../store.ts";
import type { Log } from "./log.ts";

/** So many messages are read from the log at a time. */
const READ_AT_ONCE = 100;

/** The time before a read that failed is tried again, in milliseconds. */
const TRY_AGAIN_AFTER = 100;

/** What was missing is handed on no faster than this, so that nobody looks like too slow a reader: characters a pause. */
const HANDED_AT_ONCE = 64 * 1024;

/** The pause, in milliseconds. */
const PAUSE = 10;

/** No more than this waits for the log, in characters. */
const MOST_WAITING = 16 * 1024 * 1024;

/** What an event takes beside its line and what was read from it, in characters. */
const EVENT_COST = 200;

/** What the subscriber's connection does for a feed. */
export interface SubscriptionSource {
  /** Resolves when everything has been heard that was published before this was called. */
  ping(): Promise<void>;
  /** Ends the connection as it is, so that everything is subscribed to anew. */
  reset(cause: string): void;
}

interface Heard {
  readonly event: RoomEvent | Notice;
  readonly line: string;
}

/**
 * What is heard of one room, made whole: what is missing is read from the log before anything later is handed on, and
 * nothing is handed on twice.
 */
export class RoomSubscription {
  readonly #room: string;
  readonly #log: Log;
  readonly #source: SubscriptionSource;
  readonly #listener: RoomListener;
  /** The last message that was handed on, or the newest when the room was opened; `undefined` until it is known. */
  #position: string | undefined;
  /** What was heard since something was found to be missing. */
  #waiting: Heard[] = [];
  #waitingLength = 0;
  /** The filling that is under way: whoever finds another one here has been overtaken, and ends. */
  #filling: symbol | undefined;

  /**
   * @param room the room's name
   * @param log where to read what is missing
   * @param source where it is heard from
   * @param listener whom to hand it to
   */
  constructor(room: string, log: Log, source: SubscriptionSource, listener: RoomListener) {
    this.#room = room;
    this.#log = log;
    this.#source = source;
    this.#listener = listener;
  }

  /** Takes what was heard on the room's channel: an event, or several with a line each, or anything else from outside. */
  handlePayload(payload: string): void {
    if (!payload.includes("\n")) return this.#take(parseEvent(payload), payload);
    const lines = payload.split("\n");
    const events = lines.map(parseEvent);
    if (events.some(({ type }) => type === "notice")) {
      return this.#take({ type: "notice", text: payload }, payload);
    }
    events.forEach((event, i) => this.#take(event, lines[i]));
  }

  #take(event: RoomEvent | Notice, line: string): void {
    if (event.type === "notice") line = JSON.stringify(event);
    if (this.#filling || this.#position === undefined) {
      this.#wait({ event, line });
    } else if (event.type === "message" && event.prev !== this.#position) {
      this.#takeOutOfLine(event, line);
    } else {
      if (event.type === "message") this.#position = event.id;
      this.#listener.onEvent(event, line);
    }
  }

  #takeOutOfLine(event: Message, line: string): void {
    if (!isLater(event.prev, this.#position!)) return this.#hand(event, line);
    this.#wait({ event, line });
    this.fillGap();
  }

  #wait(heard: Heard): void {
    this.#waiting.push(heard);
    this.#waitingLength += heard.line.length + EVENT_COST;
    if (this.#waitingLength > MOST_WAITING) this.#source.reset("too much waits for the log");
  }

  /**
   * Begins with the room's newest message.
   *
   * @returns its id
   */
  async start(): Promise<string> {
    const newest = await this.#log.newest(this.#room);
    if (this.#position === undefined) {
      this.#position = newest;
      for (const { event, line } of this.#takeWaiting()) this.#hand(event, line);
    } else {
      await this.fillGap();
    }
    return this.#position;
  }

  /** After a subscription was lost: whatever was heard by it and waits is in the log, or too old to be told. */
  async resync(): Promise<void> {
    this.#takeWaiting();
    await (this.#position === undefined ? this.start() : this.fillGap());
  }

  /** Reads what is missing from the log, hands it on, and then what was heard meanwhile. Tries until it can. */
  async fillGap(): Promise<void> {
    const mine = this.#filling = Symbol();
    for (let isDone = false; !isDone;) {
      try {
        isDone = await this.#fillSome(mine);
      } catch {
        await sleep(TRY_AGAIN_AFTER);
      }
      if (this.#filling !== mine) return;
    }
    // What is heard meanwhile waits too, until nothing does.
    while (this.#waiting.length > 0) {
      await this.#handSlowly(this.#takeWaiting(), mine);
      if (this.#filling !== mine) return;
    }
    this.#filling = undefined;
  }

  /** Nothing is handed on any more. */
  close(): void {
    this.#filling = Symbol();
    this.#takeWaiting();
  }

  /** Hands on what is missing, as far as one read of the log goes; says whether that was all. */
  async #fillSome(mine: symbol): Promise<boolean> {
    const newest = await this.#log.newest(this.#room);
    // Redis has lost the end of its data, or all of it: what is said now may even get earlier ids than that.
    if (isLater(this.#position!, newest)) this.#position = newest;
    const missing = await this.#log.readAfter(this.#room, this.#position!, READ_AT_ONCE);
    this.#reportHole(missing[0]?.event.prev);
    // Of what was read, what was heard too waits by then, in its place among those who join and leave.
    await this.#source.ping();
    if (this.#filling !== mine) return true;
    const heard = this.#waiting.map(({ event }) => event).find((event) => event.type === "message");
    const first = heard && missing.findIndex(({ event }) => !isLater(heard.id, event.id));
    const isLast = first !== undefined && first >= 0;
    await this.#handSlowly(isLast ? missing.slice(0, first) : missing, mine);
    return isLast || missing.length === 0;
  }

  #reportHole(before: string | undefined): void {
    if (before === undefined || !isLater(before, this.#position!)) return;
    console.error(
      `Messages of room ${this.#room} from after ${this.#position} to ${before} were not heard ` +
        "and have left the log: HISTORY_LIMIT is too small for what is said during an outage",
    );
  }

  #takeWaiting(): Heard[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingLength = 0;
    return waiting;
  }

  async #handSlowly(all: readonly Heard[], mine: symbol): Promise<void> {
    let handed = 0;
    for (const { event, line } of all) {
      if (this.#filling !== mine) return;
      this.#hand(event, line);
      handed += line.length;
      if (handed < HANDED_AT_ONCE) continue;
      handed = 0;
      await sleep(PAUSE);
    }
  }

  #hand(event: RoomEvent | Notice, line: string): void {
    if (event.type === "message") {
      if (!isLater(event.id, this.#position!)) return;
      this.#position = event.id;
    }
    this.#listener.onEvent(event, line);
  }
}
