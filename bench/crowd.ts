/**
 * Thousands of WebSocket clients on one thread. Everything happens inside {@linkcode Crowd.pump}, synchronously: no
 * promise and no object is made for what comes in.
 *
 * @module
 */
import type { Dialect } from "./dialects.ts";
import { CLOSE, makeFrame, PING, PONG, readFrames, TEXT } from "./frames.ts";
import { close, connect, Poll, receive, send } from "./libc.ts";

/** A crowd to which nothing happens for so long, in milliseconds, waits for nothing that will come. */
const PATIENCE = 20_000;

/** Everyone is told of everyone within so many milliseconds, or it takes too long to be measured. */
const QUIET_WITHIN = 300_000;

const NOTHING = new Uint8Array(0);
const HEADERS_END = "\r\n\r\n";
const encoder = new TextEncoder();

/** One client. */
export interface Client {
  /** Its place among the clients of its crowd. */
  readonly index: number;
  readonly user: string;
  readonly room: string;
  readonly fd: number;
  state: "shaking hands" | "joining" | "in" | "gone";
  /** What came of a frame that is not whole yet. */
  rest: Uint8Array;
}

/** Takes a text frame, as of {@linkcode Crowd.hear}. */
export type Hear = (client: Client, bytes: Uint8Array, start: number, end: number) => void;

/** How clients join. */
export interface Joining {
  /** So many are on their way at the same time. */
  readonly atOnce?: number;
  readonly room?: string;
  /** The id of the last message that each of them has seen. */
  readonly since?: string;
}

/** The clients of one server. */
export class Crowd {
  readonly clients: Client[] = [];
  /** Called for every text frame that is no part of joining. */
  hear: Hear = () => {};
  /** The time of what is heard right now. */
  now = 0;
  /** How often something was read, which is no more often than a segment has come. */
  reads = 0;
  /** Everyone whose connection has ended, and why. */
  readonly gone: string[] = [];

  readonly dialect: Dialect;
  readonly #port: number;
  readonly #prefix: string;
  readonly #poll = new Poll();
  readonly #byFd: Client[] = [];
  readonly #buffer = new Uint8Array(1024 * 1024);
  readonly #heartbeat: Uint8Array<ArrayBuffer> | undefined;
  #in = 0;
  #toldAt = 0;
  #current!: Client;

  /** @param prefix what the names of its clients begin with */
  constructor(port: number, dialect: Dialect, prefix = "u") {
    this.#port = port;
    this.dialect = dialect;
    this.#prefix = prefix;
    if (dialect.heartbeat) this.#heartbeat = encoder.encode(dialect.heartbeat.asks);
  }

