import type { Message, Removed } from "../../protocol/events.ts";
import { BEFORE_FIRST_ID, isLater, nextId, timestampOf } from "../../protocol/ids.ts";
import {
  type LogEntry,
  type LogLimits,
  LONE_LOG_SECONDS,
  maxRefs,
  Muted,
  OutOfOrder,
  REF_TTL_SECONDS,
  type Sender,
  TooManyRefs,
  withoutText,
} from "../store.ts";

/** The log of one room. */
interface RoomLog {
  /** The messages, oldest first. */
  readonly entries: LogEntry[];
  /** The characters of their lines. */
  chars: number;
  /** The removals, oldest first, each with the newest message at that time. */
  removals: { readonly newest: string; readonly event: Removed }[];
}

/** The logs of all rooms in memory. They behave as they do in Redis. */
export class MemoryLog {
  readonly #limits: LogLimits;
  /** The rooms are sorted by their newest message. */
  readonly #rooms = new Map<string, RoomLog>();
  /** The rooms in which there were two users at once. */
  readonly #shared = new Set<string>();
  /** When the logs expire that a lone user has left behind, soonest first. */
  readonly #loneUntil = new Map<string, number>();
  /** The ids of messages by room and user, and by ref, oldest first. */
  readonly #refs = new Map<string, Map<string, string>>();

  constructor(limits: LogLimits) {
    this.#limits = limits;
  }

  /**
   * Appends a message, unless the same user has appended one with the same ref.
   *
   * @returns the message's id, and its entry if it is new
   * @param isMuted tells whether the user is muted
   * @throws {Muted} if the user is
   * @throws {OutOfOrder} if the same user has appended no message with the ref `after`
   * @throws {TooManyRefs} if the user has too many refs
   */
  append(
    isMuted: () => boolean | undefined,
    room: string,
    user: string,
    text: string,
    ref?: string,
    after?: string,
    sender?: Sender,
  ): { id: string; entry?: LogEntry } {
    this.#expire();
    const key = `${room}:${user}`;
    const refs = this.#refs.get(key) ?? new Map<string, string>();
    expireRefs(refs);
    const known = ref === undefined ? undefined : refs.get(ref);
    if (known !== undefined) return { id: known };
    if (isMuted()) throw new Muted();
    if (after !== undefined && !refs.has(after)) throw new OutOfOrder();
    if (ref !== undefined && refs.size >= maxRefs(this.#limits)) throw new TooManyRefs();

    const log = this.#rooms.get(room) ?? { entries: [], chars: 0, removals: [] };
    const { entries } = log;
    const prev = entries.at(-1)?.event.id ?? BEFORE_FIRST_ID;
    const event: Message = {
      ...{ type: "message", id: idAfter(prev), prev, user, text },
      ...(ref !== undefined && { ref }),
      ...(sender?.isNamed && { session: sender.session }),
    };
    const entry = { event, line: JSON.stringify(event) };
    entries.push(entry);
    log.chars += entry.line.length;
    const { historyLimit, historySeconds, historyBytes } = this.#limits;
    const firstKeptId = idAt(Date.now() - historySeconds * 1000);
    const maxChars = historyBytes || Infinity;
    while (
      entries.length > historyLimit || isLater(firstKeptId, entries[0].event.id) ||
      log.chars > maxChars && entries.length > 1
    ) log.chars -= entries.shift()!.line.length;
    // Both maps, and each sender's refs, have the newest last.
    this.#rooms.delete(room);
    this.#rooms.set(room, log);
    this.#loneUntil.delete(room);
    if (!sender) this.#shared.add(room);
    if (ref !== undefined) {
      this.#refs.delete(key);
      this.#refs.set(key, refs.set(ref, event.id));
    }
    return { id: event.id, entry };
  }

  /**
   * Removes a message: see {@linkcode Store.remove}.
   *
   * @returns the event, or whether the user may remove the message if nothing was done
   */
  remove(room: string, id: string, by: string, isModerator: boolean): Removed | boolean {
    this.#expire();
    const log = this.#rooms.get(room);
    const index = log?.entries.findIndex(({ event }) => event.id === id) ?? -1;
    if (!log || index < 0) return true;
    const { event, line } = log.entries[index];
    if (!isModerator && event.user !== by) return false;
    if (event.removed) return true;
    const place = withoutText(event);
    log.entries[index] = { event: place, line: JSON.stringify(place) };
    log.chars -= line.length - log.entries[index].line.length;
    const newest = log.entries.at(-1)!.event.id;
    const removed: Removed = { type: "removed", id, by };
    log.removals.push({ newest, event: removed });
    return removed;
  }

  /** Reads removals: see {@linkcode Store.readRemovals}. */
  removals(room: string, position: string): Removed[] {
    const log = this.#rooms.get(room);
    const oldest = timestampOf(log?.entries[0].event.id ?? BEFORE_FIRST_ID);
    if (log) log.removals = log.removals.filter(({ newest }) => timestampOf(newest) >= oldest);
    return (log?.removals ?? []).flatMap(({ newest, event }) =>
      isLater(position, newest) ? [] : event
    );
  }

  /** Notes how many users a room has after one of them has joined or left. */
  noteUsers(room: string, users: number, hasLeft = false): void {
    this.#loneUntil.delete(room);
    if (users > 1 || users === 1 && hasLeft) this.#shared.add(room);
    else if (users === 1) return;
    else if (!this.#rooms.has(room)) this.#shared.delete(room);
    else if (!this.#shared.has(room)) {
      this.#loneUntil.set(room, Date.now() + LONE_LOG_SECONDS * 1000);
    }
  }

  /** Returns the entries of a room, oldest first. */
  entries(room: string): readonly LogEntry[] {
    this.#expire();
    return this.#rooms.get(room)?.entries ?? [];
  }

  #expire(): void {
    for (const [sender, refs] of this.#refs) {
      expireRefs(refs);
      if (refs.size > 0) break;
      this.#refs.delete(sender);
    }
    const firstKeptId = idAt(Date.now() - this.#limits.historySeconds * 1000);
    for (const [room, { entries }] of this.#rooms) {
      if (isLater(entries.at(-1)!.event.id, firstKeptId)) break;
      this.#delete(room);
    }
    for (const [room, until] of this.#loneUntil) {
      if (until > Date.now()) break;
      this.#delete(room);
    }
  }

  #delete(room: string): void {
    this.#rooms.delete(room);
    this.#shared.delete(room);
    this.#loneUntil.delete(room);
  }
}

/** Forgets the refs, oldest first, that are old enough. */
function expireRefs(refs: Map<string, string>): void {
  const firstKnown = idAt(Date.now() - REF_TTL_SECONDS * 1000);
  for (const [ref, id] of refs) {
    if (isLater(id, firstKnown)) break;
    refs.delete(ref);
  }
}

/** The first id of a millisecond. */
function idAt(time: number): string {
  return `${time}-0`;
}

/**
 * The first id of this millisecond, or the id right after `prev` if the clock has not moved beyond
 * it.
 */
function idAfter(prev: string): string {
  const now = idAt(Date.now());
  return isLater(now, prev) ? now : nextId(prev);
}
