import { STATUS_CODE } from "@std/http/status";
import { BadRequest } from "../protocol/bad_request.ts";
import { errorReply } from "../protocol/errors.ts";
import type { ClientMessage } from "../protocol/from_client.ts";
import { quote } from "../protocol/names.ts";
import { exceedsJsonBytes } from "../protocol/utf8.ts";
import type { Hub } from "../rooms/hub.ts";
import type { SessionLimits } from "../session/session.ts";
import { Muted, StoreOutcomeUnknown, StoreUnavailable } from "../store/store.ts";
import { forbid } from "./admission.ts";
import { checkFields, parseObject, readBody } from "./body.ts";
import type { Charge } from "./charge.ts";
import { json, Refused, refuseTooMany } from "./responses.ts";
import { type RoomRequest, type Route, routeInRoom } from "./route.ts";

/** No valid form has more fields. */
const MAX_FORM_FIELDS = 8;

/** Makes the route for services that publish messages without being in the room. */
export function publishRoutes(hub: Hub, limits: SessionLimits, charge: Charge): Route[] {
  const handle = (request: RoomRequest) => publish(hub, limits, charge, request);
  return [routeInRoom("POST", "messages", "publish", handle)];
}

/**
 * Responds to `POST /rooms/{room}/messages` with the id of the message.
 *
 * @throws {BadRequest} if the body is not a valid message
 * @throws {Refused} if the message is too large, comes too early, or was not taken
 */
async function publish(
  hub: Hub,
  { maxMessageBytes, maxBufferedBytes }: SessionLimits,
  charge: Charge,
  roomRequest: RoomRequest,
): Promise<Response> {
  const { request: { headers }, room, access, client } = roomRequest;
  const parse = parserOf(headers.get("content-type"));
  const body = await readBody(roomRequest, maxBufferedBytes);
  // Before it is parsed, which takes much longer for a large body than reading it.
  charge(roomRequest, body.length);
  const { text, ref, after } = readMessage(parse(body), headers.get("idempotency-key"));
  if (exceedsJsonBytes(text, maxMessageBytes)) {
    throw new Refused(STATUS_CODE.ContentTooLarge, errorReply.tooLarge(maxMessageBytes).message);
  }
  const waitMs = await hub.isNew(room) ? client.takeNewRoom() : 0;
  if (waitMs > 0) throw refuseTooMany(waitMs);
  try {
    const id = await hub.publish(room, access.user!, text, ref, after);
    return json(JSON.stringify({ id }), STATUS_CODE.Created);
  } catch (error) {
    throw refusalOf(error);
  }
}

/** Finds the parser of a body; throws {@linkcode Refused} with 415 if there is none. */
function parserOf(contentType: string | null): (body: string) => object {
  const [type] = contentType?.split(";", 1) ?? [""];
  switch (type.trim().toLowerCase()) {
    case "application/json":
      return parseJson;
    case "application/x-www-form-urlencoded":
      return parseForm;
    default:
      throw new Refused(
        STATUS_CODE.UnsupportedMediaType,
        `the content type is ${quote(type)}: ` +
          "give application/json or application/x-www-form-urlencoded",
      );
  }
}

function parseJson(body: string): object {
  return parseObject(body, '{"text":"hi"}');
}

function parseForm(body: string): object {
  if (body.startsWith("{")) {
    throw new BadRequest("the body is JSON, so the content type must be application/json");
  }
  if (body.split("&", MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) {
    throw new BadRequest("the form has too many fields");
  }
  const entries = [...new URLSearchParams(body)];
  const fields = Object.fromEntries(entries);
  if (Object.keys(fields).length === entries.length) return fields;
  throw new BadRequest("a field of the form is given twice");
}

/** Reads the fields of a message, which are those of the JSON protocol without `type`. */
function readMessage(fields: object, idempotencyKey: string | null): ClientMessage {
  if (idempotencyKey !== null && "ref" in fields) {
    throw new BadRequest("ref and Idempotency-Key are both given: give one of them");
  }
  const ref = idempotencyKey === null ? {} : { ref: idempotencyKey };
  return checkFields({ ...fields, ...ref, type: "message" }) as ClientMessage;
}

/** Makes the refusal for a message that the store did not take, or may have taken. */
function refusalOf(error: unknown): unknown {
  if (error instanceof Muted) return forbid("message not delivered: you are muted");
  if (error instanceof StoreUnavailable) {
    return new Refused(STATUS_CODE.ServiceUnavailable, errorReply.notDelivered().message);
  }
  if (error instanceof StoreOutcomeUnknown) {
    return new Refused(STATUS_CODE.ServiceUnavailable, errorReply.unknown().message);
  }
  return error;
}
