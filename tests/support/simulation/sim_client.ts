import { makeRandom } from "../random.ts";
import { sleep } from "../wait.ts";
import type { Outgoing } from "./schedule.ts";
import type { ClientKind, Entry, Transcript } from "./transcript.ts";

/** The most bytes of a text, and what is longer. */
export const MAX_MESSAGE_BYTES = 2_000;
const SIZES = { short: 0, long: 1_500, "too long": 2_100 };

/** A message with a ref that has no final answer yet. */
interface Unanswered {
  readonly text: string;
  readonly ref: string;
  readonly isRepeated: boolean;
  /** Whether it may be in the log: an attempt had no answer, or the answer `unknown`. */
  isInDoubt: boolean;
  /** Whether it was refused, or its outcome is unknown, and it has to be sent again. */
  isDue: boolean;
}

/** The delay before a client connects again, and before it sends again what was refused. */
const RETRY_DELAY_MS = 20;

/** Omits the type-specific union's `at`. */
type EntryWithoutTime = Entry extends infer E ? E extends Entry ? Omit<E, "at"> : never : never;

/**
 * A client that follows docs/protocol.md, and shares no code with chat/client. It resumes with
 * `since`, sends again with the same `ref`, and names the message before it in `after` where the
 * server offers that.
 */
export class SimClient {
  readonly transcript: Transcript;
  readonly #entries: Entry[] = [];
  readonly #user: string;
  readonly #kind: ClientKind;
  readonly #url: string;
  readonly #pointTo: (instance: number) => void;
  readonly #random: () => number;
  readonly #unanswered: Unanswered[] = [];
  readonly #counts = { ref: 0, plain: 0 };
  #socket: WebSocket | undefined;
  #isJoined = false;
  #isStopped = false;
  #namesPredecessor = false;
  #instance: number;
  #position: string | undefined;
  #resumes = true;
  #repeatTimer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void>;

