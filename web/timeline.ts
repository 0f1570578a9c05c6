/**
 * The log of a room: what was received, up to a bound, and how it looks. An item's row depends on
 * the item and on the one before it.
 *
 * @module
 */
import type { HistoryPage, Message } from "../chat/client/client.ts";
import { h, makeIcon, makeLinkButton } from "./dom.ts";
import { isSent, renderMessage } from "./message_view.ts";
import type { MessageHandlers, ShownMessage } from "./message_view.ts";
import { settings } from "./settings.ts";
import { formatDay, listNames, text } from "./texts.ts";
import { rectOf, VirtualList } from "./virtual_list.ts";
import type { ListItem } from "./virtual_list.ts";

/** What a timeline needs, and whom it tells. */
export interface TimelineHandlers extends MessageHandlers {
  readonly room: string;
  /** Reads a page of messages, see `ChatClient.history`. */
  loadOlder(before: string | undefined): Promise<HistoryPage>;
  /** The newest message is in view. */
  onRead(): void;
}

interface ItemBase extends ListItem {
  /** In milliseconds since 1970. */
  readonly time: number;
  /** When its day began. */
  readonly day: number;
  readonly text: string;
  /** Counts its changes. */
  version: number;
  /** What its row depends on. */
  key?: string;
}

/** A message. Those that are not acknowledged are the last items. */
interface MessageItem extends ItemBase, ShownMessage {
  readonly kind: "message";
  text: string;
  state: ShownMessage["state"];
  detail?: string;
  isExpanded?: boolean;
}

type Presence = "joined" | "left" | "cameAndWent";

/** Who joined and left without a message in between. */
interface PresenceItem extends ItemBase {
  readonly kind: "presence";
  readonly users: Map<string, Presence>;
}

interface LineItem extends ItemBase {
  readonly kind: "notice" | "gap";
}

type Item = MessageItem | PresenceItem | LineItem;

/** What is above the first item. */
type Older = "more" | "loading" | "failed" | "none";

/** The messages of a user belong together if no more time is between them. */
const GROUP_MS = 5 * 60_000;

/** The most that is kept in memory: UTF-16 code units of text, and so many for each item. */
const MAX_SIZE = 4_000_000;
const ITEM_SIZE = 500;

/** So many items are kept at each side of the window, whatever their size. */
const MIN_KEPT = 100;

/** More names than this are only counted. */
const MAX_NAMES = 3;

/** After so many users, a new line of those who joined and left begins. */
const MAX_GROUPED = 100;

/** Lines are collected for so long, and more of them than this are only counted. */
const READ_OUT_MS = 500;
const MAX_READ_OUT = 3;

/** Of a message, so much is read out. */
const READ_OUT_CHARS = 500;

/** A room whose history has not come until then may have none. */
const HISTORY_MS = 500;

/** The log of one room. */
export class Timeline {
  readonly element: HTMLElement;
  readonly #handlers: TimelineHandlers;
  readonly #top = h("div", { class: "older" });
  readonly #log: HTMLElement;
  readonly #jumpText = h("span");
  readonly #jump: HTMLElement;
  readonly #readOut = new ReadOut();
  readonly #list: VirtualList<Item>;
  readonly #messages = new Map<string, MessageItem>();
  readonly #pending = new Map<string, MessageItem>();
  /** What was removed while a page with it may be on its way, and by whom. */
  readonly #removedMeanwhile = new Map<string, string>();
  #size = 0;
  /** Counts when the first items were dropped. */
  #epoch = 0;
  #older: Older = "more";
  #mayLoadOlder = false;

  /** How many messages of others came since the newest one was in view. */
  #unread = 0;
  /** The first item that is new. */
  #line: Item | undefined;
  /** The newest item that was in view. */
  #lastRead: Item | undefined;

