/**
 * A chat client for browsers, Deno and Node.js 22 or later, without dependencies. It reconnects,
 * resumes where it was, and repeats what was not acknowledged, so that every message arrives once
 * and in order.
 *
 * @example
 * ```ts
 * import { ChatClient } from "./client.ts";
 * import { openMemoryStore, readConfig, startServer } from "../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const config = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const server = await startServer(config, openMemoryStore(config));
 * const chat = new ChatClient(`ws://127.0.0.1:${server.port}`, "foo");
 * const received = new Promise((resolve) => chat.onmessage = resolve);
 * const id = await chat.send("hello");
 * const { prev: _, ref: __, ...message } = await received as Record<string, string>;
 * assertEquals(message, { type: "message", id, user: "foo", text: "hello" });
 *
 * await chat.close();
 * await server.stop();
 * ```
 *
 * @module
 */
import { CLOSE } from "../protocol/close_codes.ts";
import type { Joined, Left, Message, Notice, RoomEvent } from "../protocol/events.ts";
import { isId, isLater } from "../protocol/ids.ts";
import type { ErrorCode, ErrorReply } from "../protocol/errors.ts";
import type { Ack, Pong, Reply, Welcome } from "../protocol/protocol.ts";
import { ChatError, SendQueue } from "./send_queue.ts";

export { ChatError };
export type { Ack, ErrorCode, ErrorReply, Joined, Left, Message, Notice, Pong, Welcome };

/** The options of a {@linkcode ChatClient}. */
export interface ChatClientOptions {
  /** The room to join; by default the server's default room. */
  readonly room?: string;
  /**
   * How many of the room's last messages to deliver first: 0 to 200, by default 0. It cannot be
   * given together with `since`.
   */
  readonly history?: number;
  /**
   * The id of the last message that was seen: the client resumes after it. By default the client
   * starts with the first message after it joined.
   */
  readonly since?: string;
}

/**
 * The state of a client: `connecting` until the first welcome, `connected`, `reconnecting` after a
 * connection was lost, and `closed` for good.
 */
export type ChatState = "connecting" | "connected" | "reconnecting" | "closed";

/**
 * The close codes after which an attempt to reconnect would end in the same way: not authenticated,
 * not allowed, and replaced by another connection of the same user.
 */
const FINAL_CODES = [4401, 4403, 4410];

/** The time before the first attempt to reconnect. It doubles with each attempt. */
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 10_000;

/** A connection that lasts longer than this resets the backoff. */
const STABLE_AFTER_MS = 5_000;

/** A connection on which nothing arrives between two heartbeats is lost. */
const HEARTBEAT_MS = 10_000;

/** The longest that {@linkcode ChatClient.close} waits for the server. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Keeps one user in one room until it is closed. */
export class ChatClient {
  /**
   * Called for each message of the room, including the user's own. Each message is delivered once,
   * and in the same order to everyone.
   */
  onmessage: (message: Message) => void = () => {};
  /** Called when a user joins, but not for those who joined while the client was disconnected. */
  onjoined: (joined: Joined) => void = () => {};
  /** Called when a user leaves, but not for those who left while the client was disconnected. */
  onleft: (left: Left) => void = () => {};
  /** Called for a line that an operator published. */
  onnotice: (notice: Notice) => void = () => {};
  /** Called when the client has joined the room: for the first time, and after each reconnect. */
  onwelcome: (welcome: Welcome) => void = () => {};
  /**
   * Called when messages are missing that the server no longer has: those between the message with
   * the id `after` and the next one that is delivered.
   */
  ongap: (after: string) => void = () => {};
  /**
   * Called when the state changes, and when an attempt to connect has failed. The reason is for
   * people, and empty when the client is connected.
   */
  onstate: (state: ChatState, reason: string) => void = () => {};

  readonly #urls: readonly URL[];
  readonly #options: ChatClientOptions;
  readonly #sendQueue = new SendQueue((lines) => this.#socket?.send(lines.join("\n")));
  #state: ChatState = "connecting";
  #socket: WebSocket | undefined;
  /** Attempts since the last stable connection. */
  #attempts = 0;
  #connectedAt = 0;
  #position: string | undefined;
  /** The room's newest message at the first welcome, to resume after if there is no position. */
  #lastAtFirstWelcome: string | undefined;
  /** Whether the gap after the position was reported. */
  #isGapReported = false;
  /** Whether anything was received since the last heartbeat. */
  #hasReceived = true;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #heartbeatTimer: ReturnType<typeof setInterval>;

  /**
   * Starts to connect.
   *
   * @param url the server, such as `wss://chat.example`; if there are several, each attempt that
   * fails is followed by one at the next URL
   * @param user the user's name
   * @param options the room, and where in its log to start
   * @throws {TypeError} if a URL, the name or `since` is invalid, or `since` and `history` are both
   * given
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
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS);
  }

  /** The client's state. */
  get state(): ChatState {
    return this.#state;
  }

  /** The id of the last message that was delivered. Give it as `since` to a later client. */
  get position(): string | undefined {
    return this.#position;
  }

  /**
   * Publishes a message in the room. The client keeps it, and sends it again after every failure,
   * until the server acknowledges it.
   *
   * @returns the message's id
   * @throws {ChatError} if the server refuses the message, if its outcome is still unknown after
   * 270 seconds of retries, or if the client is closed
   */
  send(text: string): Promise<string> {
    if (this.#state !== "closed") return this.#sendQueue.send(text);
    return Promise.reject(new ChatError("closed", "the client is closed"));
  }

  /**
   * Leaves the room for good, and rejects the messages that are not acknowledged yet. Resolves when
   * the connection is closed, after two seconds at the latest.
   */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#close("close() was called");
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    await new Promise<void>((resolve) => {
      const timeout = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      socket.onclose = () => {
        clearTimeout(timeout);
        resolve();
      };
      socket.close(1000);
    });
  }

