import { CLOSING, type Closing } from "./close_codes.ts";
import type { Hub } from "./hub.ts";
import { MAYBE_DELIVERED, NOT_DELIVERED, taken, UNREACHABLE, welcome } from "./protocol/text.ts";
import type { Member } from "./room.ts";
import { StoreAnswerLost, StoreUnavailable } from "./store.ts";

/** What a session may take from the server. */
export interface SessionLimits {
  /** The most bytes that a message may have. */
  readonly maxMessageBytes: number;
  /** The most bytes that may wait for a client that reads too slowly, or from one that sends too fast. */
  readonly maxBufferedBytes: number;
  /** A client that answers no ping, or takes nothing of what waits for it, for so many seconds is gone. */
  readonly idleSeconds: number;
}

/** So often in `idleSeconds` a session is asked whether its client still takes what waits for it. */
export const LOOKS_WHILE_IDLE = 10;

/** After so many characters sent, a look at what waits: asking on every send would cost more than the send. */
const LOOK_EVERY = 64 * 1024;

/** One user's connection, from join to leave. */
export class Session implements Member {
  readonly id: string = crypto.randomUUID();
  readonly user: string;
  /** Resolves when the socket is closed, which is later than the leave where the peer does not read. */
  readonly closed: Promise<void>;

  readonly #room: string;
  readonly #limits: SessionLimits;
  readonly #socket: WebSocket;
  readonly #hub: Hub;
  #state: "joining" | "member" | "gone" = "joining";
  /** What came before the welcome, to be said after it. */
  #early: string[] = [];
  /** What has come and is not answered by the store yet, roughly in bytes. */
  #unanswered = 0;
  /** Why this session was ended, also where its socket was not open yet. */
  #closing: Closing | undefined;
  #sentSinceLook = 0;
  #waitedAtLook = 0;
  #looksWithoutProgress = 0;

  constructor(socket: WebSocket, hub: Hub, user: string, room: string, limits: SessionLimits) {
    this.user = user;
    this.#room = room;
    this.#limits = limits;
    this.#socket = socket;
    this.#hub = hub;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#closing ? this.end(this.#closing) : this.#join();
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
    // A turn later: nothing of what was sent in this one can have been written yet.
    if (this.#isOverBound()) setTimeout(() => this.#isOverBound() && this.end(CLOSING.tooSlow), 0);
  }

  #isOverBound(): boolean {
    return this.#socket.bufferedAmount > this.#limits.maxBufferedBytes;
  }

  lose(): void {
    this.#refuse(taken(this.user), CLOSING.nameTaken);
  }

  /**
   * Leaves if the client has taken nothing of what waits for it at {@linkcode LOOKS_WHILE_IDLE} looks. Deno's own ping
   * cannot tell: it waits behind the write that is stuck.
   */
  look(): void {
    if (this.#state === "gone") return;
    const waits = this.#socket.bufferedAmount;
    const isStuck = waits > 0 && waits >= this.#waitedAtLook;
    this.#looksWithoutProgress = isStuck ? this.#looksWithoutProgress + 1 : 0;
    this.#waitedAtLook = waits;
    if (this.#looksWithoutProgress > LOOKS_WHILE_IDLE) this.end(CLOSING.tooSlow);
  }

  /** Leaves the room at once and closes the socket as soon as the peer lets it. */
  end(closing: Closing): void {
    this.#closing = closing;
    this.#leave();
    this.#socket.close(closing.code, closing.reason);
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
      // An outage is in the log already, once and not once a join.
      const isOutage = [StoreUnavailable, StoreAnswerLost, Deno.errors.TimedOut]
        .some((Outage) => error instanceof Outage);
      if (!isOutage) console.error("a join failed:", error);
      this.#refuse(UNREACHABLE, CLOSING.tryLater);
    }
  }

  #refuse(frame: string, closing: Closing): void {
    if (this.#state === "gone") return;
    this.send(frame);
    this.end(closing);
  }

  #receive(data: unknown): void {
    if (this.#state === "gone") return;
    if (typeof data !== "string") return this.end(CLOSING.binary);
    if (isLonger(data, this.#limits.maxMessageBytes)) return this.end(CLOSING.tooLarge);
    this.#unanswered += costOf(data);
    if (this.#unanswered > this.#limits.maxBufferedBytes) return this.end(CLOSING.tooMany);
    if (this.#state === "member") this.#say(data);
    else this.#early.push(data);
  }

  async #say(text: string): Promise<void> {
    try {
      await this.#hub.say(this.#room, this.user, text);
    } catch (error) {
      if (this.#state === "gone") return;
      this.send(error instanceof StoreUnavailable ? NOT_DELIVERED : MAYBE_DELIVERED);
    } finally {
      this.#unanswered -= costOf(text);
    }
  }
}

/** What a message costs while it waits: an empty one is not free. */
function costOf(text: string): number {
  return text.length + 100;
}

/** Whether a text has more than so many bytes in UTF-8, where no UTF-16 unit takes more than three. */
function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes ||
    text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
