import { deadline } from "../../chat/store/deadline.ts";
import { TIMEOUT_MS } from "./wait.ts";

/** The query of a chat URL. */
export interface JoinOptions {
  readonly room?: string;
  readonly since?: string;
  readonly history?: number;
  readonly token?: string;
}

/** A WebSocket client that records what the server sends, for the clients of both protocols. */
export abstract class RecordingClient<Item> {
  /** Resolves when the client can send, which is before the welcome. */
  readonly opened: Promise<unknown>;
  /** Resolves when the connection is closed; the code of an abrupt end is 1005 or 1006. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Everything received so far. */
  protected readonly items: Item[] = [];
  protected readonly socket: WebSocket;
  #changed = Promise.withResolvers<void>();
  #isClosed = false;

  /** @param decode splits a frame into what is recorded */
  constructor(
    port: number,
    user: string,
    options: JoinOptions,
    decode: (frame: string) => Item[],
    subprotocols: string[] = [],
  ) {
    const url = new URL(`ws://127.0.0.1:${port}/chat/${encodeURIComponent(user)}`);
    for (const [name, value] of Object.entries(options)) {
      if (value !== undefined) url.searchParams.set(name, `${value}`);
    }
    this.socket = new WebSocket(url, subprotocols);
    this.socket.onmessage = ({ data }) => {
      this.items.push(...decode(data));
      this.#notify();
    };
    this.socket.onerror = () => {};
    this.opened = new Promise((resolve) => this.socket.onopen = resolve);
    this.closed = new Promise((resolve) =>
      this.socket.onclose = ({ code, reason }) => {
        this.#isClosed = true;
        this.#notify();
        resolve({ code, reason });
      }
    );
  }

  /** Waits until the client has received a number of items in all. */
  async received(count: number): Promise<void> {
    await this.waitUntil(() => this.items.length >= count, `${count} items`);
  }

  /** Closes the connection, and waits for the server's close frame. */
  async leave(): Promise<void> {
    this.socket.close(1000);
    await this.closed;
  }

  /**
   * Waits until a condition holds; checks it whenever something is received.
   *
   * @param expected what the client waits for, for the error text
   * @throws {Error} if the connection is closed first, or nothing is received for too long
   */
  protected async waitUntil(condition: () => boolean, expected: string): Promise<void> {
    while (!condition()) {
      if (this.#isClosed) throw this.#failure(expected, "the connection is closed");
      await deadline(this.#changed.promise, TIMEOUT_MS).catch((error) => {
        throw this.#failure(expected, error.message);
      });
    }
  }

  #failure(expected: string, cause: string): Error {
    const last = JSON.stringify(this.items.slice(-5)).slice(0, 1_000);
    const received = `${this.items.length} items, which end with ${last}`;
    return new Error(`expected ${expected}, but ${cause} after ${received}`);
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Joins many clients, 50 at a time so that the server's listen queue does not overflow. */
export async function joinMany<User, Client>(
  users: readonly User[],
  join: (user: User, index: number) => Promise<Client>,
): Promise<Client[]> {
  const clients: Client[] = [];
  for (let start = 0; start < users.length; start += 50) {
    const batch = users.slice(start, start + 50);
    clients.push(...await Promise.all(batch.map((user, i) => join(user, start + i))));
  }
  return clients;
}
