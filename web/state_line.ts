/**
 * The line that says why a user cannot talk in a room now, and what can be done.
 *
 * @module
 */
import type { ChatError, ChatState } from "../chat/client/client.ts";
import { h, makeLinkButton } from "./dom.ts";
import { formatMoment, text, type TextKey } from "./texts.ts";

/** What the line is about. */
export interface Connection {
  readonly user: string;
  readonly state: ChatState;
  /** Why, in the words of the server or the client. */
  readonly reason: string;
  /** Why the client is closed. */
  readonly error?: ChatError;
  /** When the client connects again, in milliseconds since 1970. */
  readonly retryAt?: number;
  /** Whether another tab of the same browser has the user in the room. */
  readonly isInOtherTab?: boolean;
  /** Until when the user may not write, in milliseconds since 1970. */
  readonly mutedUntil?: number;
}

type Action = "now" | "tryAgain" | "comeBack" | "useHere" | "chooseName";

/** What the user can do. */
export type StateActions = Readonly<Record<Action, () => void>>;

interface StateText {
  readonly words: string;
  /** Stands instead of the words, and changes every second. */
  readonly countdown?: string;
  readonly actions: readonly Action[];
}

/** Makes the line. Its `show` is to be called again each second while it counts. */
export function makeStateLine(
  actions: StateActions,
): { readonly element: HTMLElement; show(connection: Connection): void } {
  // A screen reader hears the words, not each second.
  const words = h("span", { role: "status", dir: "auto" });
  const countdown = h("span", { "aria-hidden": "true" });
  const buttons = h("span", { class: "state-actions" });
  const element = h("div", { class: "state", hidden: true }, words, countdown, buttons);
  let shown = "";
  return {
    element,
    show(connection) {
      const { words: line = "", countdown: count = "", actions: names = [] } =
        describe(connection) ?? {};
      element.hidden = line === "";
      const { state, isInOtherTab = false } = connection;
      element.classList.toggle("state-error", state === "closed" && !isInOtherTab);
      element.classList.toggle("state-warn", state === "reconnecting" || isInOtherTab);
      words.classList.toggle("visually-hidden", count !== "");
      countdown.textContent = count;
      countdown.hidden = count === "";
      const toShow = `${line} ${names}`;
      if (toShow === shown) return;
      shown = toShow;
      words.textContent = line;
      const made = names.map((action) => makeLinkButton(text(action), actions[action]));
      buttons.replaceChildren(...made);
    },
  };
}

function describe(connection: Connection): StateText | undefined {
  switch (connection.state) {
    case "connected":
      return describeMute(connection);
    case "connecting":
    case "reconnecting":
      return describeRetry(connection);
    case "closed":
      return describeEnd(connection);
    default:
      return connection.state satisfies never;
  }
}

function describeMute({ mutedUntil = 0 }: Connection): StateText | undefined {
  if (mutedUntil <= Date.now()) return undefined;
  return { words: text("mutedUntil", { time: formatMoment(mutedUntil) }), actions: [] };
}

function describeRetry({ state, reason, retryAt = 0 }: Connection): StateText {
  const seconds = Math.ceil((retryAt - Date.now()) / 1000);
  const actions: Action[] = seconds > 0 ? ["now"] : [];
  if (!navigator.onLine) return { words: text("offline"), actions };
  if (/\bfull\b/.test(reason)) return { words: text("full"), actions };
  if (/^too many (joins|requests|connections)\b/.test(reason)) {
    return { words: text("tooManyRequests"), actions };
  }
  const words = text(state === "connecting" ? "connecting" : "reconnectingNow");
  const countdown = seconds > 0 ? text("reconnecting", { count: seconds }) : undefined;
  return { words, countdown, actions };
}

/** Why the server put the user out, and who did it. */
const PUT_OUT = /^you were (kicked|banned) by (.+)$/;

/** What the page says instead, by code; by words where there is no code. */
const ERROR_TEXTS: Readonly<Record<string, TextKey | undefined>> = {
  closed: "taken",
  name_taken: "takenByOther",
  replaced: "replaced",
  too_many_devices: "tooManyDevices",
  unknown: "inDoubt",
  "a token is needed": "tokenNeeded",
  // Of a link that was cut off, for example.
  "the token is no valid JWT": "tokenNeeded",
  "the token's signature is not valid": "tokenNeeded",
  "the token has expired": "tokenExpired",
  "you are banned from this room": "bannedHere",
};

/** What the user can do then. */
const ERROR_ACTIONS: Readonly<Record<string, readonly Action[] | undefined>> = {
  name_taken: ["tryAgain", "chooseName"],
  replaced: ["useHere", "chooseName"],
  too_many_devices: ["tryAgain"],
  "a token is needed": [],
  "the token's signature is not valid": [],
  "the token has expired": [],
};

function describeEnd({ user, error, reason, isInOtherTab }: Connection): StateText {
  if (isInOtherTab) return { words: text("taken"), actions: ["useHere", "chooseName"] };
  const words = describeError(error!, user);
  const [, how] = PUT_OUT.exec(reason) ?? [];
  if (how) return { words, actions: [how === "kicked" ? "comeBack" : "tryAgain"] };
  const actions = ERROR_ACTIONS[error!.code] ?? ERROR_ACTIONS[reason];
  if (actions) return { words, actions };
  return { words: text("stopped", { reason: words }), actions: ["tryAgain", "chooseName"] };
}

/**
 * Says why the client is closed, or did not send a message: in the server's words where the page
 * has none.
 */
export function describeError({ code, message }: ChatError, user: string): string {
  const [, how, by] = PUT_OUT.exec(message) ?? [];
  if (how) return text(how as "kicked" | "banned", { by });
  const key = ERROR_TEXTS[code] ?? ERROR_TEXTS[message];
  return key ? text(key, { user }) : message;
}
