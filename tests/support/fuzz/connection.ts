import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** A TCP connection of the fuzzer. What is written and received are bytes, each one character. */
export class Connection {
  readonly #socket: Socket;
  #received = "";
  #isEnded = false;
  #wake = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#received += bytes.toString("latin1");
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  /** Connects from one of the addresses of the loopback interface. */
  static async open(port: number, localAddress: string): Promise<Connection> {
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Connection(socket);
  }

  /** What was received and not taken yet. */
  get received(): string {
    return this.#received;
  }

  write(bytes: string): void {
    if (!this.#isEnded) this.#socket.write(Buffer.from(bytes, "latin1"));
  }

  /**
   * Waits for some words.
   *
   * @returns whether they came before the end of the connection, and in time
   */
  async until(words: string, timeoutMs: number): Promise<boolean> {
    const timer = setTimeout(() => this.#wake(), timeoutMs);
    const end = performance.now() + timeoutMs;
    while (!this.#received.includes(words) && !this.#isEnded && performance.now() < end) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    clearTimeout(timer);
    return this.#received.includes(words);
  }

  /** Forgets what was received. */
  clear(): void {
    this.#received = "";
  }

  /** Closes the connection; what is not read yet makes it a reset. */
  close(): void {
    this.#socket.destroy();
  }
}
