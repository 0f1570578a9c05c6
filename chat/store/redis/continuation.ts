import type { Message } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID } from "../../protocol/ids.ts";
import type { LogEntry } from "../store.ts";
import { type DeliveredMessage, isSameMessage, type Log } from "./log.ts";

/** How many messages one read of the log returns at most. */
const PAGE_SIZE = 100;

/** Where the log goes on after what was delivered. */
export interface Continuation {
  /** The id of the last delivered message that the log has; `undefined` if it has none of them. */
  readonly base: string | undefined;
  /** What the log has after it: a page at most. */
  readonly entries: readonly LogEntry[];
  /** Whether the log may have more. */
  readonly isPartial: boolean;
}

/**
 * Reads where a room's log goes on. If the log has lost all that was delivered, that is after the
 * last id; or, because ids can begin again at lower ones, with the first received message that the
 * log has.
 *
 * @param delivered the last messages that were delivered, at least one
 * @param received messages that were not delivered yet
 */
export async function readOn(
  log: Log,
  room: string,
  delivered: readonly DeliveredMessage[],
  received: Iterable<Message>,
): Promise<Continuation> {
  const read = (start: string) => log.readFrom(room, start, PAGE_SIZE);
  const goOn = (base: string | undefined, page: readonly LogEntry[]): Continuation => {
    const entries = page[0]?.event.id === base ? page.slice(1) : page;
    return { base, entries, isPartial: page.length === PAGE_SIZE };
  };
  const last = delivered.at(-1)!;
  const page = await read(last.id);
  if (last.id === BEFORE_FIRST_ID || isMessage(page[0], last)) return goOn(last.id, page);

  const base = await log.findLast(room, delivered);
  if (base !== undefined) return goOn(base, await read(base));

  if (page.length > 0) {
    const [{ event: { id, prev } }] = page;
    // The last one was deleted because of its age, and nothing but the next one was after it.
    const isNext = prev === last.id && (await log.readBefore(room, id, 1)).length === 0;
    return goOn(isNext ? last.id : undefined, page);
  }
  for (const message of received) {
    const lower = await read(message.id);
    if (isMessage(lower[0], message)) return goOn(undefined, lower);
  }
  return goOn(undefined, []);
}

/** Whether an entry of the log is a certain message. */
export function isMessage(entry: LogEntry | undefined, message: DeliveredMessage): boolean {
  return entry !== undefined && isSameMessage(entry.event, message);
}
