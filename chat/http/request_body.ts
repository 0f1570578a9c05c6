import { STATUS_CODE } from "@std/http/status";
import type { AddressBudget } from "../limits/address_budgets.ts";
import { BadRequest } from "../protocol/bad_request.ts";
import { Refused, refuseTooMany } from "./responses.ts";

/** How long a body may take. */
const BODY_TIMEOUT_MS = 10_000;

/** In how many pieces a body may come: each takes some microseconds, however short it is. */
const MAX_PIECES = 512;

/** What a further piece costs its address, beside its bytes. */
const PIECE_BYTES = 16 * 1024;

/** How much of a body is read at once. */
const READ_BYTES = 64 * 1024;

/**
 * How much is read at once of a body whose length is not known. Each time, Deno takes as much from
 * the socket, gives one chunk, however short it is, and moves all the rest in its memory.
 */
const CHUNKED_READ_BYTES = 4 * 1024;

/** How long a client has to read the response to a request whose body is not read to the end. */
const LINGER_MS = 1_000;

const CLOSE = { connection: "close" };

/** The body of a request. */
export class RequestBody {
  readonly #request: Request;
  /** `undefined` if there is no body, or all of it came with the head of the request. */
  readonly #reader?: ReadableStreamBYOBReader;
  #isRead = false;

  /** Takes the body, so that Deno does not read and throw away what this server does not read. */
  constructor(request: Request) {
    this.#request = request;
    try {
      this.#reader = request.body?.getReader({ mode: "byob" });
    } catch {
      // A body that came with the head is a stream without a BYOB reader.
    }
  }

  /**
   * Reads the body as text, once.
   *
   * @param maxBytes how long it may be
   * @param client the client's address
   * @throws {Refused} with 413 if it is longer or comes in too many pieces, with 429 if the bodies
   * from its address are too much, and with 408 if it does not come within ten seconds
   * @throws {BadRequest} if it is not UTF-8
   */
  async read(maxBytes: number, client: AddressBudget): Promise<string> {
    const length = this.#request.headers.get("content-length");
    if (Number(length) > maxBytes) throw refuseTooLong(maxBytes);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(new Refused(STATUS_CODE.RequestTimeout, "the body does not come", CLOSE));
    }, BODY_TIMEOUT_MS);
    const size = length === null ? CHUNKED_READ_BYTES : READ_BYTES;
    try {
      return await Promise.race([this.#readText(size, maxBytes, client), late]);
    } catch (error) {
      if (error instanceof TypeError) throw new BadRequest("the body is not UTF-8");
      if (error instanceof Refused) throw error;
      throw new BadRequest("the connection ended before the body");
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Ends the connection in a second, if the body was not read to its end. Otherwise Deno would read
   * and throw away the rest, for as long as the client sends.
   */
  close(): void {
    const reader = this.#reader;
    if (!reader || this.#isRead) return;
    setTimeout(() => reader.cancel().catch(() => {}), LINGER_MS);
  }

  async #readText(size: number, maxBytes: number, client: AddressBudget): Promise<string> {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let text = "", bytes = 0, pieces = 0;
    for await (const piece of this.#pieces(size)) {
      bytes += piece.length;
      if (bytes > maxBytes) throw refuseTooLong(maxBytes);
      if (++pieces > MAX_PIECES) {
        const line = `the body comes in more than ${MAX_PIECES} pieces`;
        throw new Refused(STATUS_CODE.ContentTooLarge, line, CLOSE);
      }
      const waitMs = client.takeBody(piece.length + (pieces > 1 ? PIECE_BYTES : 0));
      if (waitMs > 0) throw refuseTooMany(waitMs);
      text += decoder.decode(piece, { stream: true });
    }
    return text + decoder.decode();
  }

  async *#pieces(size: number): AsyncGenerator<Uint8Array> {
    if (!this.#reader) {
      yield await this.#request.bytes();
      return;
    }
    for (let view = new Uint8Array(size);;) {
      const { done, value } = await this.#reader.read(view);
      if (done) break;
      yield value;
      view = new Uint8Array(value.buffer);
      // Pieces that have come already would be read without a turn for anything else.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#isRead = true;
  }
}

function refuseTooLong(maxBytes: number): Refused {
  const line = `the body is too long: at most ${maxBytes} bytes are allowed`;
  return new Refused(STATUS_CODE.ContentTooLarge, line, CLOSE);
}
