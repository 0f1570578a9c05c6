import type { Semaphore } from "../limits/semaphore.ts";
import { type ErrorReply, errorReply } from "../protocol/errors.ts";
import type { RoomEvent } from "../protocol/events.ts";
import {
  BEFORE_FIRST_ID,
  isId,
  isLater,
  isProofOfNoGap,
  previousId,
  timestampOf,
} from "../protocol/ids.ts";
import { quote } from "../protocol/names.ts";
import type { Encoding } from "../protocol/protocol.ts";
import type { History } from "../rooms/history.ts";
import type { Position } from "../rooms/member.ts";
import type { LogEntry } from "../store/store.ts";
import type { ListenRequest } from "./join_request.ts";
import type { Writer } from "./writer.ts";

/** How much is encoded in one turn. */
const PORTION_CHARS = 64 * 1024;

interface Replayed {
  readonly event: RoomEvent;
  readonly line: string;
}

/** What a session receives between its welcome and the live events. */
export interface Replay {
  /** Whether nothing is missing after `since`; `false` if the session does not resume. */
  readonly recovered: boolean;
  /** Why the session cannot resume, if `since` is of no use. */
  readonly error?: ErrorReply;
  /**
   * The removals after `since`, then the messages, oldest first, and a `resync` for each hole in
   * them.
   */
  readonly pages: AsyncIterable<readonly Replayed[]> | Iterable<readonly Replayed[]>;
}

/**
 * Prepares what a new session receives first: the messages after `since`, or the room's last ones.
 * The first page has been read when this resolves.
 *
 * @param position where the room was at the time of the join
 * @param reads how many reads the client's address may have at a time
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store cannot be read
 */
export async function prepareReplay(
  history: History,
  { room, since, history: count, access }: ListenRequest,
  position: Position,
  reads: Semaphore,
): Promise<Replay> {
  if (since === undefined) {
    const pages = count > 0 ? [await history.last(reads, room, count, position.last)] : [];
    return { recovered: false, pages };
  }
  const replay = await resume(history, room, since, position, reads);
  // Without authentication nobody may remove anything.
  if (replay.error || access.user === undefined) return replay;
  const removals = await history.removals(reads, room, since);
  if (removals.length === 0) return replay;
  const page = removals.map((event) => ({ event, line: JSON.stringify(event) }));
  return { ...replay, pages: prepend(page, replay.pages) };
}

async function resume(
  history: History,
  room: string,
  since: string,
  position: Position,
  reads: Semaphore,
): Promise<Replay> {
  const { last, hasGap } = position;
  if (!isId(since)) return refuse(`since is ${quote(since)}, which is not an id`);
  if (isLater(since, last) && !mayHaveExpired(since, last)) {
    return refuse(`since is ${since}, but the room's newest message is ${last}`);
  }
  if (since === last) return { recovered: !hasGap, pages: [] };
  // The page begins with the message itself, if the log has it.
  const pages = history.between(reads, room, previousId(since), last);
  const page = (await pages.next()).value ?? [];
  const [first, ...others] = page;
  const hasSince = first?.event.id === since;
  const rest = hasSince ? others : page;
  if (rest.length === 0) return { recovered: false, pages: [] };
  const { id, prev } = rest[0].event;
  // If the log has lost the message, any other one before the next one may be a newer one.
  const recovered = prev === since && isProofOfNoGap(id, prev) &&
    (hasSince || (await history.last(reads, room, 1, previousId(id))).length === 0);
  return { recovered, pages: replayUpTo(position, rest, pages) };
}

/**
 * Sends pages no faster than the client reads them, and then the events that have come meanwhile.
 *
 * @param hasLeft whether the rest is not needed any more
 */
export async function sendReplay(
  writer: Writer,
  encoding: Encoding,
  pages: Replay["pages"],
  hasLeft: () => boolean,
): Promise<void> {
  for await (const portion of inTurns(pages)) {
    if (hasLeft()) return;
    await writer.sendPaced(
      portion.flatMap(({ event, line }) => encoding.encodeEvent(event, line) ?? []),
    );
  }
  await writer.drainQueue();
}

let lastTurn = Promise.resolve();

/** While one of `setImmediate` is always due, Deno looks at the sockets in one of 61 turns. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/**
 * Yields pages in portions. Only the first one of a page does not wait for a turn of its own, in
 * which no other replay has one: so replays do not delay what others send.
 */
export async function* inTurns(pages: Replay["pages"]): AsyncGenerator<readonly Replayed[]> {
  for await (const page of pages) {
    let portion: Replayed[] = [], chars = 0;
    for (const replayed of page) {
      if (chars > PORTION_CHARS) {
        yield portion;
        await (lastTurn = lastTurn.then(nextTurn));
        portion = [];
        chars = 0;
      }
      portion.push(replayed);
      chars += replayed.line.length;
    }
    yield portion;
  }
}

async function* prepend(
  page: readonly Replayed[],
  pages: Replay["pages"],
): AsyncGenerator<readonly Replayed[]> {
  yield page;
  yield* pages;
}

function refuse(message: string): Replay {
  return { recovered: false, error: errorReply.badSince(message), pages: [] };
}

/** Tells whether the log is empty now, but may have had the message with this id. */
function mayHaveExpired(since: string, last: string): boolean {
  return last === BEFORE_FIRST_ID && timestampOf(since) <= Date.now();
}

async function* replayUpTo(
  { last, hasGap }: Position,
  first: readonly LogEntry[],
  rest: AsyncIterable<readonly LogEntry[]>,
): AsyncGenerator<readonly Replayed[]> {
  let position = "";
  function markHoles(page: readonly LogEntry[]): Replayed[] {
    return page.flatMap((entry) => {
      const { id, prev } = entry.event;
      // What is before the first one is told by `recovered`.
      const isNext = position === "" || prev === position && isProofOfNoGap(id, prev);
      position = id;
      return isNext ? [entry] : [makeGap(prev), entry];
    });
  }
  yield markHoles(first);
  for await (const page of rest) yield markHoles(page);
  // Redis has lost the end of the log, which the room's other sessions have received or were told.
  if (position !== last || hasGap) yield [makeGap(last)];
}

function makeGap(last: string): Replayed {
  const event: RoomEvent = { type: "resync", last, gap: true };
  return { event, line: JSON.stringify(event) };
}
