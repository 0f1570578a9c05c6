import type { ModerationStore } from "./moderation.ts";
import type { Message, Removed, RoomEvent, UnloggedEvent } from "../protocol/events.ts";

/** Shows that several connections are of the same device, which has a secret for all of them. */
export interface NameSecret {
  /** A hash of the secret. */
  readonly hash: string;
  /** A positive number, larger for each later connection of the device. */
  readonly attempt: number;
}

/**
 * Why a session does not have a name: another user has it, or a later connection of the same
 * device, or as many devices of the same user as may have it, or the user is banned from the room.
 */
export type NameLoss = "taken" | "replaced" | "full" | "banned";

/** Tells whether a session and another one of the same user cannot both have the name. */
export function areRivals(
  { secret, maxDevices }: { readonly secret?: NameSecret; readonly maxDevices: number },
  other: { readonly secret?: NameSecret },
): boolean {
  return maxDevices === 1 || secret !== undefined && secret.hash === other.secret?.hash;
}

/** What a session gives with its claim to a name. */
export interface ClaimOptions {
  /** The secret of the user's device, if it has one. */
  readonly secret?: NameSecret;
  /** What the name has in common with names that look like it, without white space. */
  readonly keys?: readonly string[];
  /** How many sessions can have the name; 1, the default, for only this one. */
  readonly maxDevices?: number;
  /** The client's address, if the user or the address can be banned. */
  readonly address?: string;
}

/** Receives what happens in one room. */
export interface RoomListener {
  /**
   * Called with each event of the room. All listeners of a room, on every instance, get its events
   * in the same order.
   *
   * Each message comes exactly once, also after an outage of the store: what was published
   * meanwhile comes late, but in its place. Messages are missing only if they left the log before
   * they could be read (see {@linkcode LogLimits}). What is not logged may be missing if it is
   * published during an outage.
   *
   * @param event the event
   * @param line the same as one line of JSON
   */
  onEvent(event: RoomEvent, line: string): void;

  /**
   * Called when another session has a name of this store: someone got it while the store could not
   * be reached, or the store lost it, and someone else had claimed it earlier, or a later session
   * of the same device claimed it here. The listener is not called after the event `replaced`.
   *
   * @param user the name
   * @param session the session that had claimed it
   * @param loss who has it now
   */
  onNameLost(user: string, session: string, loss: NameLoss): void;

  /**
   * Called when the connection was lost and is back, before the messages that were missed are
   * delivered. What is not logged may have been missed: the listener makes up for what must not be.
   * If it cannot do that now, it rejects, and is called again.
   *
   * @param last the id of the last message before
   */
  onInterrupted?(last: string): Promise<void>;
}

/** A message in a room's log. */
export interface LogEntry {
  /** The message. */
  readonly event: Message;
  /** The same as one line of JSON. */
  readonly line: string;
}

/** Returns what the log keeps of a message that is removed, with its fields in a fixed order. */
export function withoutText({ type, id, prev, user, ref }: Message): Message {
  const place = { type, id, prev, user, text: "", removed: true } as const;
  return ref === undefined ? place : { ...place, ref };
}

/** One page of the users in a room. */
export interface UsersPage {
  /** Their names. */
  readonly users: readonly string[];
  /** The number of users in the room, on all pages together. */
  readonly total: number;
  /** The cursor of the next page; `undefined` on the last page. */
  readonly next?: string;
}

/** The session that publishes a message. */
export interface Sender {
  /** The id of the session. */
  readonly session: string;
  /** Whether the event has to name the session. */
  readonly isNamed: boolean;
}

/** How much of each room's log a store keeps. */
export interface LogLimits {
  /** The least number of messages to keep in each room, the newest ones. There may be some more. */
  readonly historyLimit: number;
  /**
   * How long to keep a message, in seconds. The store deletes a log in which nothing was published
   * for that long.
   */
  readonly historySeconds: number;
  /**
   * How many bytes the messages of each room may take, approximately: beyond it, the oldest ones
   * are deleted, but never the newest one. 0, the default, for any number.
   */
  readonly historyBytes?: number;
  /** How many messages one session may publish a second; 0, the default, for any number. */
  readonly maxMessagesPerSecond?: number;
  /**
   * Defined if users can be muted, which takes somebody with a token. It costs a command for each
   * sender of the messages that are published together.
   */
  readonly auth?: object;
}

