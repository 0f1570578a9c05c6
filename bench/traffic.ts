/**
 * Messages that clients publish to one another. {@linkcode Traffic} measures how long each delivery
 * takes, and checks that every client receives every message once and in the same order.
 *
 * @module
 */
import type { Client, ClientGroup } from "./client_group.ts";
import { makeFrame, TEXT } from "./frames.ts";
import { Histogram } from "./histogram.ts";

/** Pads the text of a message. Nothing else in a frame contains this character. */
const PADDING = "~";
const PADDING_BYTE = PADDING.charCodeAt(0);
const DIGITS = 9;
const ZERO = /0{9}/g;

/** A message that is missing when nothing has arrived for this long is lost. */
const LOSS_TIMEOUT_MS = 5_000;

/** What went wrong: how many deliveries were lost, duplicated or out of order. */
export interface DeliveryErrors {
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
}

/** Builds the text of a message: its number, then padding. */
export function textOf(number: number, length: number): string {
  return `${number}`.padStart(DIGITS, "0").padEnd(length, PADDING);
}

/** Finds where the padding that contains `to` begins, which is at or after `from`. */
function paddingStart(bytes: Uint8Array, from: number, to: number): number {
  while (from < to) {
    const middle = (from + to) >> 1;
    if (bytes[middle] === PADDING_BYTE) to = middle;
    else from = middle + 1;
  }
  return to;
}

/**
 * Counts through the whole run, so that a late message is not taken for one of a later {@linkcode
 * Traffic}.
 */
let nextNumber = 0;

/** The messages that the clients of a group publish during one measurement. */
export class Traffic {
  /**
   * The number of deliveries since {@linkcode Traffic.resetFigures}: one for each message and
   * recipient.
   */
  deliveries = 0;
  /** The latencies of these deliveries. */
  readonly latencies = new Histogram();
  /** Called when all recipients have a message. */
  onDelivered: (sender: Client) => void = () => {};

  readonly #group: ClientGroup;
  readonly #length: number;
  readonly #frame: Uint8Array<ArrayBuffer>;
  /** The offsets of the message's number in the frame. */
  readonly #numberOffsets: number[];
  readonly #firstNumber = nextNumber;
  readonly #publishedAt: number[] = [];
  readonly #senders: Client[] = [];
  /** For each message, how many recipients do not have it yet. */
  readonly #missing: number[] = [];
  /** For each client, the messages that it received, in order. */
  readonly #received: Int32Array[];
  readonly #receivedCounts: Int32Array;
  #undelivered = 0;

  /** @param length the length of a message's text, in characters */
  constructor(group: ClientGroup, length = 64) {
    this.#group = group;
    this.#length = length;
    const payload = group.protocol.publish(textOf(0, length));
    this.#frame = makeFrame(TEXT, new TextEncoder().encode(payload));
    const headerLength = this.#frame.length - payload.length;
    this.#numberOffsets = [...payload.matchAll(ZERO)].map(({ index }) => headerLength + index);
    this.#received = group.clients.map(() => new Int32Array(64));
    this.#receivedCounts = new Int32Array(group.clients.length);
    group.onText = (client, bytes, start, end) => this.#onText(client, bytes, start, end);
  }

  /** The number of messages published so far. */
  get publishedCount(): number {
    return this.#publishedAt.length;
  }

  /** Records a message that the caller sends itself, and returns its number. */
  record(sender: Client, publishedAt: number): number {
    const { clients, protocol } = this.#group;
    this.#publishedAt.push(publishedAt);
    this.#senders.push(sender);
    this.#missing.push(protocol.echoes ? clients.length : clients.length - 1);
    this.#undelivered++;
    return nextNumber++;
  }

  /** Publishes a message. Its latency counts from `dueAt`. */
  publish(sender: Client, dueAt = performance.now()): void {
    let rest = this.record(sender, dueAt);
    for (let i = DIGITS - 1; i >= 0; i--) {
      for (const offset of this.#numberOffsets) this.#frame[offset + i] = 48 + rest % 10;
      rest = Math.floor(rest / 10);
    }
    this.#group.send(sender, this.#frame);
  }

  /** Sets the number of deliveries and their latencies back to zero. */
  resetFigures(): void {
    this.deliveries = 0;
    this.latencies.clear();
  }

  /** Waits for the messages that are in flight, and a little longer for duplicates. */
  finish(): DeliveryErrors {
    let progressAt = performance.now();
    while (this.#undelivered > 0 && performance.now() - progressAt < LOSS_TIMEOUT_MS) {
      const before = this.deliveries;
      this.#group.poll(100);
      if (this.deliveries > before) progressAt = performance.now();
    }
    this.#group.pollFor(50);
    this.#group.onText = () => {};
    return this.#countErrors();
  }

  #onText(client: Client, bytes: Uint8Array, start: number, end: number): void {
    // Reads one byte in each stretch as long as the padding, and so cannot miss a text. The bytes
    // around the texts, of which some systems send more than others, then cost the load generator
    // next to nothing.
    const paddingLength = this.#length - DIGITS;
    for (let at = start + this.#length - 1; at < end; at += paddingLength) {
      if (bytes[at] !== PADDING_BYTE) continue;
      const numberEnd = paddingStart(bytes, at - paddingLength + 1, at);
      let number = 0;
      for (let i = numberEnd - DIGITS; i < numberEnd; i++) number = number * 10 + bytes[i] - 48;
      this.#onMessage(client, number - this.#firstNumber);
      // From here one step leads to the earliest place where the next text can end.
      at = numberEnd + this.#length - 1;
    }
  }

  #onMessage(client: Client, message: number): void {
    // A late message of an earlier measurement, which has counted it as lost.
    if (message < 0) return;
    this.deliveries++;
    this.latencies.add(this.#group.receivedAt - this.#publishedAt[message]);
    const { index } = client;
    const count = this.#receivedCounts[index]++;
    if (count === this.#received[index].length) {
      const longer = new Int32Array(2 * count);
      longer.set(this.#received[index]);
      this.#received[index] = longer;
    }
    this.#received[index][count] = message;
    if (--this.#missing[message] !== 0) return;
    this.#undelivered--;
    this.onDelivered(this.#senders[message]);
  }

  /**
   * Compares what each client received with what was published, and its order with that of the last
   * client.
   */
  #countErrors(): DeliveryErrors {
    let lost = 0, duplicated = 0, outOfOrder = 0;
    const { clients, protocol } = this.#group;
    const order = new Int32Array(this.publishedCount).fill(-1);
    const reference = clients.length - 1;
    for (let i = 0; i < this.#receivedCounts[reference]; i++) {
      order[this.#received[reference][i]] = i;
    }
    const times = new Uint8Array(this.publishedCount);
    for (const client of clients) {
      times.fill(0);
      let last = -1;
      for (let i = 0; i < this.#receivedCounts[client.index]; i++) {
        const message = this.#received[client.index][i];
        times[message]++;
        if (order[message] < 0) continue;
        if (order[message] < last) outOfOrder++;
        last = order[message];
      }
      for (let message = 0; message < this.publishedCount; message++) {
        const isOwn = this.#senders[message] === client;
        const expected = isOwn && !protocol.echoes ? 0 : 1;
        if (times[message] < expected) lost++;
        if (times[message] > expected) duplicated += times[message] - expected;
      }
    }
    return { lost, duplicated, outOfOrder };
  }
}
