/**
 * Thousands of WebSocket clients on one thread. Everything happens inside {@linkcode
 * ClientGroup.poll}, synchronously: receiving creates no promise and no object.
 *
 * @module
 */
import { type ClientProtocol, MAX_SENDERS } from "./client_protocols.ts";
import { CLOSE, makeFrame, PING, PONG, readChunks, readFrames, TEXT } from "./frames.ts";
import { close, connect, Poller, receive, send } from "./libc.ts";

/** Joining fails when no client has joined for this long. */
const JOIN_TIMEOUT_MS = 20_000;

/** {@linkcode ClientGroup.pollUntilQuiet} fails when text frames still arrive after this long. */
const QUIET_TIMEOUT_MS = 300_000;

const NO_BYTES = new Uint8Array(0);
const HEADERS_END = "\r\n\r\n";
const encoder = new TextEncoder();

/** One client. */
export interface Client {
  /** Its index in {@linkcode ClientGroup.clients}. */
  readonly index: number;
  readonly user: string;
  readonly room: string;
  readonly fd: number;
  state: "handshaking" | "joining" | "joined" | "disconnected";
  /** The received bytes of a frame that is not complete yet. */
  partialFrame: Uint8Array;
}

/**
 * Handles the payload of one text frame: the bytes from `start` to `end`, valid only during the
 * call.
 */
export type TextHandler = (client: Client, bytes: Uint8Array, start: number, end: number) => void;

/** How clients join. */
export interface JoinOptions {
  /** How many clients join at the same time; 50 by default. */
  readonly concurrency?: number;
  readonly room?: string;
  /** The id of the last message that each client has seen. */
  readonly since?: string;
}

/** The clients of one server. */
export class ClientGroup {
  readonly clients: Client[] = [];
  /** Called for every text frame except heartbeats. */
  onText: TextHandler = () => {};
  /** When the frame that is being handled arrived. */
  receivedAt = 0;
  /** How many reads returned data. There is at most one for each TCP segment. */
  reads = 0;
  /** One line for each connection that has ended: whose it was, and why it ended. */
  readonly disconnects: string[] = [];

  readonly protocol: ClientProtocol;
  readonly #port: number;
  readonly #prefix: string;
  readonly #poller = new Poller();
  readonly #byFd: Client[] = [];
  readonly #nonReadingFds: number[] = [];
  readonly #buffer = new Uint8Array(1024 * 1024);
  readonly #heartbeat: Uint8Array<ArrayBuffer> | undefined;
  #joinedCount = 0;
  #lastTextAt = 0;
  #current!: Client;

  /** @param prefix the beginning of each client's user name */
  constructor(port: number, protocol: ClientProtocol, prefix = "u") {
    this.#port = port;
    this.protocol = protocol;
    this.#prefix = prefix;
    if (protocol.heartbeat) this.#heartbeat = encoder.encode(protocol.heartbeat.request);
  }