  /** Lets so many more join, and returns when all of them are in. */
  join(count: number, { atOnce = 50, room = "chat", since }: Joining = {}): void {
    const goal = this.clients.length + count;
    let progressAt = performance.now();
    for (let before = this.#in; this.#in < goal;) {
      while (this.clients.length < goal && this.clients.length - this.#in < atOnce) {
        this.#connect(room, since);
      }
      this.pump(100);
      if (this.gone.length > 0) throw new Error(`could not join: ${this.gone[0]}`);
      if (this.#in > before) progressAt = performance.now();
      before = this.#in;
      if (performance.now() - progressAt > PATIENCE) {
        throw new Error(`only ${this.#in} of ${goal} clients could join`);
      }
    }
  }

  /** Lets so many join who never read anything but the answer to their handshake. */
  joinDeaf(count: number): void {
    for (let i = 0; i < count; i++) {
      const user = `deaf${i}`;
      const fd = connect(this.#port, 64 * 1024);
      send(fd, this.#handshake(user, "chat"));
      receive(fd, new Uint8Array(64));
      this.#deaf.push(fd);
      this.pump(0);
    }
  }
  readonly #deaf: number[] = [];

  /** Takes what has come, or comes within so many milliseconds; says from how many it did. */
  pump(milliseconds: number): number {
    const count = this.#poll.wait(milliseconds);
    for (let i = 0; i < count; i++) this.#read(this.#byFd[this.#poll.ready(i)]);
    return count;
  }

  /** Takes what comes for so many milliseconds. */
  pumpFor(milliseconds: number): void {
    const end = performance.now() + milliseconds;
    for (let left = milliseconds; left > 0; left = end - performance.now()) this.pump(left);
  }

  /**
   * Takes what comes until nobody has been told anything for so many milliseconds; pings are no news.
   *
   * @param meanwhile what else there is to do, after whatever came
   */
  pumpUntilQuiet(milliseconds: number, meanwhile: () => void = () => {}): void {
    this.#toldAt = performance.now();
    const giveUp = this.#toldAt + QUIET_WITHIN;
    while (performance.now() - this.#toldAt < milliseconds) {
      this.pump(milliseconds);
      meanwhile();
      if (this.#toldAt > giveUp) throw new Error("it never became quiet");
    }
  }

  /** Sends a frame that was made before. */
  send(client: Client, frame: Uint8Array<ArrayBuffer>): void {
    if (!send(client.fd, frame)) throw new Error(`${client.user} cannot send`);
  }

  /** Ends every connection by reset. */
  [Symbol.dispose](): void {
    for (const client of this.clients) if (client.state !== "gone") close(client.fd);
    for (const fd of this.#deaf) close(fd);
    this.#poll.close();
  }

  #connect(room: string, since?: string): void {
    const index = this.clients.length;
    const user = this.#prefix + index;
    const fd = connect(this.#port);
    const client: Client = { index, user, room, fd, state: "shaking hands", rest: NOTHING };
    this.clients.push(client);
    this.#byFd[fd] = client;
    this.#poll.add(fd);
    send(fd, this.#handshake(user, room, since));
  }

  #handshake(user: string, room: string, since?: string): Uint8Array<ArrayBuffer> {
    const { subprotocol } = this.dialect;
    return encoder.encode(
      [
        `GET ${this.dialect.path(user, room, since)} HTTP/1.1`,
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
    const kept = client.rest.length;
    if (kept > 0) buffer.set(client.rest);
    const count = receive(client.fd, kept > 0 ? buffer.subarray(kept) : buffer);
    if (count <= 0) return this.#end(client, "without a word");
    this.reads++;
    this.now = performance.now();
    const end = kept + count;
    let whole = 0;
    if (client.state === "shaking hands") whole = this.#shakeHands(client, end);
    if (client.state !== "shaking hands") {
      this.#current = client;
      whole = readFrames(buffer, whole, end, this.#take);
    }
    client.rest = whole < end ? buffer.slice(whole, end) : NOTHING;
    if (client.rest.length === buffer.length) throw new Error("a frame is longer than the buffer");
  }

  /** Reads the answer to a handshake; gives where it ends, or 0 as long as it does not. */
  #shakeHands(client: Client, end: number): number {
    const answer = new TextDecoder("latin1").decode(this.#buffer.subarray(0, end));
    const headers = answer.indexOf(HEADERS_END);
    if (headers < 0) return 0;
    if (!answer.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade, but: ${answer}`);
    client.state = "joining";
    if (!this.dialect.welcomes) this.#enter(client);
    const greeting = this.dialect.greeting?.(client.user, client.room);
    if (greeting) this.send(client, makeFrame(TEXT, encoder.encode(greeting)));
    return headers + HEADERS_END.length;
  }

  #enter(client: Client): void {
    client.state = "in";
    this.#in++;
  }

  readonly #take = (opcode: number, bytes: Uint8Array, start: number, end: number): void => {
    const client = this.#current;
    if (opcode === TEXT) {
      if (client.state === "joining" && includes(bytes, start, end, WELCOME)) this.#enter(client);
      if (this.#heartbeat && equals(bytes, start, end, this.#heartbeat)) {
        const { answers } = this.dialect.heartbeat!;
        return this.send(client, makeFrame(TEXT, encoder.encode(answers)));
      }
      this.#toldAt = this.now;
      return this.hear(client, bytes, start, end);
    }
    const payload = bytes.subarray(start, end);
    if (opcode === PING) return this.send(client, makeFrame(PONG, payload));
    if (opcode !== CLOSE) return;
    const code = payload[0] << 8 | payload[1];
    this.#end(client, `with ${code} ${new TextDecoder().decode(payload.subarray(2))}`);
  };

  #end(client: Client, how: string): void {
    if (client.state === "gone") return;
    if (client.state === "in") this.#in--;
    client.state = "gone";
    close(client.fd);
    this.gone.push(`${client.user}'s connection ended ${how}`);
  }
}

/** Every welcome has it, `Welcome u1!` and `{"type":"welcome"…` alike. */
const WELCOME = encoder.encode("elcome");

/** Whether a word stands in bytes from `start` to `end`. */
export function includes(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  return countWords(bytes, start, end, word) > 0;
}

/** How often a word stands in bytes from `start` to `end`, whose first byte stands in it only once. */
export function countWords(
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
