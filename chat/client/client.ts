/**
 * A chat client for browsers, Deno and Node.js 22 or later, without dependencies. It reconnects,
 * resumes where it was, and repeats what was not acknowledged, so that every message arrives once
 * and in order.
 *
 * @example Send a message, and receive it
 * ```ts
 * import { ChatClient } from "./client.ts";
 * import { openMemoryStore, readConfig, startServer } from "../mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const config = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const server = await startServer(config, openMemoryStore(config));
 * const chat = new ChatClient(`ws://127.0.0.1:${server.port}`, "foo");
 * await chat.ready;
 * chat.send("hello");
 * for await (const { user, text } of chat) {
 *   assertEquals(`${user}: ${text}`, "foo: hello");
 *   break;
 * }
 *
 * await chat.close();
 * await server.close();
 * ```
 *
 * @module
 */
import type { FinalCode } from "../protocol/close_codes.ts";
import type { ErrorCode, ErrorReply } from "../protocol/errors.ts";
import type {
  Banned,
  Joined,
  Kicked,
  Left,
  Message,
  Muted,
  Notice,
  Removed,
  Resync,
  Typing,
} from "../protocol/events.ts";
import { BEFORE_FIRST_ID, isId, isLater } from "../protocol/ids.ts";
import { checkRoom, checkUser, DEFAULT_ROOM, quote } from "../protocol/names.ts";
import type { Ack, Done, Pong, Reply, Welcome } from "../protocol/protocol.ts";
import { ChatError, type ChatErrorCode } from "./chat_error.ts";
import {
  type ChatEventMap,
  ChatEventTarget,
  type ChatState,
  type StateChange,
} from "./chat_events.ts";
import { iterateMessages } from "./iterate_messages.ts";
import { leave } from "./leave.ts";
import { type NameSecret, secretOf, type SecretStorage } from "./name_secret.ts";
import { SendQueue, type UnsentMessage } from "./send_queue.ts";
import { makeUrl, parseServers, type Query, readJson } from "./servers.ts";

export * from "./chat_error.ts";
export * from "./chat_events.ts";
export type { Ack, Done, ErrorCode, ErrorReply, Joined, Left, Message, Notice, Pong, Welcome };
export type { Banned, Kicked, Muted, Removed, Typing };
export type { SecretStorage, UnsentMessage };

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
  /** Closes the client when it is aborted. */
  readonly signal?: AbortSignal;
  /**
   * The token that lets the user in, or a function that returns one. The client calls the function
   * before each attempt to connect, and for `users` and `history`. If the server refuses the token,
   * or it has expired, the client asks the function once more, and closes if that token is refused
   * too. The token is sent as one more subprotocol, `token.{token}`, and over HTTP as
   * `authorization: Bearer {token}`.
   */
  readonly token?: string | (() => string | Promise<string>);
  /**
   * Where to keep what a reload of the page must not lose: give `sessionStorage` in a page. It is
   * the secret by which the server recognizes the user, so that the page has its name back at once,
   * and the messages that are not acknowledged yet, up to 256 KiB of them, which the next client
   * goes on to send. A duplicated tab makes another secret, and sends none of them. By default all
   * of it is kept in memory. All clients of a page for the same servers, room and user share one
   * secret, and the storage of the first one.
   */
  readonly storage?: SecretStorage;
}

/** What {@linkcode ChatClient.history} reads. */
export interface HistoryOptions {
  /** The id of a message: the messages before it are read. By default the newest ones are. */
  readonly before?: string;
  /** The most messages to read: 1 to 200, by default 50. */
  readonly limit?: number;
}

/** Some of a room's messages. */
export interface HistoryPage {
  /** The messages, oldest first. */
  readonly messages: Message[];
  /** The `before` of older messages; `null` if there are none. */
  readonly before: string | null;
}

interface UsersPage {
  readonly users: string[];
  readonly from: string | null;
}

const EXPIRED = 4401 satisfies FinalCode;
const NAME_TAKEN = 4409 satisfies FinalCode;

/** The code of RFC 6455 for a connection that did not end with a close frame, or never began. */
const CUT = 1006;

/** The codes of errors for the close codes after which a client does not connect again. */
const FINAL_CODES: Readonly<Record<FinalCode, ChatErrorCode>> = {
  [EXPIRED]: "refused",
  4403: "forbidden",
  [NAME_TAKEN]: "name_taken",
  4410: "replaced",
  4411: "too_many_devices",
};

