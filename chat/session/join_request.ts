import { BadRequest } from "../protocol/bad_request.ts";
import { parseRoom, parseUser, quote } from "../protocol/names.ts";
import { JSON_LINES } from "../protocol/json.ts";
import type { Protocol } from "../protocol/protocol.ts";
import { TEXT } from "../protocol/text.ts";

/** The most messages that a newcomer may ask for. */
const MOST_HISTORY = 200;

/** What a client asks for when it joins. */
export interface JoinRequest {
  readonly user: string;
  readonly room: string;
  readonly protocol: Protocol;
  /** The id of the last message that the client has seen, as it was given; `undefined` for a new client. */
  readonly since?: string;
  /** How many of the room's last messages to send first. */
  readonly history: number;
}

/**
 * Reads what a client asks for.
 *
 * @param url a URL whose path is `/chat/{user}`
 * @param subprotocols the value of `Sec-WebSocket-Protocol`, if there is one
 * @throws {BadRequest} if it cannot be
 */
export function parseJoinRequest(url: URL, subprotocols: string | null): JoinRequest {
  const query = url.searchParams;
  const user = parseUser(url.pathname.slice("/chat/".length));
  const room = parseRoom(query.getAll("room"));
  const protocol = chooseProtocol(subprotocols);
  const since = query.get("since") ?? undefined;
  if (since !== undefined && protocol === TEXT) {
    throw new BadRequest(`since is for clients that ask for the subprotocol ${JSON_LINES.name}`);
  }
  if (since !== undefined && query.has("history")) {
    throw new BadRequest("since and history are both given: give one of them");
  }
  const history = parseCount("history", query.get("history") ?? "0", 0, MOST_HISTORY);
  return { user, room, protocol, since, history };
}

/**
 * Reads a number from a query.
 *
 * @throws {BadRequest} if it is none from `least` to `most`
 */
export function parseCount(name: string, given: string, least: number, most: number): number {
  const count = Number(given);
  if (/^\d{1,9}$/.test(given) && count >= least && count <= most) return count;
  throw new BadRequest(`${name} is ${quote(given)}: give a whole number from ${least} to ${most}`);
}

function chooseProtocol(subprotocols: string | null): Protocol {
  if (subprotocols === null) return TEXT;
  const asked = subprotocols.split(",").map((name) => name.trim());
  if (asked.includes(JSON_LINES.name)) return JSON_LINES;
  throw new BadRequest(
    `the subprotocol ${quote(subprotocols)} is not known: ask for ${JSON_LINES.name}, or for none`,
  );
}
