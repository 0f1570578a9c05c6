import { BadRequest } from "../protocol/bad_request.ts";
import type { FromClient } from "../protocol/from_client.ts";
import { validate } from "../protocol/json.ts";
import { hasFewFields } from "../protocol/json_shape.ts";
import type { RoomRequest } from "./route.ts";

/**
 * Reads the body of a request as text.
 *
 * @param maxBytes how long it may be
 * @throws {Refused} for what {@linkcode RequestBody.read} does, and with 401 or 403 if the client
 * may not do this any more when it has come
 * @throws {BadRequest} if it is not UTF-8
 */
export async function readBody(
  { body, client, admitAgain }: RoomRequest,
  maxBytes: number,
): Promise<string> {
  const text = await body.read(maxBytes, client);
  await admitAgain();
  return text;
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
