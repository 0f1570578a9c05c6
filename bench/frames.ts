/**
 * WebSocket frames as bytes (RFC 6455, section 5.2), as far as a load generator needs them.
 *
 * @module
 */
export const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10;

/** Takes the payload of one frame, which stands in `bytes` from `start` to `end` and only until this returns. */
export type TakeFrame = (opcode: number, bytes: Uint8Array, start: number, end: number) => void;

/**
 * Hands out every whole frame of a server that stands in `bytes` from `start` to `end`.
 *
 * @returns where the whole frames end; what is behind has to come again, with what follows it
 */
export function readFrames(
  bytes: Uint8Array,
  start: number,
  end: number,
  take: TakeFrame,
): number {
  let at = start;
  while (at + 2 <= end) {
    const first = bytes[at];
    // Nobody here has agreed to an extension, splits a message or masks what a server sends.
    if ((first & 0xf0) !== 0x80) throw new Error(`a frame begins with byte ${first}`);
    let length = bytes[at + 1];
    let payload = at + 2;
    if (length === 126) {
      if (at + 4 > end) return at;
      length = bytes[at + 2] << 8 | bytes[at + 3];
      payload = at + 4;
    } else if (length === 127) {
      if (at + 10 > end) return at;
      length = new DataView(bytes.buffer, bytes.byteOffset + at + 6).getUint32(0);
      payload = at + 10;
    } else if (length > 127) {
      throw new Error("a server's frame is masked");
    }
    if (payload + length > end) return at;
    take(first & 0x0f, bytes, payload, payload + length);
    at = payload + length;
  }
  return at;
}

/** A client's frame, masked with zeros, which is as good as any mask to the server that has to take it off. */
export function makeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  if (length > 0xffff) throw new Error("a longer frame than anyone here needs");
  const header = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  const frame = new Uint8Array(1 + header.length + 4 + length);
  frame[0] = 0x80 | opcode;
  frame.set(header, 1);
  frame.set(payload, frame.length - length);
  return frame;
}
