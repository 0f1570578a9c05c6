/**
 * Messages that are sent and looked for in what comes: when each came to whom, and afterwards whether everyone got each
 * of them, once and in the same order.
 *
 * @module
 */
import type { Client, Crowd } from "./crowd.ts";
import { makeFrame, TEXT } from "./frames.ts";
import { Histogram } from "./histogram.ts";

/** Fills a message's text up: nothing else on the wire has it. */
const FILLING = "~";
const FILLED = FILLING.charCodeAt(0);
const DIGITS = 9;
const ZERO = /0{9}/g;

/** What is lost is not waited for any longer, in milliseconds. */
const PATIENCE = 5_000;

/** What is wrong with what came. */
export interface Audit {
  readonly lost: number;
  readonly repeated: number;
  readonly disordered: number;
}

/** The text of a message, which begins with its number. */
export function textOf(number: number, length: number): string {
  return `${number}`.padStart(DIGITS, "0").padEnd(length, FILLING);
}

/** Where the filling begins that goes from somewhere between two places to the second of them. */
function firstFilled(bytes: Uint8Array, from: number, to: number): number {
  while (from < to) {
    const middle = (from + to) >> 1;
    if (bytes[middle] === FILLED) to = middle;
    else from = middle + 1;
  }
  return to;
}

/** No two messages of a run have the same number, so that one that is late is not taken for another. */
let nextNumber = 0;

/** What a crowd's clients say to one another for a while. */
export class Talk {
  /** How many messages have come since {@linkcode Talk.clear}, each counted once for everyone who got it. */
  deliveries = 0;
  /** How long they took. */
  readonly latencies = new Histogram();
  /** Called when everyone has a message. */
  done: (sender: Client) => void = () => {};

  readonly #crowd: Crowd;
  readonly #length: number;
  readonly #frame: Uint8Array<ArrayBuffer>;
  /** Where a message's number stands in its frame. */
  readonly #numbersAt: number[];
  readonly #first = nextNumber;
  readonly #sentAt: number[] = [];
  readonly #senders: Client[] = [];
  readonly #missing: number[] = [];
  /** What came to each client, in order. */
  readonly #heard: Int32Array[];
  readonly #heardCounts: Int32Array;
  #unfinished = 0;

  /** @param length how many characters a message has */
  constructor(crowd: Crowd, length = 64) {
    this.#crowd = crowd;
    this.#length = length;
    const said = crowd.dialect.say(textOf(0, length));
    this.#frame = makeFrame(TEXT, new TextEncoder().encode(said));
    const header = this.#frame.length - said.length;
    this.#numbersAt = [...said.matchAll(ZERO)].map(({ index }) => header + index);
    this.#heard = crowd.clients.map(() => new Int32Array(64));
    this.#heardCounts = new Int32Array(crowd.clients.length);
    crowd.hear = (client, bytes, start, end) => this.#hear(client, bytes, start, end);
  }

  /** How many messages were sent. */
  get messages(): number {
    return this.#sentAt.length;
  }

  /** Counts a message that someone else sends, and gives its number. */
  expect(sender: Client, at: number): number {
    const { clients, dialect } = this.#crowd;
    this.#sentAt.push(at);
    this.#senders.push(sender);
    this.#missing.push(dialect.echoes ? clients.length : clients.length - 1);
    this.#unfinished++;
    return nextNumber++;
  }

  /** Sends a message, which was due at a time. */
  say(sender: Client, at = performance.now()): void {
    let rest = this.expect(sender, at);
    for (let i = DIGITS - 1; i >= 0; i--) {
      for (const at of this.#numbersAt) this.#frame[at + i] = 48 + rest % 10;
      rest = Math.floor(rest / 10);
    }
    this.#crowd.send(sender, this.#frame);
  }

  /** Begins to count again. */
  clear(): void {
    this.deliveries = 0;
    this.latencies.clear();
  }

  /** Waits for everything that was sent, and then for what should not come. */
  finish(): Audit {
    let progressAt = performance.now();
    while (this.#unfinished > 0 && performance.now() - progressAt < PATIENCE) {
      const before = this.deliveries;
      this.#crowd.pump(100);
      if (this.deliveries > before) progressAt = performance.now();
    }
    this.#crowd.pumpFor(50);
    this.#crowd.hear = () => {};
    return this.#audit();
  }

  #hear(client: Client, bytes: Uint8Array, start: number, end: number): void {
    // Looks at so few bytes that what surrounds the texts, which is not of the same length for all, costs nothing: none
    // can lie between two of them.
    const filling = this.#length - DIGITS;
    for (let at = start + this.#length - 1; at < end; at += filling) {
      if (bytes[at] !== FILLED) continue;
      const filledFrom = firstFilled(bytes, at - filling + 1, at);
      let number = 0;
      for (let i = filledFrom - DIGITS; i < filledFrom; i++) number = number * 10 + bytes[i] - 48;
      this.#count(client, number - this.#first);
      // The next text cannot end before.
      at = filledFrom + this.#length - 1;
    }
  }

  #count(client: Client, message: number): void {
    // Of an earlier talk, which has counted it as lost.
    if (message < 0) return;
    this.deliveries++;
    this.latencies.add(this.#crowd.now - this.#sentAt[message]);
    const { index } = client;
    const count = this.#heardCounts[index]++;
    if (count === this.#heard[index].length) {
      const longer = new Int32Array(2 * count);
      longer.set(this.#heard[index]);
      this.#heard[index] = longer;
    }
    this.#heard[index][count] = message;
    if (--this.#missing[message] !== 0) return;
    this.#unfinished--;
    this.done(this.#senders[message]);
  }

  /** Compares what everyone heard with what was sent, and its order with that in which the last client heard it. */
  #audit(): Audit {
    let lost = 0, repeated = 0, disordered = 0;
    const { clients, dialect } = this.#crowd;
    const order = new Int32Array(this.messages).fill(-1);
    const reference = clients.length - 1;
    for (let i = 0; i < this.#heardCounts[reference]; i++) order[this.#heard[reference][i]] = i;
    const times = new Uint8Array(this.messages);
    for (const client of clients) {
      times.fill(0);
      let last = -1;
      for (let i = 0; i < this.#heardCounts[client.index]; i++) {
        const message = this.#heard[client.index][i];
        times[message]++;
        if (order[message] < 0) continue;
        if (order[message] < last) disordered++;
        last = order[message];
      }
      for (let message = 0; message < this.messages; message++) {
        const isOwn = this.#senders[message] === client;
        const wanted = isOwn && !dialect.echoes ? 0 : 1;
        if (times[message] < wanted) lost++;
        if (times[message] > wanted) repeated += times[message] - wanted;
      }
    }
    return { lost, repeated, disordered };
  }
}