/**
 * How long the log of a room in which there was never a second user lives after the last one has
 * left, in seconds. Users whose process died count as company, and so does whoever publishes
 * without a session.
 */
export const LONE_LOG_SECONDS = 600;

/** How long a store remembers a message's `ref`, in seconds: see {@linkcode Store.publish}. */
export const REF_TTL_SECONDS = 300;

/**
 * Returns how many refs a store remembers for one user in one room, in {@linkcode REF_TTL_SECONDS}:
 * those of all messages that the user may send meanwhile, with what each new connection may send at
 * once; without a limit for messages, 100,000.
 */
export function maxRefs({ maxMessagesPerSecond = 0 }: LogLimits): number {
  return Math.ceil(1.1 * maxMessagesPerSecond * REF_TTL_SECONDS) || 100_000;
}

/**
 * The place where the instances of the chat meet. It keeps three things for each room: which names
 * are taken, a log of messages, and the listeners that receive its events.
 *
 * There are two implementations: Redis, for any number of instances, and memory, for a single
 * process. Both pass the tests in `tests/store/store_contract.ts`.
 *
 * Every method may reject with {@linkcode StoreUnavailable}: then it had no effect. A method that
 * changes something may also reject with {@linkcode StoreOutcomeUnknown}: then nobody can
 * tell whether it took effect. Only `release` and `close` never reject. No command to the store
 * waits longer than two seconds for its reply.
 *
 * Calls of one store take effect in the order in which they are made, unless their outcome is
 * unknown.
 */
export interface Store {
  /**
   * Subscribes to a room. A store has at most one listener for each room.
   *
   * @param room the room's name
   * @param listener receives the room's events, perhaps the first ones before this resolves
   * @returns the id of the room's newest message; the listener receives every later one
   */
  subscribe(room: string, listener: RoomListener): Promise<string>;

  /** Unsubscribes from a room. Its listener is not called any more, even before this resolves. */
  unsubscribe(room: string): Promise<void>;

  /**
   * Claims a name in a room, and publishes `joined` if the claim succeeds, in one atomic step. Of
   * several claims to one name, on any instance, exactly one succeeds, unless they show the same
   * secret. Then the claim with the highest attempt takes the name over: it publishes `replaced`.
   * A name is taken, too, if another one that has a key in common with it is held in the room.
   *
   * With `maxDevices`, so many sessions can have the name at once, each with another secret or with
   * none. The first one publishes `joined`, and the others `added`.
   *
   * This store then holds the name until it is released, also through outages. If the process dies,
   * other instances free the name. If someone else gets the name in an outage, the room's listener
   * is told by {@linkcode RoomListener.onNameLost}.
   *
   * @param room a room that this store is subscribed to
   * @param user the name
   * @param session the id of the session that claims it; part of the event
   * @returns whether the session got the name
   * @throws {StoreOutcomeUnknown} if the claim may have succeeded: the name must be released,
   * unless the listener has received the event
   */
  claim(
    room: string,
    user: string,
    session: string,
    options?: ClaimOptions,
  ): Promise<"claimed" | NameLoss>;

  /**
   * Releases a name in a room, and publishes `left` if no other session has it, in one atomic step.
   * Does nothing if the session does not have the name. Never rejects: if the store cannot be
   * reached, it frees the name when it is back.
   */
  release(room: string, user: string, session: string): Promise<void>;

