/**
 * A client for programs, in browsers, Deno and Node.js from version 22 on, without dependencies: it reconnects, resumes
 * where it was, and repeats what was not acknowledged, so that every message arrives once and in order.
 *
 * @example
 * ```ts
 * import { ChatClient } from "./client.ts";
 * import { openMemoryStore, readConfig, startServer } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const config = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const server = await startServer(config, openMemoryStore(config));
 * const chat = new ChatClient(`ws://127.0.0.1:${server.port}`, "foo");
 * const heard = new Promise((resolve) => chat.onmessage = resolve);
 * const id = await chat.send("hello");
 * const { prev: _, ref: __, ...message } = await heard as Record<string, string>;
 * assertEquals(message, { type: "message", id, user: "foo", text: "hello" });
 *
 * await chat.close();
 * await server.stop();
 * ```
 *
 * @module
 */
import type { Joined, Left, Message, Notice } from "../protocol/events.ts";
import { isId, isLater } from "../protocol/ids.ts";
import type { ErrorCode, ErrorReply } from "../protocol/errors.ts";
import type { Ack, Pong, Welcome } from "../protocol/protocol.ts";

export type { Ack, ErrorCode, ErrorReply, Joined, Left, Message, Notice, Pong, Welcome };

/** What a server may send. */
type FromServer = Welcome | Message | Joined | Left | Notice | Ack | Pong | ErrorReply;

/** What a client may be asked for. */
export interface ChatClientOptions {
  /** The room to join; by default the server's default room. */
  readonly room?: string;
  /** How many of the room's last messages to hand out first (0 to 200); 0 by default. Not together with `since`. */
  readonly history?: number;
  /** The id of the last message that was seen, to go on after it; by default it begins with what is said now. */
  readonly since?: string;
}

/**
 * How a client stands: `connecting` until it was welcomed for the first time, `connected`, `reconnecting` after that was
 * lost, and `closed` for good.
 */
export type ChatState = "connecting" | "connected" | "reconnecting" | "closed";

/** Why a message was not sent, or a client closed. */
export class ChatError extends Error {
  /** Always `"ChatError"`. */
  override name = "ChatError";
  /**
   * A code of the server's `error` event, or `closed`: with `closed` and `unknown` a message may have been sent or not,
   * with every other code it was not.
   */
  readonly code: ErrorCode | "closed";

  /**
   * Makes an error.
   *
   * @param code what went wrong
   * @param message the same in words
   */
  constructor(code: ErrorCode | "closed", message: string) {
    super(message);
    this.code = code;
  }
}

interface Unsent {
  readonly ref: string;
  /** What is sent. */
  readonly line: string;
  readonly resolve: (id: string) => void;
  readonly reject: (error: ChatError) => void;
  /** Whether it was sent on the connection that is there now, and not answered. */
  isUnderWay: boolean;
  /** When it was first sent, since when the server may have it, in milliseconds; `undefined` where it has it not. */
  mayBeThereSince?: number;
  /** Whether an answer to it was lost: that it is not taken later does not tell that it was not before. */
  isDoubtful: boolean;
}

/** After these the server would say the same again: no, not allowed, replaced. */
const FINAL_CODES = [4401, 4403, 4410];
const NAME_TAKEN = 4409;
const TOO_LARGE = 1009;
const TOO_MANY = 4429;

/** Pauses before a new attempt grow from the first of these to the second, in milliseconds. */
const [FIRST_PAUSE, LONGEST_PAUSE] = [250, 10_000];

/** The time before a message is repeated that the server's store did not take, in milliseconds. */
const REPEAT_AFTER = 500;

/** The server knows a ref for five minutes. What was first sent longer ago than this is not repeated, in milliseconds. */
const REPEATED_FOR = 270_000;

/** So often the client looks whether it has heard of the server, and asks if not, in milliseconds. */
const LOOK_EVERY = 10_000;

