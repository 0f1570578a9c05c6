import { BadRequest } from "../protocol/bad_request.ts";
import { isId } from "../protocol/ids.ts";
import { quote } from "../protocol/names.ts";
import type { History } from "../rooms/history.ts";
import type { Store } from "../store/store.ts";
import { findParameter, parseCount } from "./query.ts";
import { json, jsonHead } from "./responses.ts";
import { type RoomRequest, type Route, routeInRoom } from "./route.ts";

/** The most messages or users on one page. */
const MAX_LIMIT = 200;

/** How many messages or users a page has if the request does not say. */
const DEFAULT_LIMIT = 50;

/** Makes the routes that read a room. */
export function roomRoutes(store: Store, history: History): Route[] {
  return [
    routeInRoom("GET", "messages", "read", (request) => listMessages(history, request)),
    routeInRoom("GET", "users", "read", (request) => listUsers(store, request)),
  ];
}

/**
 * Responds to `GET /rooms/{room}/messages?before=&limit=`. The messages come oldest first, as the
 * `message` events that sessions receive. `before` in the response is the `before` of the request
 * for the page before this one, or `null` at the beginning of the log. `HEAD` reads nothing.
 *
 * @throws {BadRequest} if a parameter is not valid
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
async function listMessages(
  history: History,
  { request, url: { searchParams: query }, room, client }: RoomRequest,
): Promise<Response> {
  const limit = parseLimit(query);
  const before = findParameter(query, "before");
  if (before !== undefined && !isId(before)) {
    throw new BadRequest(`before is ${quote(before)}: give the id of a message`);
  }
  if (request.method === "HEAD") return jsonHead();
  const { entries, isBeginning } = await history.page(client.reads, room, limit, before);
  const next = isBeginning ? null : entries[0].event.id;
  const lines = entries.map(({ line }) => line);
  return json(`{"messages":[${lines.join()}],"before":${JSON.stringify(next)}}`);
}

/**
 * Responds to `GET /rooms/{room}/users?from=&limit=`. The users come in no order, about as many as
 * asked for. A user who is in the room from the first page to the last is on at least one page.
 * `from` in the response is the `from` of the request for the next page, or `null` after the last.
 * `HEAD` reads nothing.
 *
 * @throws {BadRequest} if a parameter is not valid
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
async function listUsers(
  store: Store,
  { request, url: { searchParams: query }, room }: RoomRequest,
): Promise<Response> {
  const limit = parseLimit(query);
  const from = findParameter(query, "from");
  if (from !== undefined && !/^\d{1,19}$/.test(from)) {
    throw new BadRequest(`from is ${quote(from)}: give what the page before has in it`);
  }
  if (request.method === "HEAD") return jsonHead();
  const { users, total, next } = await store.listUsers(room, from, limit);
  return json(JSON.stringify({ users, total, from: next ?? null }));
}

function parseLimit(query: URLSearchParams): number {
  return parseCount(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT);
}
