/**
 * What a client tells its listeners.
 *
 * @module
 */
import type {
  Banned,
  Joined,
  Kicked,
  Left,
  Message,
  Muted,
  Notice,
  Removed,
  Typing,
} from "../protocol/events.ts";
import type { Welcome } from "../protocol/protocol.ts";
import type { ChatError } from "./chat_error.ts";
import type { UnsentMessage } from "./send_queue.ts";

/**
 * The state of a client: `connecting` until the first welcome, `connected`, `reconnecting` after a
 * connection was lost, and `closed` for good.
 */
export type ChatState = "connecting" | "connected" | "reconnecting" | "closed";

/** The state of a client after a change, or after an attempt to connect has failed. */
export interface StateChange {
  /** The state. */
  readonly state: ChatState;
  /** Why, for people; empty when the client is connected. */
  readonly reason: string;
  /** Why the client closed, for programs; `undefined` in the other states. */
  readonly error?: ChatError;
  /**
   * When the client connects next, in milliseconds since 1970; `undefined` unless it waits for that.
   */
  readonly retryAt?: number;
}

/** Messages are missing that the server no longer has. */
export interface Gap {
  /** The id of the last message before them. They end with the next one that is delivered. */
  readonly after: string;
}

/** The events of a client by their names, for `addEventListener`. */
export interface ChatEventMap {
  /** A message of the room, see `onmessage`. */
  message: CustomEvent<Message>;
  /** A user joined, see `onjoined`. */
  joined: CustomEvent<Joined>;
  /** A user left, see `onleft`. */
  left: CustomEvent<Left>;
  /** A message was removed, see `onremoved`. */
  removed: CustomEvent<Removed>;
  /** A user was kicked, see `onkicked`. */
  kicked: CustomEvent<Kicked>;
  /** A user was banned, see `onbanned`. */
  banned: CustomEvent<Banned>;
  /** A user was muted, see `onmuted`. */
  muted: CustomEvent<Muted>;
  /** A user is typing, see `ontyping`. */
  typing: CustomEvent<Typing>;
  /** An operator published a line, see `onnotice`. */
  notice: CustomEvent<Notice>;
  /** The client has joined the room, see `onwelcome`. */
  welcome: CustomEvent<Welcome>;
  /** Messages are missing, see `ongap`. */
  gap: CustomEvent<Gap>;
  /** Messages of the page before it was reloaded are back, see `onrestored`. */
  restored: CustomEvent<readonly UnsentMessage[]>;
  /** The state has changed, see `onstate`. */
  state: CustomEvent<StateChange>;
}

/** A listener for one of the events. */
export type ChatListener<K extends keyof ChatEventMap> =
  | ((event: ChatEventMap[K]) => void)
  | { handleEvent(event: ChatEventMap[K]): void };

/** An `EventTarget` that knows the types of the events. */
export interface ChatEventTarget extends EventTarget {
  /**
   * Adds a listener. The event's `detail` is what the `on…` property of the same name is given.
   *
   * @example
   * ```ts ignore
   * chat.addEventListener("message", ({ detail }) => console.log(detail.user, detail.text));
   * chat.addEventListener("state", ({ detail }) => console.log(detail.state, detail.reason));
   * ```
   */
  addEventListener<K extends keyof ChatEventMap>(
    type: K,
    listener: ChatListener<K> | null,
    options?: boolean | AddEventListenerOptions,
  ): void;

  /** Removes a listener that was added with {@linkcode ChatEventTarget.addEventListener}. */
  removeEventListener<K extends keyof ChatEventMap>(
    type: K,
    listener: ChatListener<K> | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** The same as JavaScript has it. */
export const ChatEventTarget: new () => ChatEventTarget = EventTarget;
