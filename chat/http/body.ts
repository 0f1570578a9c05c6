import { STATUS_CODE } from "@std/http/status";
import type { AddressBudget } from "../limits/address_budgets.ts";
import { BadRequest } from "../protocol/bad_request.ts";
import type { FromClient } from "../protocol/from_client.ts";
import { validate } from "../protocol/json.ts";
import { hasFewFields } from "../protocol/json_shape.ts";
import { refuseTooMany } from "./charge.ts";
import { Refused } from "./responses.ts";
import type { RoomRequest } from "./route.ts";

/** How long a body may take. */
const BODY_TIMEOUT_MS = 10_000;

/** In how many pieces a body may come: each takes some microseconds, however short it is. */
const MAX_CHUNKS = 1_024;

/** How many of them are read in a turn of the event loop. */
const CHUNKS_PER_TURN = 16;

/**
 * Reads the body of a request as text.
 *
 * @param maxBytes how long it may be
 * @throws {Refused} with 413 if it is longer or comes in too many pieces, with 429 if the bodies
 * from its address are too much, with 408 if it does not come within ten seconds, and with 401 or
 * 403 if the client may not do this any more when it has come
 * @throws {BadRequest} if it is not UTF-8
 */
export async function readBody(
  { request, client, admitAgain }: RoomRequest,
  maxBytes: number,
): Promise<string> {
  if (Number(request.headers.get("content-length")) > maxBytes) throw refuseTooLong(maxBytes);
  const text = await readText(request, maxBytes, client);
  await admitAgain();
  return text;
}

function refuseTooLong(maxBytes: number): Refused {
  const line = `the body is too long: at most ${maxBytes} bytes are allowed`;
  return new Refused(STATUS_CODE.ContentTooLarge, line, { connection: "close" });
}

async function readText(
  request: Request,
  maxBytes: number,
  client: AddressBudget,
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
      const { length } = chunk.value;
      bytes += length;
      if (bytes > maxBytes) throw refuseTooLong(maxBytes);
      const waitMs = client.takeBody(length);
      if (waitMs > 0) throw refuseTooMany(waitMs);
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
