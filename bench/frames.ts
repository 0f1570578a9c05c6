/**
 * The part of WebSocket framing (RFC 6455, section 5.2) that a load generator needs.
 *
 * @module
 */
/** Opcodes of frames. */
export const TEXT = 1, CLOSE = 8, PING = 9, PONG = 10;

const CARRIAGE_RETURN = 13;

/**
 * Handles the payload of one frame: the bytes from `start` to `end`, valid only during the call.
 */
export type FrameHandler = (opcode: number, bytes: Uint8Array, start: number, end: number) => void;

/**
 * Calls `onFrame` for every complete frame from a server in the bytes from `start` to `end`.
 *
 * @returns where the complete frames end; the caller passes the rest again, followed by more data
 */
export function readFrames(
  bytes: Uint8Array,
  start: number,
  end: number,
  onFrame: FrameHandler,
): number {
  let at = start;
  while (at + 2 <= end) {
    const first = bytes[at];
    // FIN is set and no RSV bit: no server here fragments messages or has negotiated an extension.
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
    onFrame(first & 0x0f, bytes, payload, payload + length);
    at = payload + length;
  }
  return at;
}

/**
 * Calls `onFrame` for every complete chunk of an HTTP response (RFC 9112, section 7.1) in the bytes
 * from `start` to `end`.
 *
 * @returns where the complete chunks end, as {@linkcode readFrames} does
 */
export function readChunks(
  bytes: Uint8Array,
  start: number,
  end: number,
  onFrame: FrameHandler,
): number {
  let at = start;
  while (at < end) {
    const lineEnd = bytes.indexOf(CARRIAGE_RETURN, at);
    if (lineEnd < 0 || lineEnd >= end) return at;
    const length = parseInt(String.fromCharCode(...bytes.subarray(at, lineEnd)), 16);
    const chunk = lineEnd + 2;
    if (chunk + length + 2 > end) return at;
    onFrame(length > 0 ? TEXT : CLOSE, bytes, chunk, chunk + length);
    at = chunk + length + 2;
  }
  return at;
}

/**
 * Builds a client's frame. Its mask is zero, which costs the server as much to remove as any other.
 */
export function makeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  if (length > 0xffff) throw new Error("the payload of a frame is longer than 65,535 bytes");
  const header = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  const frame = new Uint8Array(1 + header.length + 4 + length);
  frame[0] = 0x80 | opcode;
  frame.set(header, 1);
  frame.set(payload, frame.length - length);
  return frame;
}
