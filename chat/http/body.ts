import { STATUS_CODE } from "@std/http/status";
import { BadRequest } from "../protocol/bad_request.ts";
import type { FromClient } from "../protocol/from_client.ts";
import { validate } from "../protocol/json.ts";
import { hasFewFields } from "../protocol/json_shape.ts";
import { Refused } from "./responses.ts";
import type { RoomRequest } from "./route.ts";

/** How long a body may take. */
const BODY_TIMEOUT_MS = 10_000;

/** In how many pieces a body may come: each takes some microseconds, however short it is. */
const MAX_CHUNKS = 1_024;

/** How many of them are read in a turn of the event loop. */
const CHUNKS_PER_TURN = 16;

/** While too much of an address waits, each of its bodies may have so much. */
const MAX_FAIR_BYTES = 64 * 1024;

/**
 * Reads the body of a request as text.
 *
 * @param maxBytes how long it may be
 * @throws {Refused} with 413 if it is longer or comes in too many pieces, with 408 if it does not
 * come within ten seconds, with 429 if too much waits of the client's address, and with 401 or 403
 * if the client may not do this any more when it has come
 * @throws {BadRequest} if it is not UTF-8
 */
export async function readBody(
  roomRequest: RoomRequest,
  maxBytes: number,
): Promise<string> {
  const text = await readText(roomRequest, maxBytes);
  await roomRequest.admitAgain();
  return text;
}

async function readText(
  { request, client: { waiting } }: RoomRequest,
  maxBytes: number,
): Promise<string> {
  const reader = request.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "", bytes = 0, chunks = 0, isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    reader.cancel().catch(() => {});
  }, BODY_TIMEOUT_MS);
  try {
    for (let chunk; !(chunk = await reader.read()).done;) {
      bytes += chunk.value.length;
      waiting.bytes += chunk.value.length;
      if (waiting.bytes > waiting.maxBytes && bytes > MAX_FAIR_BYTES) {
        const line = "too many long bodies from your address have not come yet";
        const headers = { "retry-after": "1", connection: "close" };
        throw new Refused(STATUS_CODE.TooManyRequests, line, headers);
      }
      if (bytes > maxBytes) {
        const line = `the body is too long: at most ${maxBytes} bytes are allowed`;
        throw new Refused(STATUS_CODE.ContentTooLarge, line, { connection: "close" });
      }
      text += decoder.decode(chunk.value, { stream: true });
      if (++chunks > MAX_CHUNKS) {
        const line = `the body comes in more than ${MAX_CHUNKS} pieces`;
        throw new Refused(STATUS_CODE.ContentTooLarge, line, { connection: "close" });
      }
      // Pieces that have come already would be read without a turn for anything else.
      if (chunks % CHUNKS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (isLate) {
      const line = "the body does not come";
      throw new Refused(STATUS_CODE.RequestTimeout, line, { connection: "close" });
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new BadRequest("the body is not UTF-8");
    if (error instanceof Refused) throw error;
    throw new BadRequest("the connection ended before the body");
  } finally {
    clearTimeout(timer);
    waiting.bytes -= bytes;
    reader.cancel().catch(() => {});
  }
}

/**
 * Parses a body as a JSON object.
 *
 * @param example what would be right
 * @throws {BadRequest} if it is none
 */
export function parseObject(body: string, example: string): object {
  if (!hasFewFields(body)) throw new BadRequest("the body has too many fields");
  try {
    const value = JSON.parse(body);
    if (value instanceof Object && !Array.isArray(value)) return value;
  } catch {
    // The error below says it.
  }
  throw new BadRequest(`the body is no JSON object: give one such as ${example}`);
}

/**
 * Checks the fields that a request has, as if they came in a line of the JSON protocol.
 *
 * @throws {BadRequest} if one of them is not valid
 */
export function checkFields(fields: object): FromClient {
  const line = validate(fields);
  if (line.type === "error") throw new BadRequest(line.message);
  return line;
}