  /**
   * @param options.port where its proxy listens
   * @param options.pointTo makes the proxy lead to an instance
   */
  constructor({ user, kind, port, instance, seed, pointTo }: {
    user: string;
    kind: ClientKind;
    port: number;
    instance: number;
    seed: number;
    pointTo: (instance: number) => void;
  }) {
    this.#user = user;
    this.#kind = kind;
    this.#url = `ws://127.0.0.1:${port}/chat/${user}`;
    this.#pointTo = pointTo;
    this.#instance = instance;
    this.#random = makeRandom(seed);
    this.transcript = { user, kind, entries: this.#entries };
    this.#running = this.#run();
  }

  /** Whether it is in the room, and nothing that it sent waits for an answer. */
  get isSettled(): boolean {
    return this.isJoined && this.#unanswered.length === 0;
  }

  /** Whether it is in the room, and not about to leave. */
  get isJoined(): boolean {
    return this.#isJoined && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether it has received a real message that ends with a text. */
  hasReceived(text: string): boolean {
    return this.#entries.some((entry) =>
      entry.type === "received"
        ? entry.event.text === text
        : entry.type === "receivedText" && entry.line.endsWith(`: ${text}`)
    );
  }

  /** Sends messages in one turn. Those with a ref are kept until they are answered. */
  send(messages: readonly Outgoing[]): string[] {
    return messages.map(({ way, isRepeated, size }) => {
      const n = this.#counts[way]++;
      const text = `real ${this.#user} ${way} ${n}${
        "x".repeat(SIZES[size]) && ` ${"x".repeat(SIZES[size])}`
      }`;
      if (way === "plain") {
        if (this.#isJoined) this.#transmit(text);
        return text;
      }
      const ref = `${this.#user}-${n}-${Math.floor(this.#random() * 1e9)}`;
      const message = { text, ref, isRepeated, isInDoubt: false, isDue: !this.#isJoined };
      this.#unanswered.push(message);
      if (this.#isJoined) this.#transmit(text, message);
      return text;
    });
  }

  /** Makes the next connection lead to an instance, and perhaps not resume. */
  move(instance: number, resumes = true): void {
    this.#instance = instance;
    this.#resumes = resumes;
  }

  /** Closes the connection in order. The client connects again. */
  leave(): void {
    this.#socket?.close(1000);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#repeatTimer);
    this.leave();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#connect();
      if (!this.#isStopped) await sleep(RETRY_DELAY_MS * (0.5 + this.#random()));
    }
  }

  #connect(): Promise<void> {
    const isText = this.#kind === "text";
    if (!this.#resumes) this.#position = undefined;
    this.#resumes = true;
    const since = this.#position;
    this.#pointTo(this.#instance);
    const query = since === undefined ? "" : `?since=${since}`;
    const socket = this.#socket = new WebSocket(
      this.#url + query,
      isText ? [] : ["chat.json.v1"],
    );
    this.#note({ type: "opened", instance: this.#instance, since });
    socket.onmessage = ({ data }) => {
      if (isText) return this.#receiveText(data);
      for (const line of data.split("\n")) this.#receive(JSON.parse(line));
    };
    socket.onerror = () => {};
    return new Promise((resolve) =>
      socket.onclose = ({ code }) => {
        this.#note({ type: "closed", code });
        this.#isJoined = false;
        for (const message of this.#unanswered) {
          // What was on its way is in doubt. What was refused is not.
          if (!message.isDue) message.isInDoubt = message.isDue = true;
        }
        resolve();
      }
    );
  }

  #note(entry: EntryWithoutTime): void {
    this.#entries.push({ at: performance.now(), ...entry } as Entry);
  }

  #receiveText(line: string): void {
    this.#note({ type: "receivedText", line });
    if (line === `Welcome ${this.#user}!`) this.#isJoined = true;
  }

  // deno-lint-ignore no-explicit-any -- the checker judges it
  #receive(event: any): void {
    this.#note({ type: "received", event });
    switch (event.type) {
      case "welcome":
        this.#isJoined = true;
        this.#namesPredecessor = event.features?.includes("after") ?? false;
        this.#position ??= event.last;
        return this.#repeat();
      case "message":
        this.#position = event.id;
        return;
      case "resync":
        this.#position = event.last;
        return;
      case "ack":
        return this.#settle(event.ref);
      case "error":
        return this.#handleError(event);
    }
  }

  #handleError({ code, ref }: { code: string; ref?: string }): void {
    const message = this.#unanswered.find((message) => message.ref === ref);
    if (!message) return;
    if (code === "unknown") message.isInDoubt = true;
    if (code === "not_delivered" && !message.isRepeated && !message.isInDoubt) {
      this.#note({ type: "gaveUp", text: message.text });
      return this.#settle(message.ref);
    }
    if (code !== "unknown" && code !== "not_delivered") {
      this.#note({ type: "gaveUp", text: message.text });
      return this.#settle(message.ref);
    }
    message.isDue = true;
    this.#repeatTimer ??= setTimeout(() => {
      if (this.#isJoined) this.#repeat();
    }, RETRY_DELAY_MS);
  }

  #settle(ref: string): void {
    const i = this.#unanswered.findIndex((message) => message.ref === ref);
    if (i >= 0) this.#unanswered.splice(i, 1);
  }

  /** Sends what was refused, lost or in doubt, in the order in which it was first sent. */
  #repeat(): void {
    clearTimeout(this.#repeatTimer);
    this.#repeatTimer = undefined;
    for (const message of this.#unanswered) {
      if (!message.isDue) continue;
      message.isDue = false;
      this.#transmit(message.text, message);
    }
  }

  #transmit(text: string, message?: Unanswered): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      if (message) message.isDue = true;
      return;
    }
    const ref = message?.ref;
    const before = message && this.#unanswered[this.#unanswered.indexOf(message) - 1];
    const after = this.#namesPredecessor ? before?.ref : undefined;
    this.#note({ type: "sent", text, ref, after });
    this.#socket.send(
      this.#kind === "text" ? text : JSON.stringify({ type: "message", text, ref, after }),
    );
  }
}