/** A connection that held for so long was a good one: the next pause is a short one again, in milliseconds. */
const GOOD_AFTER = 5_000;

/** A server that does not answer the goodbye in time is left without, in milliseconds. */
const GOODBYE_WITHIN = 2_000;

/** No more messages than this are under way at a time, and only one where they are longer than this in the mean. */
const [MOST_UNDER_WAY, LONGEST_IN_THE_MEAN] = [64, 4 * 1024];

/** One user in one room, for as long as it takes. */
export class ChatClient {
  /** Called for each message of the room, one's own too: each once, in the order that is the same for everyone. */
  onmessage: (message: Message) => void = () => {};
  /** Called when someone joins; who did while the connection was away is not told. */
  onjoined: (joined: Joined) => void = () => {};
  /** Called when someone leaves; who did while the connection was away is not told. */
  onleft: (left: Left) => void = () => {};
  /** Called for a line from the operators. */
  onnotice: (notice: Notice) => void = () => {};
  /** Called when the server takes this user in, for the first time and after each reconnect. */
  onwelcome: (welcome: Welcome) => void = () => {};
  /**
   * Called where messages are missing that the server does not have any more: between the one with this id and the next
   * one that is handed out.
   */
  ongap: (after: string) => void = () => {};
  /** Called when the state changes, and when an attempt to connect failed; with the reason in words if there is one. */
  onstate: (state: ChatState, reason: string) => void = () => {};

  readonly #urls: readonly URL[];
  readonly #options: ChatClientOptions;
  readonly #refPrefix = makeRefPrefix();
  #state: ChatState = "connecting";
  #socket: WebSocket | undefined;
  #attempts = 0;
  #connectedAt = 0;
  /** So many messages may be under way: fewer where the server had too many, and one after it had too much. */
  #mostUnderWay = MOST_UNDER_WAY;
  #window = MOST_UNDER_WAY;
  /** The id of the last message that was handed out, or `since`. */
  #position: string | undefined;
  /** The id of the newest message at the first welcome, which is what there is to resume from before one is handed out. */
  #newest: string | undefined;
  /** Whether it was told that something is missing after it. */
  #isGapTold = false;
  /** What is not acknowledged yet, in the order in which it was given. */
  readonly #unsent = new Map<string, Unsent>();
  #lastRef = 0;
  #isSending = true;
  #hasHeard = true;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;

  /**
   * Starts to connect.
   *
   * @param url where the server is, such as `wss://chat.example`; of several, another one is tried after each failure
   * @param user the name to use
   * @param options everything else
   * @throws {TypeError} if a URL, the name or `since` cannot be one, or both `since` and `history` are given
   */
  constructor(url: string | readonly string[], user: string, options: ChatClientOptions = {}) {
    this.#urls = (typeof url === "string" ? [url] : url).map((one) => chatUrl(one, user));
    this.#options = options;
    this.#position = options.since;
    if (options.since !== undefined && !isId(options.since)) {
      throw new TypeError(`since is ${JSON.stringify(options.since)}: give the id of a message`);
    }
    if (options.since !== undefined && options.history) {
      throw new TypeError("since and history are both given: give one of them");
    }
    this.#connect();
    this.#watch = setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** How this client stands. */
  get state(): ChatState {
    return this.#state;
  }

  /** The id of the last message that was handed out: what a later client needs as `since`. */
  get position(): string | undefined {
    return this.#position;
  }

  /**
   * Says something. It is kept, and repeated after every failure, until the server has it.
   *
   * @returns its id
   * @throws {ChatError} if the server will not take it, or nobody can say any more whether it has
   */
  send(text: string): Promise<string> {
    if (this.#state === "closed") return Promise.reject(new ChatError("closed", "it is closed"));
    return new Promise((resolve, reject) => {
      const ref = `${this.#refPrefix}-${++this.#lastRef}`;
      const line = JSON.stringify({ type: "message", text, ref });
      this.#unsent.set(ref, {
        ...{ ref, line, resolve, reject },
        ...{ isUnderWay: false, isDoubtful: false },
      });
      this.#sendWaiting();
    });
  }