/** After these errors the server closes the connection, if they are not about a message. */
const CLOSING_ERRORS: readonly ErrorCode[] = ["name_taken", "unavailable", "forbidden"];

/** The statuses of a handshake that the server would refuse again. */
const FINAL_STATUSES = [400, 401, 403];

/** The statuses of a server that has no place now. Its line says why. */
const BUSY_STATUSES = [429, 503];

/** The longest that the client waits because a server, or a proxy, says so. */
const MAX_RETRY_AFTER_SECONDS = 600;

/** What a client only passes on. */
type PlainEvent = (Banned | Joined | Kicked | Left | Muted | Notice | Removed | Typing) & {
  readonly user?: string;
};

/** How many users are read at once. */
const USERS_LIMIT = 200;

/** The longest pause before the first attempt to reconnect. It doubles with each attempt. */
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 10_000;

/** A connection that lasts longer than this resets the backoff. */
const STABLE_AFTER_MS = 5_000;

/** If nothing arrives between two heartbeats, the client asks the server for an answer. */
const HEARTBEAT_MS = 7_500;

/** How long the server may take to answer. Then the connection is lost. */
const ANSWER_TIMEOUT_MS = 5_000;

/** A timer that runs so late does not prove that the server has not answered. */
const MAX_LATE_MS = 1_000;

/** How often the room is told that the user is typing. The server drops more than one in 3 s. */
const TYPING_INTERVAL_MS = 3_500;

/** How long a client tries to get its name back. Its own lost connection may still hold it. */
const OWN_NAME_TIMEOUT_MS = 120_000;

/**
 * Keeps one user in one room until it is closed. It calls its `on…` properties and the listeners
 * of `addEventListener` with what happens. `for await (const message of chat)` loops over messages.
 */
export class ChatClient extends ChatEventTarget {
  /**
   * Called for each message of the room, including the user's own. Each message is delivered once,
   * and in the same order to everyone.
   */
  onmessage: (message: Message) => void = () => {};
  /** Called when a user joins, but not for those who joined while the client was disconnected. */
  onjoined: (joined: Joined) => void = () => {};
  /** Called when a user leaves, but not for those who left while the client was disconnected. */
  onleft: (left: Left) => void = () => {};
  /** Called when a message was removed, perhaps again: its text must not be shown any more. */
  onremoved: (removed: Removed) => void = () => {};
  /** Called when a moderator has closed the connections of a user. */
  onkicked: (kicked: Kicked) => void = () => {};
  /** Called when a moderator has banned a user, or has lifted the ban. */
  onbanned: (banned: Banned) => void = () => {};
  /** Called when a moderator has muted a user, or has lifted that. */
  onmuted: (muted: Muted) => void = () => {};
  /**
   * Called when another user is typing: at once, and then every 3.5 seconds as long as that goes
   * on. Without another call, the user has stopped.
   */
  ontyping: (typing: Typing) => void = () => {};
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
   * Called before the client connects, if it goes on to send messages of the page before it was
   * reloaded: see the option `storage`. They are in `unsent`, too.
   */
  onrestored: (restored: readonly UnsentMessage[]) => void = () => {};
  /**
   * Called when the state changes, and when an attempt to connect has failed. The reason is for
   * people, and empty when the client is connected. The error says for programs why the client
   * closed.
   */
  onstate: (state: ChatState, reason: string, error?: ChatError) => void = () => {};

