import type { Message } from "../../protocol/events.ts";
import type { EventBuffer, Received } from "./event_buffer.ts";
import type { Continuation } from "./continuation.ts";
import { isSameMessage } from "./log.ts";

/** What a merge asks. */
export interface Judge {
  /**
   * Whether a message that the log does not have follows the last one that was delivered.
   *
   * @param entry the next message that the log has
   */
  isNext(message: Message, entry: Message | undefined): boolean;
  /** Whether a message that follows the last one proves that the log has none between them. */
  isProof(message: Message): boolean;
  /** Called with a message that the log does not have, and that is not delivered. */
  onDropped(message: Message): void;
}

/**
 * Merges a page of the log with what was received, in the order in which it is to be delivered. A
 * message that is in both comes where the buffer has it, in its place among `joined` and `left`,
 * and as the page has it, because it may have been removed meanwhile. Each event is delivered
 * before the next one is asked for; the buffer may grow meanwhile.
 *
 * @param continuation the page: what was not delivered yet
 * @param buffer what was received. All of it that was published before the page was read is there.
 * @param settled how much of the buffer was received before the page was read
 * @param judge decides about messages that are not in the page
 * @returns whether everything was delivered; otherwise the log has to be read once more
 */
export function* mergePage(
  { entries, isPartial }: Continuation,
  buffer: EventBuffer,
  settled: number,
  judge: Judge,
): Generator<Received, boolean> {
  const places = new Map(entries.map(({ event }, place) => [event.id, place]));
  function placeOf({ event }: Received): number | undefined {
    const place = event.type === "message" ? places.get(event.id) : undefined;
    return place !== undefined && isSameMessage(entries[place].event, event as Message)
      ? place
      : undefined;
  }
  const known = Array.from(buffer, placeOf);
  const first = known.find((place) => place !== undefined) ?? entries.length;
  // What was received before a message of the page is in the page, if the log has it.
  const lastInPage = known.findLastIndex((place) => place !== undefined) + 1;
  let judged = isPartial ? lastInPage : Math.max(settled, lastInPage);

  let next = 0;
  while (next < first) yield entries[next++];
  if (isPartial && lastInPage === 0) return false;
  for (let received; (received = buffer.shift()); judged--) {
    const { event } = received;
    const place = placeOf(received);
    if (place !== undefined) {
      while (next <= place) yield entries[next++];
      continue;
    }
    if (event.type === "message") {
      const isNext = !nextFollows(event.prev) && judge.isNext(event, entries[next]?.event);
      if (judged <= 0 && !(isNext && judge.isProof(event))) {
        buffer.unshift(received);
        return false;
      }
      if (!isNext) {
        judge.onDropped(event);
        continue;
      }
    }
    yield received;
  }
  // The rest was not received.
  while (next < entries.length) yield entries[next++];
  return !isPartial && buffer.length === 0;

  function nextFollows(id: string): boolean {
    return entries[next]?.event.prev === id;
  }
}
