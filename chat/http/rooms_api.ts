import { BadRequest } from "../protocol/bad_request.ts";
import { isId } from "../protocol/ids.ts";
import { parseRoom, quote } from "../protocol/names.ts";
import type { Store } from "../store/store.ts";
import { parseCount } from "./query.ts";

/** The most messages or users on one page. */
const MAX_LIMIT = 200;

/** How many messages or users a page has if the request does not say. */
const DEFAULT_LIMIT = 50;

/**
 * Responds to `GET /rooms/{room}/messages?before=&limit=`. The messages come oldest first, as the
 * `message` events that sessions receive. `before` in the response is the `before` of the request
 * for the page before this one, or `null` at the beginning of the log.
 *
 * @throws {BadRequest} if a parameter is not valid
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
export async function listMessages(store: Store, name: string, query: URLSearchParams) {
  const room = parseRoom([name]);
  const limit = parseLimit(query);
  const before = query.get("before") ?? undefined;
  if (before !== undefined && !isId(before)) {
    throw new BadRequest(`before is ${quote(before)}: give the id of a message`);
  }
  const page = await store.readBefore(room, before, limit);
  const isFull = page.length === limit;
  return Response.json({
    messages: page.map(({ event }) => event),
    before: isFull ? page[0].event.id : null,
  });
}

/**
 * Responds to `GET /rooms/{room}/users?from=&limit=`. The users come in no order, about as many as
 * asked for. A user who is in the room from the first page to the last is on at least one page.
 * `from` in the response is the `from` of the request for the next page, or `null` after the last.
 *
 * @throws {BadRequest} if a parameter is not valid
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
export async function listUsers(store: Store, name: string, query: URLSearchParams) {
  const room = parseRoom([name]);
  const limit = parseLimit(query);
  const from = query.get("from") ?? undefined;
  if (from !== undefined && !/^\d{1,19}$/.test(from)) {
    throw new BadRequest(`from is ${quote(from)}: give what the page before has in it`);
  }
  const { users, total, next } = await store.listUsers(room, from, limit);
  return Response.json({ users, total, from: next ?? null });
}

function parseLimit(query: URLSearchParams): number {
  return parseCount("limit", query.get("limit") ?? `${DEFAULT_LIMIT}`, 1, MAX_LIMIT);
}