  /** In a random order, in which each has its turn. The first one is used. */
  readonly #servers: URL[];
  readonly #user: string;
  readonly #room: string;
  readonly #options: ChatClientOptions;
  readonly #secret: NameSecret;
  readonly #sendQueue = new SendQueue((lines) => this.#socket?.send(lines.join("\n")));
  readonly #ready = Promise.withResolvers<Welcome>();
  #state: ChatState = "connecting";
  /** Why the client is closed. */
  #error: ChatError | undefined;
  /** Aborted when the client is closed. */
  readonly #closed = new AbortController();
  #socket: WebSocket | undefined;
  /** Why the server is about to close the connection. */
  #refusal: ErrorReply | undefined;
  /** Whether a token was refused, or has expired, since the last stable connection. */
  #wasTokenRefused = false;
  /** Attempts since the last stable connection. */
  #attempts = 0;
  /** When the client was connected or, if it is not, when it lost its last connection. */
  #changedAt = 0;
  /** What the server has said first; `undefined` while the client is not connected. */
  #welcome: Welcome | undefined;
  #lastTypingMs = -Infinity;
  /** Resolves when the connection is closed. */
  #left = Promise.resolve();
  /** After what the client resumes. Before the history has come, it asks for that instead. */
  #position: string | undefined;
  /** Whether the gap after the position was reported. */
  #isGapReported = false;
  /** Whether anything was received since the last heartbeat, or since the last ping. */
  #hasReceived = true;
  /** When half of the token's time has passed; `NaN` if it does not expire. */
  #renewAtMs = NaN;
  /** Defined while the client waits for an answer or, without a socket, for its next attempt. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #heartbeatTimer: ReturnType<typeof setInterval>;

  /**
   * Starts to connect.
   *
   * @param url the server, such as `wss://chat.example`; if there are several, the client begins
   * with any of them, and goes on to another one after each attempt that fails
   * @param user the user's name
   * @param options the room, and where in its log to start
   * @throws {TypeError} if a URL, a name or `since` is invalid, or `since` and `history` are both
   * given
   */
  constructor(url: string | readonly string[], user: string, options: ChatClientOptions = {}) {
    super();
    const { room = DEFAULT_ROOM, since, history, signal, storage } = options;
    this.#servers = parseServers([url].flat());
    this.#user = checkNames(user, room);
    this.#room = room;
    this.#secret = secretOf(this.#servers, room, this.#user, storage);
    if (since !== undefined && !isId(since)) {
      throw new TypeError(`since is ${JSON.stringify(since)}: give the id of a message`);
    }
    if (since !== undefined && history) {
      throw new TypeError("since and history are both given: give one");
    }
    this.#options = options;
    this.#position = since;
    this.#ready.promise.catch(() => {});
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS);
    const abort = () => this.#close(new ChatError("closed", "aborted"));
    signal?.addEventListener("abort", abort, { signal: this.#closed.signal });
    // A browser that keeps the page for the way back would keep the connection, too.
    globalThis.addEventListener?.("pagehide", () => this.#socket?.close(), {
      signal: this.#closed.signal,
    });
    if (signal?.aborted) abort();
    else this.#start();
  }

  /**
   * Resolves at the first welcome. Rejects with a {@linkcode ChatError} if the client closes before
   * it; nobody has to handle that.
   */
  get ready(): Promise<Welcome> {
    return this.#ready.promise;
  }

  /** The client's state. */
  get state(): ChatState {
    return this.#state;
  }

  /**
   * The id of the last message that was delivered; before the first one, that of the room's newest
   * message at the welcome. Give it as `since` to a later client.
   */
  get position(): string | undefined {
    return this.#position ?? this.#welcome?.last;
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
    return this.#error ? Promise.reject(this.#error) : this.#sendQueue.send(text);
  }

  /** The messages that the server has not acknowledged yet, the oldest first. */
  get unsent(): readonly UnsentMessage[] {
    return this.#sendQueue.unsent;
  }

