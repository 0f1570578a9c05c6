import { CLOSE, type CloseReason } from "../protocol/close_codes.ts";
import type { Hub } from "../rooms/hub.ts";
import { BEFORE_FIRST_ID, isId, isLater, timestampOf } from "../protocol/ids.ts";
import type { JoinRequest } from "./join_request.ts";
import { quote } from "../protocol/names.ts";
import { errorReply } from "../protocol/errors.ts";
import type {
  Ack,
  ClientMessage,
  ErrorReply,
  Ping,
  Protocol,
  Reply,
} from "../protocol/protocol.ts";
import type { Member } from "../rooms/member.ts";
import { type LogEntry, StoreOutcomeUnknown, StoreUnavailable } from "../store/store.ts";

/** What a session may take from the server. */
export interface SessionLimits {
  /** The most bytes that a message may have. */
  readonly maxMessageBytes: number;
  /** The most bytes that may wait for a client that reads too slowly, or from one that sends too fast. */
  readonly maxBufferedBytes: number;
  /** The longest that anything may wait for a client, in seconds. */
  readonly maxStallSeconds: number;
  /** A client that answers no ping for so many seconds is gone. */
  readonly idleSeconds: number;
}

/** So often in `maxStallSeconds` a session is asked how much waits for its client. */
export const STALL_CHECKS = 10;

/** After so many characters sent, a look at what waits: asking on every send would cost more than the send. */
const LOOK_EVERY = 64 * 1024;

/** What Deno needs for a frame that waits, beside its text, in bytes: measured. */
const FRAME_COST = 900;

/** Of all that may wait for a client so much memory is spent at its socket; the rest waits here, where all share it. */
const AT_SOCKET = 1 / 2;

/** The time between two looks at a client that is behind, in milliseconds. */
const LOOK_AT_BACKLOG_EVERY = 10;

let look: Promise<void> | undefined;

/** The time for the next look at a client that is behind: one timer for however many there are. */
function nextLook(): Promise<void> {
  return look ??= new Promise((resolve) =>
    setTimeout(() => {
      look = undefined;
      resolve();
    }, LOOK_AT_BACKLOG_EVERY)
  );
}

/** What was sent to a client, up to some moment. */
interface Sent {
  /** In characters. */
  length: number;
  frames: number;
}

/** A client for whom something waits. */
interface Backlog {
  /** How many bytes were sent since then. */
  sent: number;
  /** The same at each of the last looks, the first being the latest. */
  readonly sentAtLooks: number[];
}

/** One user's connection, from join to leave. */
export class Session implements Member {
  readonly id: string = crypto.randomUUID();
  readonly user: string;
  readonly protocol: Protocol;
  /** Resolves when the socket is closed, which is later than the leave where the peer does not read. */
  readonly closed: Promise<void>;

  readonly #request: JoinRequest;
  readonly #limits: SessionLimits;
  readonly #socket: WebSocket;
  readonly #hub: Hub;
  #state: "joining" | "member" | "gone" = "joining";
  /** What came before the welcome, to be said after it. */
  #early: string[] = [];
  /** What happens in the room while the client is sent what was said before, or is behind. */
  #held: string[] | undefined;
  #heldLength = 0;
  /** What has come and is not answered by the store yet, roughly in bytes. */
  #unanswered = 0;
  /** Why this session was ended, also where its socket was not open yet. */
  #closing: CloseReason | undefined;
  /** Acknowledgements that are sent together, or with what is heard next. */
  #acks: string[] = [];
  /** How much was sent: now, and at each look back to what may still wait at the socket. */
  readonly #sent: Sent = { length: 0, frames: 0 };
  readonly #sentAtLooks: Sent[] = [{ length: 0, frames: 0 }];
  #sentSinceLook = 0;
  /** What is known of a client for whom something was waiting at the last look. */
  #backlog: Backlog | undefined;

  constructor(socket: WebSocket, hub: Hub, request: JoinRequest, limits: SessionLimits) {
    this.user = request.user;
    this.protocol = request.protocol;
    this.#request = request;
    this.#limits = limits;
    this.#socket = socket;
    this.#hub = hub;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#closing ? this.close(this.#closing) : this.#join();
    socket.onmessage = ({ data }) => this.#receive(data);
    this.closed = new Promise((resolve) =>
      socket.onclose = () => {
        this.#leave();
        resolve();
      }
    );
  }

