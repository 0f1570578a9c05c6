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

/** Returns the request of a WebSocket handshake, with more headers if any are given. */
export function handshake(path: string, ...headers: string[]): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n` +
    headers.map((header) => `${header}\r\n`).join("") +
    "Upgrade: websocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

/** Encodes a client's frame, masked with zeros (RFC 6455, 5.2). */
export function frame(
  opcode: number,
  payload: string | Uint8Array,
  { isLast = true } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const header = new DataView(new ArrayBuffer(14));
  header.setUint8(0, (isLast ? 0x80 : 0) | opcode);
  let length = 2;
  if (bytes.length < 126) {
    header.setUint8(1, 0x80 | bytes.length);
  } else if (bytes.length < 65_536) {
    header.setUint8(1, 0x80 | 126);
    header.setUint16(2, bytes.length);
    length += 2;
  } else {
    header.setUint8(1, 0x80 | 127);
    header.setBigUint64(2, BigInt(bytes.length));
    length += 8;
  }
  const mask = 4;
  const encoded = new Uint8Array(length + mask + bytes.length);
  encoded.set(new Uint8Array(header.buffer, 0, length));
  encoded.set(bytes, length + mask);
  return encoded;
}

/** Requests an upgrade and returns the head of the response. */
export async function requestUpgrade(
  port: number,
  user: string,
  ...headers: string[]
): Promise<string> {
  const client = await RawClient.connect(port);
  await client.write(handshake(`/chat/${user}`, ...headers));
  const head = await client.readUntil("\r\n\r\n");
  client.close();
  return head;
}