  /**
   * Appends a message to a room's log, and publishes it, in one atomic step.
   *
   * A `ref` is an idempotency key. A second message of the same user in the same room with the same
   * `ref`, within {@linkcode REF_TTL_SECONDS}, is not appended: the call resolves to the id of the
   * first. If the outcome of a message with a `ref` is unknown, the store retries it for up to five
   * seconds while the sender has the name here, and keeps the user's later messages after it.
   *
   * A message with `after` is appended only if the store remembers that `ref` of the same user in
   * the same room. So no message overtakes one before it that was refused, or was never sent.
   *
   * @param room the room's name
   * @param user the sender
   * @param text the message
   * @param ref the sender's own key for the message, if it has one
   * @param after the `ref` of the message that must have been appended before, if there is one
   * @param sender the session that publishes it, if one does
   * @returns the id of the message
   * @throws {OutOfOrder} if there is no message with the ref `after`
   * @throws {TooManyRefs} if the message has a ref and the store remembers too many of the user's
   * @throws {Muted} if the user is muted, and users can be: see {@linkcode LogLimits}
   * @throws {StoreOutcomeUnknown} if the message may have been appended; with a `ref`, only after
   * the retries
   */
  publish(
    room: string,
    user: string,
    text: string,
    ref?: string,
    after?: string,
    sender?: Sender,
  ): Promise<string>;

  /**
   * Publishes an event that is not logged, other than those of `claim` and `release`. If a user is
   * muted, and can be, `typing` is not published.
   *
   * @param room the room's name
   * @param event the event
   */
  publishUnlogged(room: string, event: UnloggedEvent): Promise<void>;

  /**
   * Reads the messages of a room's log after a position, oldest first.
   *
   * @param room the room's name
   * @param position the id of a message, which need not be in the log any more
   * @param count the most messages to return
   * @returns the messages; an empty array only at the end of the log
   */
  readAfter(room: string, position: string, count: number): Promise<readonly LogEntry[]>;

  /**
   * Reads the last messages of a room's log before a position, oldest first.
   *
   * @param room the room's name
   * @param position the id of a message; `undefined` for the end of the log
   * @param count the most messages to return
   */
  readBefore(
    room: string,
    position: string | undefined,
    count: number,
  ): Promise<readonly LogEntry[]>;

  /**
   * Takes the text of a message out of a room's log for good, and publishes `removed`, in one
   * atomic step. Does nothing if the log does not have the message, or has it without its text. The
   * message keeps its id and its place: see {@linkcode Message.removed}.
   *
   * @param room the room's name
   * @param id the id of the message
   * @param by the user who removes it
   * @param isModerator whether this user may remove messages of others
   * @returns whether the user may remove the message
   */
  remove(room: string, id: string, by: string, isModerator: boolean): Promise<boolean>;

  /**
   * Reads the removals that were made in a room after a position, oldest first, and perhaps some
   * that were made before. Those are missing that were made before the log's oldest message.
   *
   * @param room the room's name
   * @param position the id of a message
   */
  readRemovals(room: string, position: string): Promise<readonly Removed[]>;

  /** Who is banned, who is muted, and who moderates. */
  readonly moderation: ModerationStore;

  /**
   * Lists the users in a room, page by page, in no particular order. A user who is in the room from
   * the first page to the last is listed at least once, and may be listed twice.
   *
   * @param room the room's name
   * @param cursor the `next` of the previous page, a number of up to 19 digits; `undefined` for the
   * first page
   * @param count about how many users to list
   */
  listUsers(room: string, cursor: string | undefined, count: number): Promise<UsersPage>;

  /**
   * Checks whether the store replies, and has every name and every subscription of this instance.
   * Rejects if not.
   */
  ping(): Promise<void>;

  /** Closes every connection to the store. It does not release names. */
  close(): Promise<void>;
}

/** The store cannot be reached, or refused the call. The call had no effect. */
export class StoreUnavailable extends Error {
  /** Always `"StoreUnavailable"`. */
  override name = "StoreUnavailable";
}

/** The message that a message names as the one before it is not in the log. */
export class OutOfOrder extends StoreUnavailable {
  constructor() {
    super("the message before it is not in the log");
  }
}

/** The store remembers too many refs of the user: see {@linkcode maxRefs}. */
export class TooManyRefs extends StoreUnavailable {
  constructor() {
    super("the user has sent too many messages with a ref in five minutes");
  }
}

/** The sender is muted in the room. */
export class Muted extends StoreUnavailable {
  constructor() {
    super("the sender is muted");
  }
}

/** The store's reply was lost, so the outcome is unknown: the call may have had its effect. */
export class StoreOutcomeUnknown extends Error {
  /** Always `"StoreOutcomeUnknown"`. */
  override name = "StoreOutcomeUnknown";
}
