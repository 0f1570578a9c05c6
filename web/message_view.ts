/**
 * One message's element, and what is found in its text. A text is never parsed as HTML.
 *
 * @module
 */
import { h, makeIconButton, makeLinkButton } from "./dom.ts";
import { formatMoment, formatTime, text } from "./texts.ts";

/** A message as it is shown. */
export interface ShownMessage {
  /** Absent until the message is acknowledged. */
  readonly id?: string;
  readonly ref?: string;
  readonly user: string;
  readonly text: string;
  /** In milliseconds since 1970. */
  readonly time: number;
  readonly state: "sent" | "pending" | "failed" | "removed";
  /** Why it failed, or who removed it. */
  readonly detail?: string;
  /** Whether all of a long text is shown. */
  readonly isExpanded?: boolean;
}

/** A message that the server has. */
export type SentMessage = ShownMessage & { readonly id: string };

/** What the buttons of messages do, and who the user of the page is. */
export interface MessageHandlers {
  /** The user's own name. */
  readonly self: string;
  /** A name was pressed. */
  onUser(user: string, anchor: HTMLElement): void;
  /** Tells whether a message has a menu. */
  hasMessageMenu(message: SentMessage): boolean;
  onMessageMenu(message: SentMessage, anchor: HTMLElement): void;
  onRetry(ref: string): void;
  onDiscard(ref: string): void;
}

/** A part of a text. */
export type Part =
  | { readonly kind: "plain" | "mention"; readonly text: string }
  | { readonly kind: "link"; readonly text: string; readonly href: string };

/** Of a longer text, only the beginning is shown at first. */
const LONG_CHARS = 2_000;
const LONG_LINES = 25;

const HUES = 12;
const FIRST_HUE = 25;

/** An emoji can have many UTF-16 code units; more than this only a letter with too many marks. */
const MAX_AVATAR_CHARS = 16;

/**
 * What may be a link: it ends before white space, and before invisible characters, which could
 * change the direction in which the address is read.
 */
const LINK = /(?<![\p{L}\p{N}_])(?:https?:\/\/|mailto:)[^\s<>"“”„«»‹›`\p{C}]+/giu;

/** What belongs to the sentence rather than to the link before it. */
const PUNCTUATION = ".,:;!?'’‘*…。、，！？：；）」』】》";

const BRACKETS: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

/**
 * Makes the element of a message.
 *
 * @param isGroupStart whether it begins with the name of its user
 * @param onExpand called to show all of a long text
 */
export function renderMessage(
  message: ShownMessage,
  isGroupStart: boolean,
  handlers: MessageHandlers,
  onExpand: () => void,
): HTMLElement {
  const { id, ref, user, time, state, detail } = message;
  const isOwn = user === handlers.self;
  const parts = parseText(message.text, isOwn ? undefined : handlers.self);
  const classes = ["message"];
  if (isOwn) classes.push("message-own");
  if (isGroupStart) classes.push("message-group-start");
  classes.push(`message-${state}`);
  if (parts.some(({ kind }) => kind === "mention")) classes.push("mentions-me");
  const when = h("time", {
    datetime: new Date(time).toISOString(),
    title: formatMoment(time),
  }, formatTime(time));
  const body = h("div");
  if (isGroupStart) {
    const name = h("button", {
      class: "message-name",
      "--hue": hueOf(user),
      tabindex: -1,
      "aria-haspopup": "menu",
      onclick: () => handlers.onUser(user, name),
    }, h("bdi", {}, user));
    body.append(h("div", { class: "message-head" }, name, " ", when));
  } else body.append(h("bdi", { class: "visually-hidden" }, user));
  const words = h("div", { class: "message-text", dir: "auto" }, ...parts.map(renderPart));
  body.append(words);
  if (state === "removed") {
    words.append(detail === undefined ? text("removed") : text("removedBy", { user: detail }));
  }
  if (isLong(message.text) && !message.isExpanded) {
    words.classList.add("message-long");
    body.append(makeLinkButton(text("showMore"), onExpand));
  }
  if (state === "pending") body.append(h("span", { class: "visually-hidden" }, text("sending")));
  if (state === "failed") {
    body.append(h(
      "div",
      { class: "message-failure" },
      h("span", {}, text("notSentWhy", { reason: detail! })),
      makeLinkButton(text("retry"), () => handlers.onRetry(ref!)),
      makeLinkButton(text("discard"), () => handlers.onDiscard(ref!)),
    ));
  }
  const element = h(
    "div",
    {
      class: classes.join(" "),
      role: "article",
      tabindex: -1,
      "data-id": id,
      "data-ref": isOwn ? ref : undefined,
    },
    isGroupStart ? renderAvatar(user) : when,
    body,
  );
  if (isSent(message) && handlers.hasMessageMenu(message)) {
    const menu = makeIconButton("more", text("messageMenu"), {
      class: "message-menu",
      tabindex: -1,
      "aria-haspopup": "menu",
      onclick: () => handlers.onMessageMenu(message, menu),
    });
    element.append(menu);
  }
  return element;
}

/** Tells whether the server has a message, and its text. */
export function isSent(message: ShownMessage): message is SentMessage {
  return message.state === "sent";
}

function renderPart(part: Part): Node | string {
  switch (part.kind) {
    case "plain":
      return part.text;
    case "mention":
      return h("span", { class: "mention" }, part.text);
    case "link":
      // `dir` keeps what stands around the address out of the order in which it is read.
      return h("a", {
        href: part.href,
        target: "_blank",
        rel: "noopener noreferrer",
        dir: "ltr",
      }, part.text);
  }
}

/** Makes the picture of a user: the first letter of the name, in its colour. */
export function renderAvatar(user: string): HTMLElement {
  const attributes = { class: "avatar", "--hue": hueOf(user), "aria-hidden": true };
  return h("span", attributes, firstLetter(user));
}

function firstLetter(name: string): string {
  const first = new Intl.Segmenter().segment(name).containing(0)?.segment ?? "";
  return (first.length <= MAX_AVATAR_CHARS ? first : [...first][0]).toUpperCase();
}

/** Returns the hue of a name's colour in degrees, which is always the same: one of 12. */
export function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return FIRST_HUE + (hash >>> 8) % HUES * 360 / HUES;
}