  /**
   * Tells the others in the room that the user is typing. Call it whenever the user types: the
   * client sends it at most every 3.5 seconds, and only while it is connected.
   */
  typing(): void {
    const now = performance.now();
    if (now - this.#lastTypingMs < TYPING_INTERVAL_MS) return;
    if (this.#welcome?.canPublish === false || !this.#offers("typing")) return;
    this.#lastTypingMs = now;
    this.#socket?.send('{"type":"typing"}');
  }

  /**
   * Connects at once if the client waits for its next attempt. If it is connected, it asks the
   * server for an answer within five seconds, and takes the connection for lost if none comes. Call
   * it when the network or the page may be back: for `online`, `visibilitychange`, `pageshow`.
   */
  reconnect(): void {
    if (this.#socket) this.#ask();
    else if (this.#timer !== undefined) this.#connect();
  }

  /**
   * Reads a page of the room's messages over HTTP, whether or not the client is connected.
   *
   * @throws {ChatError} with the code `refused` if the server refuses the request, with
   * `unavailable` if it cannot respond
   *
   * @example Read all messages, the newest first
   * ```ts ignore
   * for (let before: string | null | undefined; before !== null;) {
   *   const page = await chat.history({ before });
   *   console.log(page.messages.toReversed());
   *   before = page.before;
   * }
   * ```
   */
  history(options: HistoryOptions = {}): Promise<HistoryPage> {
    return this.#read("messages", { ...options });
  }

  /**
   * Reads the names of all users in the room over HTTP, in no order, whether or not the client is
   * connected. Users who join or leave meanwhile may be missing.
   *
   * @throws {ChatError} as {@linkcode ChatClient.history} does
   */
  async users(): Promise<string[]> {
    const users: string[] = [];
    let from: string | null | undefined;
    do {
      const page: UsersPage = await this.#read("users", { from, limit: USERS_LIMIT });
      users.push(...page.users);
      from = page.from;
    } while (from !== null);
    return [...new Set(users)];
  }

  /**
   * Iterates over the messages that arrive from now on, until the client is closed. To miss none,
   * begin the loop before you await anything. Up to 10,000 messages wait for a loop that is slower
   * than the room.
   *
   * @throws {ChatError} if the client closes by itself (see `code`), or with the code `too_slow`
   * if too many messages wait. The loop gets those before that first: to go on without a gap, give
   * the id of its last message as `since` to another client
   */
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    return iterateMessages(this, () => this.#error);
  }

  /**
   * Leaves the room for good, and rejects the messages that are not acknowledged yet. Resolves when
   * the server has freed the name and closed the connection, after two seconds at the latest.
   */
  close(): Promise<void> {
    this.#close(new ChatError("closed", "close() was called"));
    return this.#left;
  }

  /** Calls {@linkcode ChatClient.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #start(): Promise<void> {
    const { storage } = this.#options;
    const isOnly = !this.#secret.client;
    this.#secret.client = this;
    if (storage) {
      const stored = await this.#secret.readUnsent();
      if (this.#error) return;
      const restored = this.#sendQueue.restore(isOnly ? stored : "", (unsent) => {
        // What is stored is that of the newest client.
        if (this.#secret.client === this) this.#secret.storeUnsent(unsent);
      });
      if (restored.length > 0) this.#tell("restored", restored);
    }
    this.#connect();
  }

  async #connect(): Promise<void> {
    this.#detach();
    this.#hasReceived = true;
    let token: string | undefined;
    try {
      token = await this.#token();
    } catch (error) {
      if (this.#error) return;
      if (error instanceof ChatError) return this.#close(error);
      return this.#retry(`there is no token: ${error}`);
    }
    const secret = await this.#secret.nextSubprotocol();
    if (this.#error) return;
    const newest = this.#secret.client ??= this;
    if (newest !== this) {
      return this.#close(new ChatError("replaced", "replaced by another connection"));
    }
    const since = this.#position;
    const url = makeUrl(`chat/${encodeURIComponent(this.#user)}`, this.#servers[0], {
      room: this.#room,
      since,
      history: since ? undefined : this.#options.history,
    });
    const protocols = ["chat.json.v1", secret, ...token === undefined ? [] : [`token.${token}`]];
    let socket: WebSocket;
    try {
      socket = this.#socket = new WebSocket(url.href.replace("http", "ws"), protocols);
    } catch (error) {
      // A page may not connect to a server without TLS, or a program lacks the permission.
      return this.#close(new ChatError("refused", (error as Error).message));
    }
    const onLost = (code: number, reason: string) => {
      if (this.#socket !== socket) return;
      const hasFailed = !this.#welcome && code === CUT;
      this.#handleConnectionLost(code, reason);
      if (hasFailed) this.#askWhyRefused(url, token);
    };
    socket.onmessage = ({ data }) => {
      this.#hasReceived = true;
      for (const line of data.split("\n")) {
        // A callback may have closed the client.
        if (this.#socket === socket) reportErrors(() => this.#handleEvent(JSON.parse(line)));
      }
    };
    socket.onclose = ({ code, reason }) => onLost(code, reason);
    // When a handshake fails, Node.js 22 has no other event.
    socket.onerror = () => this.#welcome || onLost(CUT, "the server cannot be reached");
  }

  /** Asks the server why it refuses a handshake, because no WebSocket tells that. */
  async #askWhyRefused(url: URL, token: string | undefined): Promise<void> {
    const timer = this.#timer;
    // A server takes `since` only with the subprotocol.
    url.searchParams.delete("since");
    const error: ChatError = await readJson<never>(url, token, this.#closed.signal).catch((e) => e);
    if (this.#welcome) return;
    const { status = 0, headers } = (error?.cause ?? {}) as Partial<Response>;
    if (BUSY_STATUSES.includes(status)) {
      // The next attempt has begun.
      if (!timer || this.#timer !== timer) return;
      // Another server may have a place.
      const seconds = this.#servers[1] ? 0 : Number(headers!.get("retry-after")) || 0;
      const waitSeconds = Math.min(Math.max(0, seconds), MAX_RETRY_AFTER_SECONDS);
      this.#retry(error.message, 1000 * waitSeconds);
    } else if (FINAL_STATUSES.includes(status) && !(status === 401 && this.#mayAskForToken())) {
      this.#close(error);
    }
  }

  /** Tells whether the next attempt to connect has another token, once after one was refused. */
  #mayAskForToken(): boolean {
    const mayAsk = !this.#wasTokenRefused && typeof this.#options.token === "function";
    this.#wasTokenRefused = true;
    return mayAsk;
  }

  async #read<T>(what: string, query: Query): Promise<T> {
    const url = makeUrl(`rooms/${this.#room}/${what}`, this.#servers[0], query);
    return readJson(url, await this.#token(), this.#closed.signal);
  }

  async #token(): Promise<string | undefined> {
    const given = this.#options.token;
    const token = await (typeof given === "function" ? given() : given);
    // It becomes the name of a subprotocol, for which a JWT has the right characters.
    if (token === undefined || /^[\w.-]+$/.test(token)) return token;
    throw new ChatError("refused", "the token is no JWT");
  }

  #handleEvent(event: Reply | PlainEvent | Message | Resync): void {
    switch (event.type) {
      case "welcome":
        return this.#handleWelcome(event);
      case "message":
        return this.#deliver(event);
      case "resync":
        return this.#resync(event);
      case "ack":
        return this.#sendQueue.onAck(event);
      case "error":
        if (CLOSING_ERRORS.includes(event.code) && !event.ref) this.#refusal = event;
        return this.#sendQueue.onError(event);
      case "token":
        return this.#planRenewal(event.expires);
      case "done":
      case "pong":
        return;
      default: {
        const { type } = event satisfies PlainEvent;
        if (type === "typing" && event.user === this.#user) return;
        // A newer server may send types that this client does not know. It ignores them.
        if (`on${type}` in this) this.#tell(type, event);
      }
    }
  }

  #handleWelcome(welcome: Welcome): void {
    const { last } = welcome;
    const since = this.#position;
    const isGap = since && !welcome.recovered;
    // The first case: the room's log was lost, and its new ids are lower.
    const isLastRight = since
      ? isGap && isLater(since, last)
      : !this.#options.history || last === BEFORE_FIRST_ID;
    if (isLastRight) this.#position = last;
    this.#welcome = welcome;
    this.#changedAt = Date.now();
    this.#planRenewal(welcome.expires);
    this.#sendQueue.onWelcome(welcome);
    this.#setState({ state: "connected", reason: "" });
    this.#ready.resolve(welcome);
    this.#tell("welcome", welcome);
    if (isGap) this.#reportGap(since);
  }

  #deliver(message: Message): void {
    // What was before the first message of the history, or of an empty log, nobody knows.
    const position = this.#position ?? BEFORE_FIRST_ID;
    if (position !== BEFORE_FIRST_ID && message.prev !== position) this.#reportGap(position);
    this.#isGapReported = false;
    this.#position = message.id;
    this.#tell("message", message);
  }

  #resync({ last, gap }: Resync): void {
    if (gap) this.#reportGap(this.position!);
    this.#position = last;
  }

  #reportGap(after: string): void {
    if (this.#isGapReported) return;
    this.#isGapReported = true;
    this.#tell("gap", { after }, [after]);
  }

  /** A connection that was cut silently is like one on which nothing happens. */
  #heartbeat(): void {
    if (this.#welcome && Date.now() > this.#renewAtMs) this.#renewToken();
    if (this.#timer !== undefined) return;
    if (this.#hasReceived) this.#hasReceived = false;
    else this.#ask();
  }

  /**
   * Asks the server for an answer. If it does not come in time, the connection is lost.
   *
   * @param isRepeated whether the timer of the last question ran late: in a tab in the background
   * all of them do, and after a sleep it may run before what has arrived is handled
   */
  #ask(isRepeated = false): void {
    const socket = this.#socket;
    if (!socket) return;
    if (this.#welcome) socket.send('{"type":"ping"}');
    // While it waits for an answer, another question must not put off the end of the connection.
    if (this.#timer !== undefined && !this.#hasReceived) return;
    this.#hasReceived = false;
    const lateMs = Date.now() + ANSWER_TIMEOUT_MS + MAX_LATE_MS;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#hasReceived) return;
      if (!isRepeated && Date.now() > lateMs) return this.#ask(true);
      socket.close();
      this.#handleConnectionLost(CUT, "the server does not answer");
    }, ANSWER_TIMEOUT_MS);
  }

  #planRenewal(expires = NaN): void {
    this.#renewAtMs = (Date.now() + expires) / 2;
  }

  /** Sends another token. Without one, the connection ends when its token expires. */
  async #renewToken(): Promise<void> {
    const socket = this.#socket;
    this.#planRenewal();
    const token = await this.#token().catch(() => {});
    if (token && this.#socket === socket) socket?.send(`{"type":"token","token":"${token}"}`);
  }

  #handleConnectionLost(code: number, closeReason: string): void {
    const reason = this.#refusal?.message ?? (closeReason || `code ${code}`);
    const now = Date.now();
    if (this.#welcome) {
      if (now - this.#changedAt > STABLE_AFTER_MS) {
        this.#attempts = 0;
        this.#wasTokenRefused = false;
        // The history has come, or there is none.
        this.#position = this.position;
      }
      this.#changedAt = now;
    }
    this.#detach();
    this.#servers.push(this.#servers.shift()!);
    const isOwnName = code === NAME_TAKEN && now - this.#changedAt < OWN_NAME_TIMEOUT_MS;
    const error = FINAL_CODES[code as FinalCode];
    if (!error || isOwnName || code === EXPIRED && this.#mayAskForToken()) {
      return this.#retry(reason);
    }
    this.#close(new ChatError(error, reason));
  }

  /** Connects after a pause. */
  #retry(reason: string, minMs = 0): void {
    const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#attempts);
    const waitMs = minMs + backoffMs * (1 + Math.random()) / 2;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#attempts++;
      this.#connect();
    }, waitMs);
    const state = this.#state === "connected" ? "reconnecting" : this.#state;
    this.#setState({ state, reason, retryAt: Date.now() + waitMs });
  }

  #close(error: ChatError): void {
    if (this.#error) return;
    this.#error = error;
    this.#sendQueue.close(error);
    if (this.#secret.client === this) this.#secret.client = undefined;
    if (this.#socket) this.#left = leave(this.#socket, this.#offers("leave"));
    this.#detach();
    clearInterval(this.#heartbeatTimer);
    this.#closed.abort();
    this.#ready.reject(error);
    this.#setState({ state: "closed", reason: error.message, error });
  }

  /** Servers before 0.3 do not send the field. */
  #offers(feature: string): boolean {
    return this.#welcome?.features?.includes(feature) ?? false;
  }

  /** Ignores what the socket still receives, and awaits nothing. */
  #detach(): void {
    clearTimeout(this.#timer);
    this.#socket =
      this.#timer =
      this.#welcome =
      this.#refusal =
        undefined;
    this.#sendQueue.onConnectionLost();
  }

  #setState(change: StateChange): void {
    const { state, reason, error } = change;
    this.#state = state;
    this.#tell("state", change, [state, reason, error]);
  }

  /**
   * Calls the property of an event, and its listeners.
   *
   * @param args what the property is given
   */
  #tell<K extends keyof ChatEventMap>(
    type: K,
    detail: ChatEventMap[K]["detail"],
    args: unknown[] = [detail],
  ): void {
    reportErrors(() => (this[`on${type}`] as (...args: unknown[]) => void)(...args));
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Checks names as the server does.
 *
 * @returns the user's name as the server spells it
 * @throws {TypeError} with the server's words if it would refuse them
 */
function checkNames(user: string, room: string): string {
  // In a path, "." and ".." have another meaning, and there is no half of a character.
  if (/^\.\.?$|\p{Cs}/u.test(user)) {
    throw new TypeError(`the user name ${quote(user)} cannot be in a URL`);
  }
  try {
    checkRoom(room);
    return checkUser(user);
  } catch (error) {
    throw new TypeError((error as Error).message);
  }
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
