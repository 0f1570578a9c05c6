/** A WebSocket peer over bare TCP, for what a well-behaved client never does. */
export class RawPeer {
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async connect(port: number): Promise<RawPeer> {
    return new RawPeer(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Connects and shakes hands; the welcome is read and dropped with the answer. */
  static async join(port: number, user: string): Promise<RawPeer> {
    const peer = await RawPeer.connect(port);
    await peer.write(handshake(`/chat/${user}`));
    await peer.readUntil(`Welcome ${user}!`);
    return peer;
  }

  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#connection.write(bytes.subarray(sent));
    }
  }

  /** Reads until something has come; everything so far, as text. Fails if the connection ends first. */
  async readUntil(wanted: string): Promise<string> {
    let text = "";
    const buffer = new Uint8Array(65_536);
    while (!text.includes(wanted)) {
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error(`${JSON.stringify(wanted)} did not come: ${text}`);
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return text;
  }

  /** Resolves when the other side has ended the connection, in whatever way. */
  async ended(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      while (await this.#connection.read(buffer) !== null);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }

  /** Ends the connection; with everything unread still in the kernel that is a TCP reset. */
  close(): void {
    this.#connection.close();
  }
}

/** The request of a WebSocket handshake. */
export function handshake(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

/** A client's frame of up to 65,535 bytes, masked with zeros (RFC 6455, section 5.2). */
export function frame(opcode: number, payload: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const length = bytes.length < 126
    ? [0x80 | bytes.length]
    : [0x80 | 126, bytes.length >> 8, bytes.length & 0xff];
  return new Uint8Array([0x80 | opcode, ...length, 0, 0, 0, 0, ...bytes]);
}