  constructor(handlers: TimelineHandlers) {
    this.#handlers = handlers;
    const rows = h("div");
    // Not live: rows come and go as the log scrolls. What is new is read out from another element.
    this.#log = h(
      "div",
      {
        class: "log",
        role: "log",
        "aria-live": "off",
        "aria-label": text("messages", { room: handlers.room }),
        tabindex: 0,
        onkeydown: (event: KeyboardEvent) => this.#onKey(event),
        onfocusin: ({ target }: FocusEvent) => setReachable(target, true),
        onfocusout: ({ target }: FocusEvent) => setReachable(target, false),
      },
      this.#top,
      rows,
    );
    this.#list = new VirtualList(this.#log, rows, {
      renderTop: () => this.#renderTop(),
      renderRow: (item, previous) => this.#renderRow(item, previous),
      firstNew: () => this.#unread > 0 ? this.#line : undefined,
      onMoved: () => this.#onMoved(),
    });
    this.#jump = h(
      "button",
      {
        class: "jump",
        hidden: true,
        onclick: () => {
          this.focus();
          this.scrollToNewest();
        },
      },
      makeIcon("down"),
      this.#jumpText,
    );
    this.element = h("div", { class: "timeline" }, this.#log, this.#jump, this.#readOut.element);
  }

  /** The user has joined the room, perhaps again: from now on older messages can be read. */
  onWelcome(): void {
    if (this.#older === "failed") this.#older = "more";
    setTimeout(() => {
      this.#mayLoadOlder = true;
      this.#list.schedule();
    }, HISTORY_MS);
  }

  /**
   * Adds a message at the end, in place of the pending one with its `ref`. Does nothing if it is
   * there already.
   *
   * @param isNew whether it may be unread; history is not
   * @returns whether it was added
   */
  add(message: Message, isNew = true): boolean {
    if (this.#messages.has(message.id)) return false;
    const isOwn = message.user === this.#handlers.self;
    if (isOwn && message.ref !== undefined) this.drop(message.ref);
    this.#mayLoadOlder = true;
    const item = fromMessage(message);
    if (isOwn) {
      if (this.#unread === 0) this.#line = undefined;
    } else if (isNew) this.#notice(item);
    this.#append(item);
    return true;
  }

  /** Adds a message that is not acknowledged yet. */
  addPending(ref: string, text: string): void {
    this.drop(ref);
    const user = this.#handlers.self;
    const item: MessageItem = { kind: "message", ref, user, state: "pending", ...this.#make(text) };
    this.#pending.set(ref, item);
    this.#insert(this.#list.items.length, [item]);
  }

  /** Shows that a message was not sent. */
  fail(ref: string, reason: string): void {
    const item = this.#pending.get(ref);
    if (!item) return;
    item.state = "failed";
    item.detail = reason;
    item.version++;
    this.#say(text("notSentWhy", { reason }));
    this.#list.schedule();
  }

  /** Takes away a message that is not acknowledged. */
  drop(ref: string): void {
    const item = this.#pending.get(ref);
    if (!item) return;
    this.#pending.delete(ref);
    this.#delete(item);
  }

  addNotice(text: string): void {
    this.#addLine("notice", text);
  }

  addGap(): void {
    this.#addLine("gap", text("gap"));
  }

  #addLine(kind: LineItem["kind"], text: string): void {
    this.#say(text);
    this.#append({ kind, ...this.#make(text) });
  }

  /** Shows that a user joined or left, together with those before and after. */
  addPresence(kind: "joined" | "left", user: string): void {
    const last = this.#list.items[this.#end - 1];
    if (last?.kind !== "presence" || last.users.size >= MAX_GROUPED && !last.users.has(user)) {
      const users = new Map<string, Presence>([[user, kind]]);
      this.#append({ kind: "presence", users, ...this.#make("") });
      return;
    }
    const before = last.users.get(user);
    last.users.delete(user);
    if (before !== "left" || kind === "left") {
      last.users.set(user, before === "joined" && kind === "left" ? "cameAndWent" : kind);
    }
    if (last.users.size === 0) return this.#delete(last);
    last.version++;
    this.#list.schedule();
  }

  /** Takes the text of a message away. */
  remove(id: string, by: string): void {
    const item = this.#messages.get(id);
    if (!item) {
      if (this.#older === "loading") this.#removedMeanwhile.set(id, by);
      return;
    }
    this.#size -= item.text.length;
    item.text = "";
    item.state = "removed";
    item.detail = by;
    item.version++;
    this.#readOut.clear();
    this.#list.schedule();
  }

  /** Forgets all items but the pending ones, and reads the newest messages again. */
  startOver(): void {
    this.#dropOldest(this.#end);
    this.#list.isCut = false;
    this.#line = undefined;
    this.#goToEnd();
  }

  /** The user looks away: what comes from now on is new. */
  markUnread(): void {
    if (this.#unread > 0) return;
    this.#line = undefined;
    this.#list.schedule();
  }

  scrollToNewest(): void {
    this.#list.isCut ? this.startOver() : this.#goToEnd();
  }

  /**
   * Tells whether this room is the one in view, again after the settings have changed. Otherwise
   * nothing is rendered.
   */
  show(isShown: boolean): void {
    this.#list.isShown = isShown;
    this.#list.schedule();
  }

  focus(): void {
    this.#list.focus();
  }

  #goToEnd(): void {
    this.#unread = 0;
    this.#list.scrollToEnd();
  }

  /** Makes the next item. Its time is not before that of the last one, whatever the clock says. */
  #make(text: string): ItemBase {
    return itemAt(Math.max(Date.now(), this.#list.items.at(-1)?.time ?? 0), text);
  }

  #isReading(): boolean {
    return this.#list.isAtEnd && this.#isInView();
  }

  #isInView(): boolean {
    return this.#list.isShown && !document.hidden;
  }

  /** Counts a new message. */
  #notice(item: MessageItem): void {
    const { user, text } = item;
    if (!this.#isReading() && this.#unread++ === 0) this.#line = item;
    this.#say(`${user}: ${text.slice(0, READ_OUT_CHARS)}`);
  }

  /** Where the pending items begin. */
  get #end(): number {
    return this.#list.items.length - this.#pending.size;
  }

  /** Adds an item before the pending ones. */
  #append(item: Item): void {
    if (this.#list.isCut) return this.#list.schedule();
    this.#insert(this.#end, [item]);
  }

  #insert(index: number, added: readonly Item[]): void {
    this.#list.insert(index, added);
    for (const item of added) {
      this.#size += sizeOf(item);
      if (item.kind === "message" && item.id) this.#messages.set(item.id, item);
    }
    if (this.#size > MAX_SIZE) this.#dropFarthest();
  }

  #delete(item: Item): void {
    const index = this.#list.items.lastIndexOf(item);
    if (index >= 0) this.#forget(index, 1);
  }

  #forget(index: number, count: number): void {
    for (const item of this.#list.delete(index, count)) {
      this.#size -= sizeOf(item);
      if (item.kind === "message" && item.id) this.#messages.delete(item.id);
    }
  }

  #dropOldest(count: number): void {
    this.#forget(0, count);
    this.#older = "more";
    this.#epoch++;
  }

  /** Drops the oldest items; if the user reads those, the newest ones. */
  #dropFarthest(): void {
    const { items, from, isAtEnd, isCut } = this.#list;
    const first = isAtEnd ? this.#end : from;
    let size = this.#size;
    let count = 0;
    while (size > MAX_SIZE * 3 / 4 && count < first - MIN_KEPT) size -= sizeOf(items[count++]);
    if (count > 0) this.#dropOldest(count);
    const kept = this.#list.to + MIN_KEPT;
    if (isAtEnd || isCut || this.#size <= MAX_SIZE || this.#end <= kept) return;
    this.#forget(kept, this.#end - kept);
    this.#list.isCut = true;
    this.#insert(kept, [{ kind: "gap", ...this.#make(text("gap")) }]);
  }

  /** Shows what depends on where the view is. */
  #onMoved(): void {
    if (this.#isReading()) this.#noteRead();
    this.#jump.hidden = this.#list.isAtEnd;
    this.#jumpText.textContent = this.#unread > 0
      ? text("unreadBelow", { count: this.#unread })
      : text("jumpToNewest");
    if (this.#mayLoadOlder && this.#older === "more" && this.#list.isNearStart) this.#loadOlder();
  }

  #noteRead(): void {
    this.#unread = 0;
    const newest = this.#list.items[this.#end - 1];
    if (newest === this.#lastRead) return;
    this.#lastRead = newest;
    this.#handlers.onRead();
  }

  #renderRow(item: Item, previous: Item | undefined): HTMLElement {
    const isNewDay = item.day !== previous?.day;
    const isLine = item === this.#line;
    const isGroupStart = isNewDay || isLine || startsGroup(item, previous);
    const hasMenu = item.kind === "message" && isSent(item) &&
      this.#handlers.hasMessageMenu(item);
    const day = isNewDay ? formatDay(item.time) : "";
    const key = [item.version, day, isLine, isGroupStart, hasMenu, settings.timeFormat].join();
    if (item.row && item.key === key) return item.row;
    const row = h("div", { class: "row" });
    if (isNewDay) row.append(h("div", { class: "day" }, h("span", {}, day)));
    if (isLine) row.append(h("div", { class: "new-line" }, h("span", {}, text("newMessages"))));
    row.append(this.#renderItem(item, isGroupStart));
    item.row?.replaceWith(row);
    item.row = row;
    item.key = key;
    return row;
  }

  #renderItem(item: Item, isGroupStart: boolean): HTMLElement {
    switch (item.kind) {
      case "message":
        return renderMessage(item, isGroupStart, this.#handlers, () => this.#expand(item));
      case "presence":
        return h("div", { class: "presence" }, h("span", {}, describePresence(item.users)));
      case "notice":
      case "gap":
        return h("div", { class: item.kind, dir: "auto" }, h("span", {}, item.text));
    }
  }

  /** Shows whether there are older items than the first one. */
  #renderTop(): void {
    const key = `${this.#older} ${this.#list.items.length === 0}`;
    if (this.#top.dataset.key === key) return;
    this.#top.dataset.key = key;
    const { room } = this.#handlers;
    const lines: Readonly<Record<Older, string>> = {
      more: "",
      loading: text("loadingOlder"),
      failed: text("loadOlderFailed") + " ",
      none: this.#list.items.length === 0 ? text("firstMessage") : text("beginning", { room }),
    };
    this.#top.replaceChildren(lines[this.#older]);
    if (this.#older === "failed") {
      this.#top.append(makeLinkButton(text("loadOlder"), () => this.#loadOlder()));
    }
  }

  /** Reads a page of older messages. */
  async #loadOlder(): Promise<void> {
    this.#older = "loading";
    this.#list.schedule();
    const epoch = this.#epoch;
    let page: HistoryPage | undefined;
    try {
      page = await this.#handlers.loadOlder(this.#oldestId());
    } catch {
      // The line at the top says so.
    }
    // What is older has changed meanwhile.
    if (this.#epoch !== epoch) return;
    // What is not older than the first message comes from the client, in its order.
    const before = this.#oldestId();
    const added = (page?.messages ?? []).filter(({ id }) =>
      !this.#messages.has(id) && (before === undefined || isBefore(id, before))
    );
    if (page) this.#older = page.before === null || page.messages.length === 0 ? "none" : "more";
    else this.#older = "failed";
    this.#insert(0, added.map(fromMessage));
    for (const [id, by] of this.#removedMeanwhile) this.remove(id, by);
    this.#removedMeanwhile.clear();
  }

  #oldestId(): string | undefined {
    const oldest = this.#list.items.find((item) => item.kind === "message" && item.id);
    return (oldest as MessageItem | undefined)?.id;
  }

  /** Shows all of a long text, which begins where it was. */
  #expand(item: MessageItem): void {
    this.#list.stayAt(item);
    item.isExpanded = true;
    item.version++;
  }

  /** The arrow keys go from message to message; Enter opens the menu of one. */
  #onKey(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const target = event.target as HTMLElement;
    const current = target.closest<HTMLElement>(".message");
    if (event.key === "Enter" && target === current) {
      const [first, last] = current.querySelectorAll<HTMLElement>("[aria-haspopup]");
      (last ?? first)?.click();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      const all = [...this.#log.querySelectorAll<HTMLElement>(".message")];
      const { bottom } = rectOf(this.#log);
      const step = event.key === "ArrowUp" ? -1 : 1;
      const next = current
        ? all[all.indexOf(current) + step]
        : all.findLast((message) => rectOf(message).top < bottom);
      next?.focus({ preventScroll: true });
      next?.scrollIntoView({ block: "nearest" });
    }
  }

  /** Lets a screen reader read a text out, if the user is here. */
  #say(line: string): void {
    if (this.#isInView()) this.#readOut.say(line);
  }
}

/** Lets screen readers read out what is new. */
class ReadOut {
  readonly element: HTMLElement = h("div", { class: "visually-hidden", "aria-live": "polite" });
  #lines: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(line: string): void {
    this.#lines.push(line);
    this.#timer ??= setTimeout(() => {
      const count = this.#lines.length;
      const read = count > MAX_READ_OUT ? [text("unreadBelow", { count })] : this.#lines;
      this.element.replaceChildren(...read.map((line) => h("p", {}, line)));
      this.#lines = [];
      this.#timer = undefined;
    }, READ_OUT_MS);
  }

  /** Forgets what was not read yet: a text that is gone must not be heard. */
  clear(): void {
    this.#lines = [];
    this.element.replaceChildren();
  }
}

