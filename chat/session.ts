import { CLOSING, type Closing } from "./close_codes.ts";
import type { Hub } from "./hub.ts";
import { MAYBE_DELIVERED, NOT_DELIVERED, taken, UNREACHABLE, welcome } from "./protocol/text.ts";
import type { Member } from "./room.ts";
import { StoreUnavailable } from "./store.ts";

/** What a session is told when it starts. */
export interface SessionOptions {
  readonly user: string;
  readonly room: string;
  /** The most bytes that a message may have. */
  readonly maxMessageBytes: number;
}

/** The most bytes that may wait for a client that does not read. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** After so many characters sent, a look at what waits: asking on every send would cost more than the send. */
const LOOK_EVERY = 64 * 1024;

/** One user's connection, from join to leave. */
export class Session implements Member {
  readonly id: string = crypto.randomUUID();
  readonly user: string;
  /** Resolves when the socket is closed, which is later than the leave where the peer does not read. */
  readonly closed: Promise<void>;

  readonly #room: string;
  readonly #maxMessageBytes: number;
  readonly #socket: WebSocket;
  readonly #hub: Hub;
  #state: "joining" | "member" | "gone" = "joining";
  /** What came before the welcome, to be said after it. */
  #early: string[] = [];
  #sentSinceLook = 0;

  constructor(socket: WebSocket, hub: Hub, { user, room, maxMessageBytes }: SessionOptions) {
    this.user = user;
    this.#room = room;
    this.#maxMessageBytes = maxMessageBytes;
    this.#socket = socket;
    this.#hub = hub;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#join();
    socket.onmessage = ({ data }) => this.#receive(data);
    this.closed = new Promise((resolve) =>
      socket.onclose = () => {
        this.#leave();
        resolve();
      }
    );
  }

  admit(): void {
    if (this.#state === "gone") return this.#hub.leave(this.#room, this);
    this.#state = "member";
    this.send(welcome(this.user));
    for (const text of this.#early) this.#say(text);
    this.#early = [];
  }

  send(frame: string): void {
    this.#socket.send(frame);
    this.#sentSinceLook += frame.length;
    if (this.#sentSinceLook < LOOK_EVERY) return;
    this.#sentSinceLook = 0;
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) this.end(CLOSING.tooSlow);
  }

  lose(): void {
    this.#refuse(taken(this.user), CLOSING.nameTaken);
  }

  /** Leaves the room at once and closes the socket as soon as the peer lets it. */
  end({ code, reason }: Closing): void {
    this.#leave();
    this.#socket.close(code, reason);
  }

  #leave(): void {
    this.#state = "gone";
    this.#early = [];
    this.#hub.leave(this.#room, this);
  }

  async #join(): Promise<void> {
    try {
      if (await this.#hub.join(this.#room, this)) return;
      this.#refuse(taken(this.user), CLOSING.nameTaken);
    } catch (error) {
      console.error(`a join failed: ${(error as Error).message}`);
      this.#refuse(UNREACHABLE, CLOSING.tryLater);
    }
  }

  #refuse(frame: string, closing: Closing): void {
    this.send(frame);
    this.end(closing);
  }

  #receive(data: unknown): void {
    if (this.#state === "gone") return;
    if (typeof data !== "string") return this.end(CLOSING.binary);
    if (isLonger(data, this.#maxMessageBytes)) return this.end(CLOSING.tooLarge);
    if (this.#state === "member") this.#say(data);
    else this.#keep(data);
  }

  #keep(text: string): void {
    this.#early.push(text);
    const tooMany = this.#early.length > 100 ||
      isLonger(this.#early.join(""), this.#maxMessageBytes);
    if (tooMany) this.end(CLOSING.tooMany);
  }

  async #say(text: string): Promise<void> {
    try {
      await this.#hub.say(this.#room, this.user, text);
    } catch (error) {
      this.send(error instanceof StoreUnavailable ? NOT_DELIVERED : MAYBE_DELIVERED);
    }
  }
}

/** Whether a text has more than so many bytes in UTF-8, where no UTF-16 unit takes more than three. */
function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes ||
    text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
