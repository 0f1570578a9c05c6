import { BEFORE_FIRST_ID, isLater } from "../../protocol/ids.ts";
import type { LogEntry } from "../store.ts";
import { type DeliveredMessage, isSameMessage, type Log } from "./log.ts";

/** How many messages one read of the log returns at most. */
const PAGE_SIZE = 100;

/** Where the log goes on after what was delivered. */
export interface Continuation {
  /** The id of the last delivered message that the log has; `undefined` if it has none of them. */
  readonly base: string | undefined;
  /** What the log has after it: messages that were not delivered, a page at most. */
  readonly entries: readonly LogEntry[];
  /** Whether the log may have more. */
  readonly isPartial: boolean;
  /** The last message of a log that has only older messages than those that were delivered. */
  readonly olderEnd?: string;
}

/**
 * Reads where a room's log goes on. If the log has lost all of the last messages, that is after the
 * lowest of them, because ids can begin again at lower ones.
 *
 * @param delivered the last messages that were delivered, at least one
 */
export async function readOn(
  log: Log,
  room: string,
  delivered: readonly DeliveredMessage[],
): Promise<Continuation> {
  async function readFrom(start: string, base?: string): Promise<Continuation> {
    const page = await log.readFrom(room, start, PAGE_SIZE);
    const entries = page[0]?.event.id === base ? page.slice(1) : page;
    return { base, entries, isPartial: page.length === PAGE_SIZE };
  }
  const last = delivered.at(-1)!;
  if (last.id === BEFORE_FIRST_ID) return await readFrom(last.id, last.id);
  const { entries, isPartial } = await readFrom(last.id);
  if (isMessage(entries[0], last)) return { base: last.id, entries: entries.slice(1), isPartial };

  const base = await log.findLast(room, delivered);
  if (base !== undefined) return await readFrom(base, base);

  const rest = await readFrom(lowestOf(delivered));
  const [first] = rest.entries;
  if (!first) return { ...rest, olderEnd: await log.newest(room) };
  // Mostly, the log has lost them at its head, because it has enough others.
  const { id, prev } = first.event;
  const isNext = prev === last.id && (await log.readBefore(room, id, 1)).length === 0;
  return isNext ? { ...rest, base: last.id } : rest;
}

/** Whether an entry of the log is a certain message. */
export function isMessage(entry: LogEntry | undefined, message: DeliveredMessage): boolean {
  return entry !== undefined && isSameMessage(entry.event, message);
}

function lowestOf(messages: readonly DeliveredMessage[]): string {
  return messages.reduce((lowest, { id }) => isLater(lowest, id) ? id : lowest, messages[0].id);
}