  #connect(): void {
    const url = new URL(this.#urls[this.#attempts % this.#urls.length]);
    const { room, history } = this.#options;
    const since = this.#position ?? this.#lastAtFirstWelcome;
    if (room !== undefined) url.searchParams.set("room", room);
    if (since !== undefined) url.searchParams.set("since", since);
    else if (history) url.searchParams.set("history", `${history}`);
    this.#hasReceived = true;
    const socket = this.#socket = new WebSocket(url, "chat.json.v1");
    socket.onmessage = ({ data }) => {
      this.#hasReceived = true;
      for (const line of data.split("\n")) {
        // A callback may have closed the client.
        if (this.#socket === socket) reportErrors(() => this.#handleEvent(JSON.parse(line)));
      }
    };
    socket.onclose = ({ code, reason }) => this.#handleConnectionLost(code, reason);
  }

  #handleEvent(event: Reply | RoomEvent | Notice): void {
    switch (event.type) {
      case "welcome":
        return this.#handleWelcome(event);
      case "message":
        return this.#deliver(event);
      case "joined":
        return reportErrors(() => this.onjoined(event));
      case "left":
        return reportErrors(() => this.onleft(event));
      case "notice":
        return reportErrors(() => this.onnotice(event));
      case "ack":
        return this.#sendQueue.onAck(event);
      case "error":
        return this.#sendQueue.onError(event);
      case "pong":
        return;
      default:
        // A newer server may send types that this client does not know. It ignores them.
        event satisfies never;
    }
  }

  #handleWelcome(welcome: Welcome): void {
    const since = this.#position ?? this.#lastAtFirstWelcome;
    const isGap = since !== undefined && !welcome.recovered;
    // The room's log was lost, and its new ids are lower.
    if (isGap && isLater(since, welcome.last)) this.#position = welcome.last;
    this.#lastAtFirstWelcome ??= welcome.last;
    this.#connectedAt = Date.now();
    this.#sendQueue.onWelcome(welcome);
    this.#setState("connected", "");
    reportErrors(() => this.onwelcome(welcome));
    if (isGap) this.#reportGap(since);
  }

  #deliver(message: Message): void {
    if (this.#position !== undefined) {
      if (!isLater(message.id, this.#position)) return;
      if (isLater(message.prev, this.#position)) this.#reportGap(this.#position);
    }
    this.#position = message.id;
    this.#isGapReported = false;
    reportErrors(() => this.onmessage(message));
  }

  #reportGap(after: string): void {
    if (this.#isGapReported) return;
    this.#isGapReported = true;
    reportErrors(() => this.ongap(after));
  }

  /** Pings the server: nothing else shows that a connection was cut silently. */
  #heartbeat(): void {
    if (!this.#socket) return;
    if (!this.#hasReceived) {
      this.#socket.close();
      return this.#handleConnectionLost(1006, "the server does not answer");
    }
    this.#hasReceived = false;
    if (this.#state === "connected") this.#socket.send('{"type":"ping"}');
  }

  #handleConnectionLost(code: number, closeReason: string): void {
    this.#detach();
    this.#sendQueue.onConnectionLost();
    const reason = closeReason || `code ${code}`;
    // After a reconnect, the name may still be held by the client's own lost connection.
    const isNameTaken = code === CLOSE.nameTaken.code && this.#state === "connecting";
    if (isNameTaken || FINAL_CODES.includes(code)) return this.#close(reason);
    const isConnected = this.#state === "connected";
    if (isConnected && Date.now() - this.#connectedAt > STABLE_AFTER_MS) this.#attempts = 0;
    this.#scheduleReconnect();
    if (isConnected) return this.#setState("reconnecting", reason);
    reportErrors(() => this.onstate(this.#state, reason));
  }

  #scheduleReconnect(): void {
    const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#attempts);
    this.#attempts++;
    const jitterMs = Math.random() * backoffMs / 2;
    this.#reconnectTimer = setTimeout(() => this.#connect(), backoffMs / 2 + jitterMs);
  }

  #close(reason: string): void {
    this.#detach();
    clearTimeout(this.#reconnectTimer);
    clearInterval(this.#heartbeatTimer);
    this.#sendQueue.close(reason);
    this.#setState("closed", reason);
  }

  /** Ignores what the socket still receives. */
  #detach(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) socket.onmessage = socket.onclose = null;
  }

  #setState(state: ChatState, reason: string): void {
    if (this.#state === state) return;
    this.#state = state;
    reportErrors(() => this.onstate(state, reason));
  }
}

function chatUrl(server: string, user: string): URL {
  const url = new URL(server);
  const name = encodeURIComponent(user);
  url.protocol = url.protocol.replace("http", "ws");
  url.pathname = `${url.pathname.replace(/\/$/, "")}/chat/${name}`;
  // URL has removed the names "." and "..", which have another meaning in a path.
  if (!url.pathname.endsWith(`/chat/${name}`)) {
    throw new TypeError(`the name ${JSON.stringify(user)} cannot stand in a URL`);
  }
  return url;
}

/** Reports what a callback throws as an uncaught error, so that it stops nothing else. */
function reportErrors(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
