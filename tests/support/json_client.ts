import { deadline } from "../../chat/store/deadline.ts";
import type { Notice, RoomEvent } from "../../chat/protocol/events.ts";
import type { Reply } from "../../chat/protocol/protocol.ts";

/** No event is waited for longer than this, in milliseconds: a test that is red then must not hang. */
const PATIENCE = 60_000;

/** Whatever a server may send. */
export type FromServer = Reply | RoomEvent | Notice;

/** An event of one type. */
export type Of<T extends FromServer["type"]> = Extract<FromServer, { type: T }>;

/** What a client of the JSON protocol may ask for. */
export interface Asked {
  readonly room?: string;
  readonly since?: string;
  readonly history?: number;
}

/** A bare client of the JSON protocol that writes down every event it gets. */
export class JsonClient {
  /** Every event so far. */
  readonly events: FromServer[] = [];
  /** How many frames they came in. */
  frames = 0;
  /** How the connection ended. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #wake = Promise.withResolvers<void>();
  #isClosed = false;
  #messages = 0;

  constructor(port: number, user: string, asked: Asked = {}) {
    const url = new URL(`ws://127.0.0.1:${port}/chat/${encodeURIComponent(user)}`);
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, `${value}`);
    this.#socket = new WebSocket(url, "chat.json.v1");
    this.#socket.onmessage = ({ data }) => {
      this.frames++;
      for (const line of data.split("\n")) {
        const event: FromServer = JSON.parse(line);
        this.events.push(event);
        if (event.type === "message") this.#messages++;
      }
      this.#notify();
    };
    this.#socket.onerror = () => {};
    this.closed = new Promise((resolve) =>
      this.#socket.onclose = ({ code, reason }) => {
        this.#isClosed = true;
        this.#notify();
        resolve({ code, reason });
      }
    );
  }

  /** Joins and waits for the welcome. */
  static async join(port: number, user: string, asked: Asked = {}): Promise<JsonClient> {
    const client = new JsonClient(port, user, asked);
    await client.welcome();
    return client;
  }

  /** The welcome; fails if something else came first. */
  async welcome(): Promise<Of<"welcome">> {
    await this.received(1);
    const [first] = this.events;
    if (first.type !== "welcome") throw new Error(`no welcome, but: ${JSON.stringify(first)}`);
    return first;
  }

  /** All events of a type so far. */
  all<T extends FromServer["type"]>(type: T): Of<T>[] {
    return this.events.filter((event) => event.type === type) as Of<T>[];
  }

  /** The texts of all messages so far. */
  get texts(): string[] {
    return this.all("message").map(({ text }) => text);
  }

  /** Resolves once so many events have come in all. */
  async received(count: number): Promise<void> {
    while (this.events.length < count) await this.#change(`${count} events`);
  }

  /** Resolves once so many messages have come in all. */
  async messages(count: number): Promise<void> {
    while (this.#messages < count) await this.#change(`${count} messages`);
  }

  /** Resolves with the first event of a type that is as wanted, which may have come before. */
  async find<T extends FromServer["type"]>(
    type: T,
    isWanted: (event: Of<T>) => boolean = () => true,
  ): Promise<Of<T>> {
    for (;;) {
      const found = this.all(type).find(isWanted);
      if (found) return found;
      await this.#change(type);
    }
  }

  /** Sends objects, each as a line of one frame; strings as they are. */
  send(...lines: unknown[]): void {
    const texts = lines.map((line) => typeof line === "string" ? line : JSON.stringify(line));
    this.#socket.send(texts.join("\n"));
  }

  sendBytes(data: Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  /** Says something and waits for its ack; gives its id. */
  async say(text: string, ref: string = crypto.randomUUID()): Promise<string> {
    this.send({ type: "message", text, ref });
    return (await this.find("ack", (ack) => ack.ref === ref)).id;
  }

  /** Says goodbye; resolves when the server has too. */
  async leave(): Promise<void> {
    this.#socket.close(1000);
    await this.closed;
  }

  async #change(wanted: string): Promise<void> {
    if (this.#isClosed) {
      throw new Error(`closed, but ${wanted} wanted after ${JSON.stringify(this.events)}`);
    }
    await deadline(this.#wake.promise, PATIENCE).catch((error) => {
      const last = JSON.stringify(this.events.slice(-5)).slice(0, 1_000);
      throw new Error(`${wanted} wanted, but after ${last} ${error.message}`);
    });
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
