import type { Message } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater, nextId } from "../../protocol/ids.ts";
import { type LogEntry, type LogLimits, REF_TTL_SECONDS } from "../store.ts";

/** What was said in the rooms, kept as Redis would keep it. */
export class MemoryLog {
  readonly #limits: LogLimits;
  /** By room its messages, oldest first; the room where something was said longest ago comes first. */
  readonly #rooms = new Map<string, LogEntry[]>();
  /** By room, user and ref a message's id, oldest first. */
  readonly #refs = new Map<string, string>();

  /**
   * Makes a log in which nothing was said.
   *
   * @param limits how much to keep
   */
  constructor(limits: LogLimits) {
    this.#limits = limits;
  }

  /**
   * Appends a message, unless its ref says that this was done before.
   *
   * @returns its id, and the message itself if it is new
   */
  append(
    room: string,
    user: string,
    text: string,
    ref?: string,
  ): { id: string; logged?: LogEntry } {
    this.#forget();
    const key = `${room}:${user}:${ref}`;
    const known = ref === undefined ? undefined : this.#refs.get(key);
    if (known !== undefined) return { id: known };

    const said = this.#rooms.get(room) ?? [];
    const prev = said.at(-1)?.event.id ?? BEFORE_FIRST_ID;
    const event: Message = {
      ...{ type: "message", id: idAfter(prev), prev, user, text },
      ...(ref !== undefined && { ref }),
    };
    const logged = { event, line: JSON.stringify(event) };
    said.push(logged);
    const { historyLimit, historySeconds } = this.#limits;
    const since = idOf(Date.now() - historySeconds * 1000);
    while (said.length > historyLimit || isLater(since, said[0].event.id)) said.shift();
    // Last in both maps: that is where the newest are.
    this.#rooms.delete(room);
    this.#rooms.set(room, said);
    if (ref !== undefined) this.#refs.set(key, event.id);
    return { id: event.id, logged };
  }

  /** The messages of a room, oldest first. */
  all(room: string): readonly LogEntry[] {
    this.#forget();
    return this.#rooms.get(room) ?? [];
  }

  #forget(): void {
    const refsSince = idOf(Date.now() - REF_TTL_SECONDS * 1000);
    for (const [key, id] of this.#refs) {
      if (isLater(id, refsSince)) break;
      this.#refs.delete(key);
    }
    const saidSince = idOf(Date.now() - this.#limits.historySeconds * 1000);
    for (const [room, said] of this.#rooms) {
      if (isLater(said.at(-1)!.event.id, saidSince)) break;
      this.#rooms.delete(room);
    }
  }
}

function idOf(time: number): string {
  return `${time}-0`;
}

/** Later than the last id, and the time if that is later. */
function idAfter(prev: string): string {
  const now = idOf(Date.now());
  return isLater(now, prev) ? now : nextId(prev);
}
