/**
 * HTTP/2 as bytes, because `fetch` speaks it with TLS only.
 *
 * @module
 */
const [HEADERS, SETTINGS] = [1, 4];

/** The flags of a whole request without a body. */
const END_STREAM_AND_HEADERS = 5;

const encoder = new TextEncoder();

/** Encodes the start of a connection (RFC 9113, 3.4), and some `GET` requests for one path. */
export function encodeRequests(path: string, count: number): Uint8Array {
  // `:method: GET`, `:scheme: http`, and `:path` with a text (RFC 7541, appendix A).
  const head = [0x82, 0x86, 0x04, path.length, ...encoder.encode(path)];
  const requests = Array.from(
    { length: count },
    (_, i) => frame(HEADERS, END_STREAM_AND_HEADERS, 2 * i + 1, head),
  );
  const preface = encoder.encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  return new Uint8Array([...preface, ...frame(SETTINGS, 0, 0, []), ...requests.flat()]);
}

/** Counts the responses in what a server has sent. */
export function countResponses(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at + 9 <= bytes.length;) {
    const [high, middle, low, type] = bytes.subarray(at);
    if (type === HEADERS) count++;
    at += 9 + (high << 16 | middle << 8 | low);
  }
  return count;
}

function frame(type: number, flags: number, stream: number, payload: number[]): number[] {
  return [0, payload.length >> 8, payload.length & 255, type, flags]
    .concat([0, 0, stream >> 8, stream & 255], payload);
}
