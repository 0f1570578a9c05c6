import { deadline } from "../../chat/store/deadline.ts";

/** No frame is waited for longer than this, in milliseconds: a test that is red then must not hang. */
const PATIENCE = 60_000;

/** A chat client that writes down every frame it gets. */
export class Client {
  /** Every frame so far. */
  readonly frames: string[] = [];
  /** Resolves when frames can be sent, which is before the welcome. */
  readonly opened: Promise<unknown>;
  /** How the connection ended; on an abrupt end code 1006 or 1005. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #wake = Promise.withResolvers<void>();
  #read = 0;
  #isClosed = false;

  constructor(port: number, user: string, room?: string, { history }: { history?: number } = {}) {
    const url = new URL(`ws://127.0.0.1:${port}/chat/${encodeURIComponent(user)}`);
    if (room !== undefined) url.searchParams.set("room", room);
    if (history !== undefined) url.searchParams.set("history", `${history}`);
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = ({ data }) => {
      this.frames.push(data);
      this.#notify();
    };
    this.#socket.onerror = () => {};
    this.opened = new Promise((resolve) => this.#socket.onopen = resolve);
    this.closed = new Promise((resolve) =>
      this.#socket.onclose = ({ code, reason }) => {
        this.#isClosed = true;
        this.#notify();
        resolve({ code, reason });
      }
    );
  }

  /** Joins and waits for the welcome. */
  static async join(
    port: number,
    user: string,
    room?: string,
    asked?: { history?: number },
  ): Promise<Client> {
    const client = new Client(port, user, room, asked);
    const first = await client.next();
    if (first !== `Welcome ${user.normalize("NFC")}!`) throw new Error(`no welcome, but: ${first}`);
    return client;
  }

  /** The next frame that was not read yet. */
  async next(): Promise<string> {
    await this.received(this.#read + 1);
    return this.frames[this.#read++];
  }

  /** Resolves once so many frames have come in all. */
  async received(count: number): Promise<void> {
    while (this.frames.length < count) await this.#change(`${count} frames`);
  }

  /** Resolves once a frame has come; all up to it count as read. */
  async until(frame: string): Promise<void> {
    while (await this.next() !== frame);
  }

  /** Like {@linkcode Client.until}, and takes the frame out of what was written down. */
  async forget(frame: string): Promise<void> {
    await this.until(frame);
    this.frames.splice(--this.#read, 1);
  }

  /** Starts with an empty page. */
  forgetAll(): void {
    this.frames.length = this.#read = 0;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  /** Says goodbye; resolves when the server has too. */
  async leave(): Promise<void> {
    this.#socket.close(1000);
    await this.closed;
  }

  async #change(wanted: string): Promise<void> {
    if (this.#isClosed) {
      throw new Error(`closed after ${this.frames.length} frames, ${wanted} wanted`);
    }
    await deadline(this.#wake.promise, PATIENCE).catch((error) => {
      const last = this.frames.slice(-5).map((frame) => frame.slice(0, 100));
      throw new Error(`${wanted} wanted, but after ${JSON.stringify(last)} ${error.message}`);
    });
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** Joins many, some at a time, so that no listen queue runs over: port, user and room of each. */
export async function joinMany(whom: [number, string, string?][]): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < whom.length; i += 50) {
    const part = whom.slice(i, i + 50).map(([port, user, room]) => Client.join(port, user, room));
    clients.push(...await Promise.all(part));
  }
  return clients;
}

/**
 * Publishes a last line on a room's channel and waits until every client has it: what was said before it, and no more,
 * is in their frames then.
 */
export async function settle(
  redis: { command(...words: string[]): Promise<unknown> },
  clients: Client[],
  channel = "chat",
): Promise<void> {
  const mark = `mark ${crypto.randomUUID()}`;
  await redis.command("PUBLISH", channel, mark);
  await Promise.all(clients.map((client) => client.forget(mark)));
}
