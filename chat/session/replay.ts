import { type ErrorReply, errorReply } from "../protocol/errors.ts";
import { BEFORE_FIRST_ID, isId, isLater, timestampOf } from "../protocol/ids.ts";
import { quote } from "../protocol/names.ts";
import type { History } from "../rooms/history.ts";
import type { LogEntry } from "../store/store.ts";
import type { JoinRequest } from "./join_request.ts";

/** What a session receives between its welcome and the live events. */
export interface Replay {
  /** Whether nothing is missing after `since`; `false` if the session does not resume. */
  readonly recovered: boolean;
  /** Why the session cannot resume, if `since` is of no use. */
  readonly error?: ErrorReply;
  /** The messages, oldest first. */
  readonly pages: AsyncIterable<readonly LogEntry[]> | Iterable<readonly LogEntry[]>;
}

/**
 * Prepares what a new session receives first: the messages after `since`, or the room's last ones.
 * The first page has been read when this resolves.
 *
 * @param last the id of the room's newest message at the time of the join
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
export async function prepareReplay(
  history: History,
  { room, since, history: count }: JoinRequest,
  last: string,
): Promise<Replay> {
  if (since === undefined) {
    return { recovered: false, pages: count > 0 ? [await history.last(room, count, last)] : [] };
  }
  if (!isId(since)) return refuse(`since is ${quote(since)}, which is not an id`);
  if (isLater(since, last) && !mayHaveExpired(since, last)) {
    return refuse(`since is ${since}, but the room's newest message is ${last}`);
  }
  const pages = history.between(room, since, last);
  const { value: first } = await pages.next();
  if (!first) return { recovered: since === last, pages: [] };
  return { recovered: isContiguous(first[0].event.prev, since), pages: prepend(first, pages) };
}

function refuse(message: string): Replay {
  return { recovered: false, error: errorReply.badSince(message), pages: [] };
}

/** Tells whether no message can be missing between an id and the first one that the log has. */
function isContiguous(prev: string, since: string): boolean {
  // A log that was lost and began again has a first message whose `prev` says nothing.
  return !isLater(prev, since) && (prev !== BEFORE_FIRST_ID || since === BEFORE_FIRST_ID);
}

/** Tells whether the log is empty now, but may have had the message with this id. */
function mayHaveExpired(since: string, last: string): boolean {
  return last === BEFORE_FIRST_ID && timestampOf(since) <= Date.now();
}

async function* prepend<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}
