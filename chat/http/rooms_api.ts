import { BadRequest } from "../protocol/bad_request.ts";
import { isId } from "../protocol/ids.ts";
import { parseCount } from "../session/join_request.ts";
import { parseRoom, quote } from "../protocol/names.ts";
import type { Store } from "../store/store.ts";

/** The most messages or users of one page, and how many it has where nobody says. */
const MOST = 200;
const DEFAULT = 50;

/**
 * Answers `GET /rooms/{room}/messages?before=&limit=` and `GET /rooms/{room}/users?from=&limit=`.
 *
 * Messages come oldest first, as the `message` events that a session gets; `before` in the answer is what to ask with
 * for the page before, `null` at the beginning of the log. Users come in no order, about as many as asked for: whoever
 * is there from the first page to the last is in one of them, and perhaps in two; `from` in the answer is what to ask
 * with for the next page, `null` after the last.
 *
 * @returns the answer's value, to be sent as JSON; `undefined` if there is no such path
 * @throws {BadRequest} if something in the query cannot be
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
export async function answerRooms(url: URL, store: Store): Promise<unknown> {
  const path = /^\/rooms\/([^/]+)\/(messages|users)$/.exec(url.pathname);
  if (!path) return undefined;
  const room = parseRoom([path[1]]);
  const limit = parseCount("limit", url.searchParams.get("limit") ?? `${DEFAULT}`, 1, MOST);
  return path[2] === "messages"
    ? await listMessages(store, room, limit, url.searchParams.get("before") ?? undefined)
    : await listUsers(store, room, limit, url.searchParams.get("from") ?? undefined);
}

async function listMessages(store: Store, room: string, limit: number, before?: string) {
  if (before !== undefined && !isId(before)) {
    throw new BadRequest(`before is ${quote(before)}: give the id of a message`);
  }
  const page = await store.readBefore(room, before, limit);
  const isFull = page.length === limit;
  return {
    messages: page.map(({ event }) => event),
    before: isFull ? page[0].event.id : null,
  };
}

async function listUsers(store: Store, room: string, limit: number, from?: string) {
  if (from !== undefined && !/^\d{1,19}$/.test(from)) {
    throw new BadRequest(`from is ${quote(from)}: give what the page before has in it`);
  }
  const { users, total, next } = await store.listUsers(room, from, limit);
  return { users, total, from: next ?? null };
}
