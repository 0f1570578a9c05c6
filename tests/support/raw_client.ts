/** A WebSocket client that writes raw bytes, for what a correct client never sends. */
export class RawClient {
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Opens a TCP connection, without a handshake. */
  static async connect(port: number): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Opens a connection, sends the handshake and reads up to the welcome. */
  static async join(port: number, user: string): Promise<RawClient> {
    const client = await RawClient.connect(port);
    await client.write(handshake(`/chat/${user}`));
    await client.readUntil(`Welcome ${user}!`);
    return client;
  }

  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#connection.write(bytes.subarray(sent));
    }
  }

  /** Reads until a text appears, and returns all of it; fails if the connection ends first. */
  async readUntil(expected: string): Promise<string> {
    let text = "";
    const buffer = new Uint8Array(65_536);
    while (!text.includes(expected)) {
      const count = await this.#connection.read(buffer);
      if (count === null) {
        throw new Error(`expected ${JSON.stringify(expected)} before the end of ${text}`);
      }
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return text;
  }

  /** Waits until the server ends the connection, in order or by a reset. */
  async ended(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      while (await this.#connection.read(buffer) !== null);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }

  /** Closes the connection. The kernel sends a TCP reset if there is unread data. */
  close(): void {
    this.#connection.close();
  }
}

/** Returns the request of a WebSocket handshake. */
export function handshake(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n` +
    "Upgrade: websocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

/** Encodes a client's frame of up to 65,535 bytes, masked with zeros (RFC 6455, 5.2). */
export function frame(opcode: number, payload: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const length = bytes.length < 126
    ? [0x80 | bytes.length]
    : [0x80 | 126, bytes.length >> 8, bytes.length & 0xff];
  return new Uint8Array([0x80 | opcode, ...length, 0, 0, 0, 0, ...bytes]);
}