/** Tells whether a text has a name as a word of its own, with or without `@`, in any case. */
export function mentions(text: string, name: string): boolean {
  return parseText(text, name).some(({ kind }) => kind === "mention");
}

/**
 * Finds the links in a text, and the mentions of a name outside of them.
 *
 * @param name the name to look for, if any
 */
export function parseText(text: string, name?: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { index, 0: found } of text.matchAll(LINK)) {
    const link = withoutPunctuation(found);
    const href = toHref(link);
    if (href === undefined) continue;
    parts.push(...findMentions(text.slice(end, index), name), { kind: "link", text: link, href });
    end = index + link.length;
  }
  parts.push(...findMentions(text.slice(end), name));
  return parts;
}

/** Cuts off the punctuation at the end of a link, and brackets that were not opened in it. */
function withoutPunctuation(link: string): string {
  const unopened: Record<string, number> = {};
  for (const [closing, opening] of Object.entries(BRACKETS)) {
    unopened[closing] = link.split(closing).length - link.split(opening).length;
  }
  let end = link.length;
  for (; end > 0; end--) {
    const last = link[end - 1];
    if (unopened[last] > 0) unopened[last]--;
    else if (!PUNCTUATION.includes(last)) break;
  }
  return link.slice(0, end);
}

/**
 * Returns the address of a link; `undefined` if it leads nowhere, or if it has a user name or a
 * password, which make it look as if it led to somewhere else.
 */
function toHref(link: string): string | undefined {
  try {
    const { protocol, host, username, password, pathname, href } = new URL(link);
    if (protocol === "mailto:") return /.@./.test(pathname) ? href : undefined;
    return host !== "" && username === "" && password === "" ? href : undefined;
  } catch {
    return undefined;
  }
}

function findMentions(text: string, name: string | undefined): Part[] {
  // Every second part is what the group of the expression matches.
  const parts = name ? text.split(mentionOf(name)) : [text];
  return parts.map((text, i): Part => ({ kind: i % 2 ? "mention" : "plain", text }))
    .filter(({ text }) => text !== "");
}

function mentionOf(name: string): RegExp {
  const escaped = name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{M}\\p{N}_@])(@?${escaped})(?![\\p{L}\\p{M}\\p{N}_])`, "iu");
}

function isLong(text: string): boolean {
  return text.length > LONG_CHARS || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
}
