/** Of what is longer, the rest is forgotten if nobody reads it. */
const MAX_WHOLE_BYTES = 8 * 1024;

const CHUNK_BYTES = 16 * 1024;

/** A response must be read within this time. */
const READ_TIMEOUT_MS = 30_000;

/**
 * Makes the body of a response that frees its memory if the peer does not read it in time. Then the
 * response ends before its `content-length`. `Deno.serve` itself would keep it for ever; it does
 * keep the connection, until the peer reads what is on its way, or closes.
 *
 * @param timeoutMs in which time the peer must read all of it
 */
export function makeBody(
  bytes: Uint8Array<ArrayBuffer>,
  timeoutMs: number = READ_TIMEOUT_MS,
): BodyInit {
  if (bytes.length <= MAX_WHOLE_BYTES) return bytes;
  let rest = bytes;
  let timer: ReturnType<typeof setTimeout>;
  function forget(): void {
    clearTimeout(timer);
    rest = rest.slice(0, 0);
  }
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      timer = setTimeout(() => {
        forget();
        controller.close();
      }, timeoutMs);
    },
    pull(controller) {
      controller.enqueue(rest.slice(0, CHUNK_BYTES));
      rest = rest.subarray(CHUNK_BYTES);
      if (rest.length > 0) return;
      forget();
      controller.close();
    },
    cancel: forget,
  }, { highWaterMark: 0 });
}