function itemAt(time: number, text: string): ItemBase {
  return { time, day: new Date(time).setHours(0, 0, 0, 0), text, version: 0 };
}

function fromMessage({ id, ref, user, text, removed }: Message): MessageItem {
  const state = removed ? "removed" : "sent";
  return { kind: "message", id, ref, user, state, ...itemAt(parseInt(id), text) };
}

function sizeOf({ text }: Item): number {
  return ITEM_SIZE + text.length;
}

/** Tells whether a message begins with the name of its user, because it follows something else. */
function startsGroup(item: Item, previous: Item | undefined): boolean {
  return item.kind !== "message" || previous?.kind !== "message" || item.user !== previous.user ||
    item.time - previous.time > GROUP_MS;
}

function describePresence(users: ReadonlyMap<string, Presence>): string {
  const kinds: readonly Presence[] = ["joined", "left", "cameAndWent"];
  return kinds.flatMap((kind) => {
    const names = [...users.keys()].filter((user) => users.get(user) === kind);
    if (names.length === 0) return [];
    const shown = names.length > MAX_NAMES ? names.slice(0, MAX_NAMES - 1) : names;
    const list = listNames(shown.map(isolate), names.length - shown.length);
    return [text(kind, { names: list, count: names.length })];
  }).join(" · ");
}

/** Keeps the direction of a name to itself. */
function isolate(name: string): string {
  return /^[ -~]*$/.test(name) ? name : `\u2068${name}\u2069`;
}

/** Makes the buttons of a message reachable with the Tab key while the focus is in it. */
function setReachable(target: EventTarget | null, isReachable: boolean): void {
  const message = (target as HTMLElement).closest(".message");
  for (const button of message?.querySelectorAll<HTMLElement>("[aria-haspopup]") ?? []) {
    button.tabIndex = isReachable ? 0 : -1;
  }
}

/** Tells whether a message is older than another one. */
function isBefore(id: string, other: string): boolean {
  // An id is two numbers.
  return id.localeCompare(other, "en", { numeric: true }) < 0;
}