  /** Leaves for good; resolves when the connection is closed. What is not acknowledged by now is rejected. */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#end("closed by its owner");
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, GOODBYE_WITHIN);
      socket.onclose = () => {
        clearTimeout(late);
        resolve();
      };
      socket.close(1000);
    });
  }

  #connect(): void {
    const url = new URL(this.#urls[this.#attempts % this.#urls.length]);
    const { room, history } = this.#options;
    const since = this.#position ?? this.#newest;
    if (room !== undefined) url.searchParams.set("room", room);
    if (since !== undefined) url.searchParams.set("since", since);
    else if (history) url.searchParams.set("history", `${history}`);
    this.#hasHeard = true;
    const socket = this.#socket = new WebSocket(url, "chat.json.v1");
    socket.onmessage = ({ data }) => {
      this.#hasHeard = true;
      for (const line of data.split("\n")) {
        // Whoever is called may close this client, and hears no more then.
        if (this.#socket === socket) this.#takeSafely(line);
      }
    };
    socket.onclose = ({ code, reason }) => this.#lose(code, reason);
  }

  /** What one callback throws keeps nothing else from its own. */
  #takeSafely(line: string): void {
    try {
      this.#take(JSON.parse(line));
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #take(event: FromServer): void {
    switch (event.type) {
      case "welcome":
        return this.#beWelcome(event);
      case "message":
        return this.#hand(event);
      case "joined":
        return this.onjoined(event);
      case "left":
        return this.onleft(event);
      case "notice":
        return this.onnotice(event);
      case "ack":
        this.#window = Math.min(this.#window + 1, this.#mostUnderWay);
        return this.#settle(event.ref)?.resolve(event.id);
      case "error":
        return this.#takeProblem(event);
    }
  }

  #beWelcome(welcome: Welcome): void {
    const since = this.#position ?? this.#newest;
    const isMissing = since !== undefined && !welcome.recovered;
    // A log that ends before it began anew.
    if (isMissing && isLater(since, welcome.last)) this.#position = welcome.last;
    this.#newest ??= welcome.last;
    this.#connectedAt = Date.now();
    this.#isSending = true;
    this.#change("connected", "");
    this.#sendWaiting();
    this.onwelcome(welcome);
    if (isMissing) this.#tellGap(since);
  }

  #hand(message: Message): void {
    if (this.#position !== undefined) {
      if (!isLater(message.id, this.#position)) return;
      if (isLater(message.prev, this.#position)) this.#tellGap(this.#position);
    }
    this.#position = message.id;
    this.#isGapTold = false;
    this.onmessage(message);
  }

  #tellGap(after: string): void {
    if (!this.#isGapTold) this.ongap(after);
    this.#isGapTold = true;
  }

  #takeProblem({ code, message, ref }: ErrorReply): void {
    const unsent = ref === undefined ? undefined : this.#unsent.get(ref);
    if (!unsent) return;
    if (code !== "not_delivered" && code !== "unknown") {
      return this.#settle(unsent.ref)?.reject(new ChatError(code, message));
    }
    unsent.isUnderWay = false;
    if (code === "unknown") unsent.isDoubtful = true;
    if (!unsent.isDoubtful) unsent.mayBeThereSince = undefined;
    if (!this.#isSending) return;
    this.#isSending = false;
    const socket = this.#socket;
    setTimeout(() => {
      if (this.#socket !== socket) return;
      this.#isSending = true;
      this.#sendWaiting();
    }, REPEAT_AFTER);
  }

  #settle(ref: string): Unsent | undefined {
    const unsent = this.#unsent.get(ref);
    this.#unsent.delete(ref);
    this.#sendWaiting();
    return unsent;
  }

  /** Sends what waits to be sent, in order, as far as there is room for it. */
  #sendWaiting(): void {
    if (this.#state !== "connected" || !this.#isSending) return;
    let count = 0;
    let length = 0;
    const lines: string[] = [];
    for (const unsent of this.#unsent.values()) {
      const { ref, line } = unsent;
      count++;
      length += line.length;
      if (count > this.#window) break;
      if (count > 1 && length > this.#window * LONGEST_IN_THE_MEAN) break;
      if (unsent.isUnderWay) continue;
      const since = unsent.mayBeThereSince;
      if (since !== undefined && Date.now() - since > REPEATED_FOR) {
        this.#unsent.delete(ref);
        unsent.reject(new ChatError("unknown", "message may not have been delivered"));
        continue;
      }
      unsent.isUnderWay = true;
      unsent.mayBeThereSince ??= Date.now();
      lines.push(line);
    }
    if (lines.length > 0) this.#socket?.send(lines.join("\n"));
  }

  /** A connection that was cut without a word shows it only when it is asked something. */
  #look(): void {
    if (!this.#socket) return;
    if (!this.#hasHeard) {
      this.#socket.close();
      return this.#lose(1006, "the server does not answer");
    }
    this.#hasHeard = false;
    if (this.#state === "connected") this.#socket.send('{"type":"ping"}');
  }

  #lose(code: number, reason: string): void {
    this.#detach();
    if (code === TOO_LARGE || code === TOO_MANY) this.#sendLess(code, reason);
    for (const unsent of this.#unsent.values()) {
      if (unsent.isUnderWay) unsent.isDoubtful = true;
      unsent.isUnderWay = false;
    }
    const why = reason || `code ${code}`;
    // Right after a reconnect the server may still hold the name for the connection that was lost.
    const isRefused = code === NAME_TAKEN && this.#state === "connecting";
    if (isRefused || FINAL_CODES.includes(code)) return this.#end(why);
    if (this.#state === "connected") {
      if (Date.now() - this.#connectedAt > GOOD_AFTER) this.#attempts = 0;
      this.#change("reconnecting", why);
    } else {
      this.onstate(this.#state, why);
    }
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#attempts, 10));
    this.#attempts++;
    this.#retry = setTimeout(() => this.#connect(), pause / 2 + Math.random() * pause / 2);
  }

  /** The server had too much at once; if it was one message, that one is too large for it. */
  #sendLess(code: number, reason: string): void {
    const [first] = this.#unsent.values();
    if (code === TOO_LARGE && this.#window === 1 && first) {
      this.#settle(first.ref)?.reject(new ChatError("too_large", reason));
      return;
    }
    this.#mostUnderWay = Math.max(1, this.#mostUnderWay >> 1);
    this.#window = code === TOO_LARGE ? 1 : this.#mostUnderWay;
  }

  #end(reason: string): void {
    this.#detach();
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    this.#change("closed", reason);
    for (const unsent of this.#unsent.values()) unsent.reject(new ChatError("closed", reason));
    this.#unsent.clear();
  }

  /** Whatever the socket still has to say is not for this client any more. */
  #detach(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) socket.onmessage = socket.onclose = null;
  }

  #change(state: ChatState, reason: string): void {
    if (this.#state === state) return;
    this.#state = state;
    this.onstate(state, reason);
  }
}

function chatUrl(server: string, user: string): URL {
  const url = new URL(server);
  const name = encodeURIComponent(user);
  url.protocol = url.protocol.replace("http", "ws");
  url.pathname = `${url.pathname.replace(/\/$/, "")}/chat/${name}`;
  // As "." and "..", which mean something else in a path.
  if (!url.pathname.endsWith(`/chat/${name}`)) {
    throw new TypeError(`the name ${JSON.stringify(user)} cannot stand in a URL`);
  }
  return url;
}

/** What nobody else's refs begin with. */
function makeRefPrefix(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join(
    "",
  );
}