  onJoined(last: string, users: number): void {
    if (this.#state === "gone") return this.#leave();
    const { since, history } = this.#request;
    if (since === undefined && history === 0) return this.#welcome(last, users, false);
    this.#held = [];
    this.#replay(last, users).catch((error) => this.#fail(error));
  }

  deliver(frame: string): void {
    if (!this.#held) return this.#sendWithAcks(frame);
    this.#held.push(frame);
    this.#heldLength += frame.length;
    if (this.#heldLength + this.#socket.bufferedAmount > this.#limits.maxBufferedBytes) {
      this.close(CLOSE.tooSlow);
    }
  }

  onNameLost(): void {
    this.#refuse(errorReply.nameTaken(this.user), CLOSE.nameTaken);
  }

  /**
   * Leaves if something has been waiting for the client since {@linkcode STALL_CHECKS} looks ago. Deno's own ping cannot
   * tell: it waits behind the write that is stuck.
   */
  checkStall(): void {
    if (this.#state === "gone") return;
    const waits = this.#socket.bufferedAmount;
    if (waits === 0) {
      this.#backlog = undefined;
      return;
    }
    const { sent, sentAtLooks } = this.#backlog ??= { sent: 0, sentAtLooks: [] };
    if (sentAtLooks.length === STALL_CHECKS && waits > sent - sentAtLooks.pop()!) {
      return this.close(CLOSE.tooSlow);
    }
    sentAtLooks.unshift(sent);
  }

  /** Leaves the room at once and closes the socket as soon as the peer lets it. */
  close(closing: CloseReason): void {
    this.#closing = closing;
    this.#sendAcks();
    this.#leave();
    this.#socket.close(closing.code, closing.reason);
  }

  #leave(): void {
    this.#state = "gone";
    this.#early = [];
    this.#held = [];
    this.#hub.leave(this.#request.room, this);
  }

  async #join(): Promise<void> {
    try {
      if (await this.#hub.join(this.#request.room, this)) return;
      this.onNameLost();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Gives up because the store is away. */
  #fail(error: unknown): void {
    // An outage is in the log already, once and not once a join.
    const isOutage = [StoreUnavailable, StoreOutcomeUnknown, Deno.errors.TimedOut]
      .some((Outage) => error instanceof Outage);
    if (!isOutage) console.error("a join failed:", error);
    this.#refuse(errorReply.unavailable(), CLOSE.tryLater);
  }

  #refuse(problem: ErrorReply, closing: CloseReason): void {
    if (this.#state === "gone") return;
    this.#answer(problem);
    this.close(closing);
  }

  #welcome(last: string, users: number, recovered: boolean): void {
    if (this.#state === "gone") return;
    this.#state = "member";
    const { user, room } = this.#request;
    this.#answer({
      type: "welcome",
      user,
      room,
      last,
      recovered,
      users,
      maxMessageBytes: this.#limits.maxMessageBytes,
      maxInFlightBytes: this.#limits.maxBufferedBytes,
    });
    const early = this.#early;
    this.#early = [];
    for (const frame of early) {
      this.#unanswered -= costOf(frame);
      this.#read(frame);
    }
  }

  /** Sends what was said up to the last message before the join, and then what has happened since. */
  async #replay(last: string, users: number): Promise<void> {
    const { room, since, history } = this.#request;
    if (since === undefined) {
      const before = await this.#hub.history.last(room, history, last);
      this.#welcome(last, users, false);
      await this.#sendPage(before);
    } else if (!isId(since)) {
      this.#welcome(last, users, false);
      this.#answer(errorReply.badSince(`since is ${quote(since)}, which is not an id`));
    } else if (isLater(since, last) && !isForgotten(since, last)) {
      this.#welcome(last, users, false);
      this.#answer(
        errorReply.badSince(`since is ${since}, but the room's newest message is ${last}`),
      );
    } else {
      const pages = this.#hub.history.between(room, since, last);
      const { value: first } = await pages.next();
      const recovered = first ? follows(first[0].event.prev, since) : since === last;
      this.#welcome(last, users, recovered);
      if (first) await this.#sendPage(first);
      for await (const page of pages) {
        if (this.#state === "gone") return;
        await this.#sendPage(page);
      }
    }
    await this.#sendHeld();
  }

  /** Sends what has happened since, until nothing waits here any more. */
  async #sendHeld(): Promise<void> {
    do {
      await this.#untilTaken();
      await this.#sendPaced(this.protocol.batch(this.#takeHeld()));
    } while (this.#held!.length > 0);
    this.#held = undefined;
  }