  /** Adds `count` clients, and returns when all of them have joined. */
  join(count: number, { concurrency = 50, room = "chat", since }: JoinOptions = {}): void {
    const goal = this.clients.length + count;
    let progressAt = performance.now();
    for (let before = this.#joinedCount; this.#joinedCount < goal;) {
      while (this.clients.length < goal && this.clients.length - this.#joinedCount < concurrency) {
        this.#connect(room, since);
      }
      this.poll(100);
      if (this.disconnects.length > 0) throw new Error(`could not join: ${this.disconnects[0]}`);
      if (this.#joinedCount > before) progressAt = performance.now();
      before = this.#joinedCount;
      if (performance.now() - progressAt > JOIN_TIMEOUT_MS) {
        throw new Error(`only ${this.#joinedCount} of ${goal} clients could join`);
      }
    }
  }

  /** Adds `count` clients that read the response to their handshake and nothing after it. */
  joinNonReading(count: number): void {
    for (let i = 0; i < count; i++) {
      const fd = connect(this.#port, 64 * 1024);
      send(fd, this.#handshake(`slow${i}`, "chat"));
      receive(fd, new Uint8Array(64));
      this.#nonReadingFds.push(fd);
      this.poll(0);
    }
  }

  /**
   * Waits up to `timeoutMs` for data and handles it; returns the number of clients that had some.
   */
  poll(timeoutMs: number): number {
    const count = this.#poller.wait(timeoutMs);
    for (let i = 0; i < count; i++) this.#read(this.#byFd[this.#poller.readyFd(i)]);
    return count;
  }

  /** Handles what arrives during the next `durationMs`. */
  pollFor(durationMs: number): void {
    const end = performance.now() + durationMs;
    for (let left = durationMs; left > 0; left = end - performance.now()) this.poll(left);
  }

  /**
   * Handles what arrives until no text frame but heartbeats has arrived for `quietMs`.
   *
   * @param afterPoll called after each poll
   */
  pollUntilQuiet(quietMs: number, afterPoll: () => void = () => {}): void {
    this.#lastTextAt = performance.now();
    const deadline = this.#lastTextAt + QUIET_TIMEOUT_MS;
    while (performance.now() - this.#lastTextAt < quietMs) {
      this.poll(quietMs);
      afterPoll();
      if (this.#lastTextAt > deadline) throw new Error("the clients never became quiet");
    }
  }

  /** Sends a frame that has been encoded already. */
  send(client: Client, frame: Uint8Array<ArrayBuffer>): void {
    if (!send(client.fd, frame)) throw new Error(`${client.user} cannot send`);
  }

  /** Resets every connection. */
  [Symbol.dispose](): void {
    for (const client of this.clients) if (client.state !== "disconnected") close(client.fd);
    for (const fd of this.#nonReadingFds) close(fd);
    this.#poller.close();
  }

  #connect(room: string, since?: string): void {
    const index = this.clients.length;
    const user = this.#prefix + index;
    const fd = connect(this.#port);
    const state = "handshaking";
    const client: Client = { index, user, room, fd, state, partialFrame: NO_BYTES };
    this.clients.push(client);
    this.#byFd[fd] = client;
    this.#poller.add(fd);
    send(fd, this.#isListener(client) ? this.#request(room) : this.#handshake(user, room, since));
  }

  #isListener({ index }: Client): boolean {
    return this.protocol.listenPath !== undefined && index >= MAX_SENDERS;
  }

  #request(room: string): Uint8Array<ArrayBuffer> {
    const path = this.protocol.listenPath!(room);
    return encoder.encode(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}${HEADERS_END}`);
  }

  #handshake(user: string, room: string, since?: string): Uint8Array<ArrayBuffer> {
    const { subprotocol } = this.protocol;
    return encoder.encode(
      [
        `GET ${this.protocol.path(user, room, since)} HTTP/1.1`,
        `Host: 127.0.0.1:${this.#port}`,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ...subprotocol ? [`Sec-WebSocket-Protocol: ${subprotocol}`] : [],
      ].join("\r\n") + HEADERS_END,
    );
  }

  #read(client: Client): void {
    const buffer = this.#buffer;
    const kept = client.partialFrame.length;
    if (kept > 0) buffer.set(client.partialFrame);
    const count = receive(client.fd, kept > 0 ? buffer.subarray(kept) : buffer);
    if (count <= 0) return this.#disconnect(client, "without a close frame");
    this.reads++;
    this.receivedAt = performance.now();
    const end = kept + count;
    let consumed = 0;
    if (client.state === "handshaking") consumed = this.#readHandshake(client, end);
    if (client.state !== "handshaking") {
      this.#current = client;
      const read = this.#isListener(client) ? readChunks : readFrames;
      consumed = read(buffer, consumed, end, this.#onFrame);
    }
    client.partialFrame = consumed < end ? buffer.slice(consumed, end) : NO_BYTES;
    if (client.partialFrame.length === buffer.length) {
      throw new Error("a frame is longer than the buffer");
    }
  }

  /** Reads the response to a handshake; returns where it ends, or 0 if it is not complete yet. */
  #readHandshake(client: Client, end: number): number {
    const response = new TextDecoder("latin1").decode(this.#buffer.subarray(0, end));
    const headersLength = response.indexOf(HEADERS_END);
    if (headersLength < 0) return 0;
    const status = this.#isListener(client) ? "200" : "101";
    if (!response.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`no ${status}: ${response}`);
    client.state = "joining";
    if (!this.protocol.sendsWelcome) this.#setJoined(client);
    const greeting = this.protocol.greeting?.(client.user, client.room);
    if (greeting) this.send(client, makeFrame(TEXT, encoder.encode(greeting)));
    return headersLength + HEADERS_END.length;
  }

  #setJoined(client: Client): void {
    client.state = "joined";
    this.#joinedCount++;
  }

  readonly #onFrame = (opcode: number, bytes: Uint8Array, start: number, end: number): void => {
    const client = this.#current;
    if (opcode === TEXT) {
      if (client.state === "joining" && includes(bytes, start, end, WELCOME)) {
        this.#setJoined(client);
      }
      if (this.#heartbeat && equals(bytes, start, end, this.#heartbeat)) {
        const { response } = this.protocol.heartbeat!;
        return this.send(client, makeFrame(TEXT, encoder.encode(response)));
      }
      this.#lastTextAt = this.receivedAt;
      return this.onText(client, bytes, start, end);
    }
    const payload = bytes.subarray(start, end);
    if (opcode === PING) return this.send(client, makeFrame(PONG, payload));
    if (opcode !== CLOSE) return;
    const code = payload[0] << 8 | payload[1];
    this.#disconnect(client, `with ${code} ${new TextDecoder().decode(payload.subarray(2))}`);
  };

  #disconnect(client: Client, how: string): void {
    if (client.state === "disconnected") return;
    if (client.state === "joined") this.#joinedCount--;
    client.state = "disconnected";
    close(client.fd);
    this.disconnects.push(`${client.user}'s connection ended ${how}`);
  }
}

/** Part of every welcome: of `Welcome u1!` and of `{"type":"welcome"…`. */
const WELCOME = encoder.encode("elcome");

/** Returns whether `word` occurs in the bytes from `start` to `end`. */
export function includes(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  return countOccurrences(bytes, start, end, word) > 0;
}

/** Counts how often `word` occurs in the bytes from `start` to `end`. */
export function countOccurrences(
  bytes: Uint8Array,
  start: number,
  end: number,
  word: Uint8Array,
): number {
  let count = 0;
  const first = word[0];
  for (let at = start; at <= end - word.length; at++) {
    if (bytes[at] === first && equals(bytes, at, at + word.length, word)) count++;
  }
  return count;
}

function equals(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}
