import { BEFORE_FIRST_ID, isLater } from "../../protocol/ids.ts";
import type { LogEntry } from "../store.ts";
import { type DeliveredMessage, isSameMessage, type Log } from "./log.ts";

/** How many messages one read of the log returns at most. */
const PAGE_SIZE = 100;

/** Where the log goes on after what was delivered. */
export interface Continuation {
  /** The id of the last delivered message that the log has; `undefined` if it has none of them. */
  readonly base: string | undefined;
  /** Whether the log does not have the base any more, but begins with a message that follows it. */
  readonly isBaseLost?: boolean;
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
  const last = delivered.at(-1)!;
  const page = await log.readFrom(room, last.id, PAGE_SIZE);
  if (last.id === BEFORE_FIRST_ID || isMessage(page[0], last)) return goOn(last.id, page);

  const base = await log.findLast(room, delivered);
  const start = base ?? lowestOf(delivered);
  const rest = await log.readFrom(room, start, PAGE_SIZE);
  const lastDelivered = rest.findLastIndex((entry) =>
    delivered.some((one) => isMessage(entry, one))
  );
  // Someone else has changed the log meanwhile.
  if (lastDelivered !== (base === undefined ? -1 : 0)) return await readOn(log, room, delivered);
  if (base !== undefined) return goOn(base, rest);

  if (rest.length === 0) return { ...goOn(base, rest), olderEnd: await log.newest(room) };
  // Mostly, the log has lost them at its head, because it has enough others.
  const { id, prev } = rest[0].event;
  const isBaseLost = prev === last.id && (await log.readBefore(room, id, 1)).length === 0;
  return { ...goOn(isBaseLost ? last.id : undefined, rest), isBaseLost };
}

function goOn(base: string | undefined, page: readonly LogEntry[]): Continuation {
  const entries = page[0]?.event.id === base ? page.slice(1) : page;
  return { base, entries, isPartial: page.length === PAGE_SIZE };
}

/** Whether an entry of the log is a certain message. */
export function isMessage(entry: LogEntry | undefined, message: DeliveredMessage): boolean {
  return entry !== undefined && isSameMessage(entry.event, message);
}

function lowestOf(messages: readonly DeliveredMessage[]): string {
  return messages.reduce((lowest, { id }) => isLater(lowest, id) ? id : lowest, messages[0].id);
}