  /** As much of what waits here as makes one long frame. */
  #takeHeld(): string[] {
    const held = this.#held!;
    let count = 0, length = 0;
    while (count < held.length && length < LOOK_EVERY) length += held[count++].length;
    this.#heldLength -= length;
    return held.splice(0, count);
  }

  async #sendPage(page: readonly LogEntry[]): Promise<void> {
    const frames = page.map(({ event, line }) => this.protocol.encodeEvent(event, line));
    await this.#sendPaced(this.protocol.batch(frames));
  }

  /** Sends no faster than the client takes it. */
  async #sendPaced(frames: string[]): Promise<void> {
    for (const frame of frames) {
      await this.#untilTaken();
      this.#send(frame);
    }
  }

  async #untilTaken(): Promise<void> {
    while (this.#state !== "gone" && this.#isBehind()) await nextLook();
  }

  #receive(data: unknown): void {
    if (this.#state === "gone") return;
    if (typeof data !== "string") return this.close(CLOSE.binary);
    if (isLonger(data, this.#limits.maxBufferedBytes)) return this.close(CLOSE.tooLarge);
    if (this.#state === "member") return this.#read(data);
    this.#early.push(data);
    this.#await(data);
  }

  #read(frame: string): void {
    for (const received of this.protocol.decode(frame)) this.#take(received);
  }

  #take(received: ClientMessage | Ping | ErrorReply): void {
    if (this.#state === "gone") return;
    if (received.type === "error") return this.#answer(received);
    if (received.type === "ping") return this.#answer({ type: "pong" });
    const { maxMessageBytes } = this.#limits;
    if (!isLonger(received.text, maxMessageBytes)) return this.#say(received);
    if (this.protocol.name === "") return this.close(CLOSE.tooLarge);
    this.#answer(errorReply.tooLarge(maxMessageBytes, received.ref));
  }

  /** Counts what has come until it is answered, and takes only so much. */
  #await(text: string): void {
    this.#unanswered += costOf(text);
    if (this.#unanswered > this.#limits.maxBufferedBytes) this.close(CLOSE.tooMany);
  }

  #say({ text, ref }: ClientMessage): void {
    this.#await(text);
    if (this.#state === "gone") return;
    this.#hub.publish(this.#request.room, this.user, text, ref).then(
      (id) => {
        this.#unanswered -= costOf(text);
        if (ref !== undefined) this.#acknowledge({ type: "ack", ref, id });
      },
      (error) => {
        this.#unanswered -= costOf(text);
        const isRefused = error instanceof StoreUnavailable;
        this.#answer(isRefused ? errorReply.notDelivered(ref) : errorReply.unknown(ref));
      },
    );
  }

  #acknowledge(ack: Ack): void {
    const frame = this.protocol.encodeReply(ack);
    if (frame === undefined || this.#state === "gone") return;
    this.#acks.push(frame);
    // Where as many talk as listen, every second frame would be an ack.
    if (!this.#held && this.#hub.willTell(this.#request.room, this)) return;
    queueMicrotask(() => this.#sendAcks());
  }

  #sendAcks(): void {
    if (this.#acks.length === 0) return;
    const acks = this.#acks;
    this.#acks = [];
    for (const frame of this.protocol.batch(acks)) this.#send(frame);
  }

  #sendWithAcks(frame: string): void {
    if (this.#acks.length === 0) return this.#send(frame);
    this.#acks.push(frame);
    this.#sendAcks();
  }

  #answer(answer: Reply): void {
    const frame = this.protocol.encodeReply(answer);
    if (frame !== undefined) this.#sendWithAcks(frame);
  }

  #send(frame: string): void {
    if (this.#state === "gone") return;
    this.#socket.send(frame);
    if (this.#backlog) this.#backlog.sent += byteLength(frame);
    this.#sent.length += frame.length;
    this.#sent.frames++;
    this.#sentSinceLook += frame.length + FRAME_COST;
    if (this.#sentSinceLook < LOOK_EVERY) return;
    this.#sentSinceLook = 0;
    this.#sentAtLooks.push({ ...this.#sent });
    // A turn later: nothing of what was sent in this one can have been written yet.
    if (this.#isBehind()) setTimeout(() => this.#isBehind() && this.#hold(), 0);
  }

  #isBehind(): boolean {
    return this.#memoryAtSocket() > AT_SOCKET * this.#limits.maxBufferedBytes;
  }

  /** About how many bytes of memory are taken by what waits at the socket. */
  #memoryAtSocket(): number {
    const waits = this.#socket.bufferedAmount;
    const looks = this.#sentAtLooks;
    while (looks.length > 1 && looks[1].length <= this.#sent.length - waits) looks.shift();
    return waits === 0 ? 0 : waits + FRAME_COST * (this.#sent.frames - looks[0].frames);
  }

  /** Lets what happens wait here until the client has taken more. Answers that come from then on do not wait, but have a bound too. */
  #hold(): void {
    if (this.#state === "gone") return;
    // What came in one turn may be too much for a moment, as long as no more comes.
    const waits = this.#held ? this.#memoryAtSocket() : this.#socket.bufferedAmount;
    if (waits > this.#limits.maxBufferedBytes) return this.close(CLOSE.tooSlow);
    if (this.#held) return;
    this.#sendAcks();
    this.#held = [];
    this.#sendHeld().catch((error) => this.#fail(error));
  }
}

/** Whether nothing can have been said between an id and a message: not where the log began anew after it. */
function follows(prev: string, since: string): boolean {
  return !isLater(prev, since) && (prev !== BEFORE_FIRST_ID || since === BEFORE_FIRST_ID);
}

/** Whether a log is empty that may have had the message with this id. */
function isForgotten(since: string, last: string): boolean {
  return last === BEFORE_FIRST_ID && timestampOf(since) <= Date.now();
}

/** What a message costs while it waits: an empty one is not free. */
function costOf(text: string): number {
  return text.length + 100;
}

/** Whether a text has more than so many bytes in UTF-8, where no UTF-16 unit takes more than three. */
function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes || text.length * 3 > bytes && byteLength(text) > bytes;
}

/** How many bytes a text has in UTF-8. */
function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
