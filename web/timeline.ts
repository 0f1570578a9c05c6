/**
 * The log of a room. All items that were received are in an array, up to a bound; only those near
 * the view are in the document. An item's row depends on the item and on the one before it. What
 * changed is rendered once a frame, so that a hidden tab only collects.
 *
 * While the newest item is in view, the log stays at its end. Otherwise the place where one reads
 * stays, whatever is added, removed or resized: the row there is the anchor, and the log scrolls by
 * as much as the anchor has moved.
 *
 * @module
 */
import type { HistoryPage, Message } from "../chat/client/client.ts";
import { h, makeIcon, makeLinkButton } from "./dom.ts";
import { isSent, renderMessage } from "./message_view.ts";
import type { MessageHandlers, ShownMessage } from "./message_view.ts";
import { settings } from "./settings.ts";
import { formatDay, listNames, text } from "./texts.ts";

/** What a timeline needs, and whom it tells. */
export interface TimelineHandlers extends MessageHandlers {
  readonly room: string;
  /** Reads a page of messages, see `ChatClient.history`. */
  loadOlder(before: string | undefined): Promise<HistoryPage>;
  /** The newest message is in view. */
  onRead(): void;
}

interface ItemBase {
  /** In milliseconds since 1970. */
  readonly time: number;
  /** When its day began. */
  readonly day: number;
  readonly text: string;
  /** Counts its changes. */
  version: number;
  /** Its element, while it is in the document, and what the element depends on. */
  row?: HTMLElement;
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

/** An item that stays where it is: how far one of its edges is below the top of the view. */
interface Anchor {
  readonly item: Item;
  readonly edge: "top" | "bottom";
  readonly offset: number;
}

/** What is above the first item. */
type Older = "more" | "loading" | "failed" | "none";

/** The messages of a user belong together if no more time is between them. */
const GROUP_MS = 5 * 60_000;

/** How many rows are added at once at an end of the window. */
const CHUNK = 30;

/** Each end of the window is kept at so many views from the view. */
const NEAR_VIEWS = 1;
const FAR_VIEWS = 3;

/** The window is found in so many steps a frame. */
const MAX_STEPS = 8;

/** As close to the end, the view is at the end. */
const AT_END_PX = 24;

/** The most that is kept in memory: UTF-16 code units of text, and so many for each item. */
const MAX_SIZE = 4_000_000;
const ITEM_SIZE = 500;

/** So many items are kept at each side of the window, whatever their size. */
const MIN_KEPT = 100;

/** More names than this are only counted. */
const MAX_NAMES = 3;

/** After so many users, a new line of those who joined and left begins. */
const MAX_GROUPED = 100;

/** A room whose history has not come until then may have none. */
const HISTORY_MS = 500;

/** What a screen reader reads is collected for so long, and longer texts are cut. */
const READ_OUT_MS = 500;
const READ_OUT_CHARS = 500;

/** More new messages than this are only counted. */
const MAX_READ_OUT = 3;

/** The log of one room. */
export class Timeline {
  readonly element: HTMLElement;
  readonly #handlers: TimelineHandlers;
  readonly #top = h("div", { class: "older" });
  readonly #rows = h("div");
  readonly #log: HTMLElement;
  readonly #jumpText = h("span");
  readonly #jump: HTMLElement;
  readonly #readOut = h("div", { class: "visually-hidden", "aria-live": "polite" });

  readonly #items: Item[] = [];
  readonly #messages = new Map<string, MessageItem>();
  readonly #pending = new Map<string, MessageItem>();
  /** What was removed while a page with it may be on its way, and by whom. */
  readonly #removedMeanwhile = new Map<string, string>();
  #size = 0;
  /** The newest items were dropped, because too many came while the user read above. */
  #isCut = false;
  /** Counts when the first items were dropped. */
  #epoch = 0;
  #older: Older = "more";
  #mayLoadOlder = false;

  /** The window: the indices of the items that are to be in the document. */
  #from = 0;
  #to = 0;
  /** The items that are in the document. */
  #rendered: readonly Item[] = [];
  #isShown = false;
  #frame = 0;
  #isAtEnd = true;
  /** Whether the newest item was in the document after the last rendering. */
  #isEndRendered = true;
  #anchor: Anchor | undefined;
  #place = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };

  /** How many messages of others came since the newest one was in view. */
  #unread = 0;
  /** The first item that is new. */
  #line: Item | undefined;
  /** The newest item that was in view. */
  #lastRead: Item | undefined;
  #toReadOut: string[] = [];
  #readOutTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(handlers: TimelineHandlers) {
    this.#handlers = handlers;
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
        onscroll: () => this.#onScroll(),
      },
      this.#top,
      this.#rows,
    );
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
    this.element = h("div", { class: "timeline" }, this.#log, this.#jump, this.#readOut);
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(this.#log);
    observer.observe(this.#rows);
  }

  /** The user has joined the room, perhaps again: from now on older messages can be read. */
  onWelcome(): void {
    if (this.#older === "failed") this.#older = "more";
    setTimeout(() => {
      this.#mayLoadOlder = true;
      this.#schedule();
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
    this.#insert(this.#items.length, [item]);
  }

  /** Shows that a message was not sent. */
  fail(ref: string, reason: string): void {
    const item = this.#pending.get(ref);
    if (!item) return;
    item.state = "failed";
    item.detail = reason;
    item.version++;
    this.#say(text("notSentWhy", { reason }));
    this.#schedule();
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
    const last = this.#items[this.#end - 1];
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
    this.#schedule();
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
    this.#toReadOut = [];
    this.#readOut.replaceChildren();
    this.#schedule();
  }

  /** Forgets all items but the pending ones, and reads the newest messages again. */
  startOver(): void {
    this.#dropOldest(this.#end);
    this.#isCut = false;
    this.#line = undefined;
    this.#goToEnd();
  }

  /** The user looks away: what comes from now on is new. */
  markUnread(): void {
    if (this.#unread > 0) return;
    this.#line = undefined;
    this.#schedule();
  }

  scrollToNewest(): void {
    this.#isCut ? this.startOver() : this.#goToEnd();
  }

  /**
   * Tells whether this room is the one in view, again after the settings have changed. Otherwise
   * nothing is rendered.
   */
  show(isShown: boolean): void {
    this.#isShown = isShown;
    this.#schedule();
  }

  focus(): void {
    this.#log.focus({ preventScroll: true });
  }

  #goToEnd(): void {
    this.#isAtEnd = true;
    this.#unread = 0;
    // At once, because a scroll event before the next frame would tell another place.
    this.#render();
  }

  /** Makes the next item. Its time is not before that of the last one, whatever the clock says. */
  #make(text: string): ItemBase {
    return itemAt(Math.max(Date.now(), this.#items.at(-1)?.time ?? 0), text);
  }

  #isReading(): boolean {
    return this.#isAtEnd && this.#isShown && !document.hidden;
  }

  /** Counts a new message. */
  #notice(item: MessageItem): void {
    const { user, text } = item;
    if (!this.#isReading() && this.#unread++ === 0) this.#line = item;
    this.#say(`${user}: ${text.slice(0, READ_OUT_CHARS)}`);
  }

  /** Where the pending items begin. */
  get #end(): number {
    return this.#items.length - this.#pending.size;
  }

  /** Adds an item before the pending ones. */
  #append(item: Item): void {
    if (this.#isCut) return this.#schedule();
    this.#insert(this.#end, [item]);
  }

  #insert(index: number, added: readonly Item[]): void {
    this.#items.splice(index, 0, ...added);
    // The window does not grow: it stays around the same items.
    if (index === 0 || index < this.#from) this.#from += added.length;
    if (index === 0 || index < this.#to) this.#to += added.length;
    for (const item of added) {
      this.#size += sizeOf(item);
      if (item.kind === "message" && item.id) this.#messages.set(item.id, item);
    }
    if (this.#size > MAX_SIZE) this.#dropFarthest();
    this.#schedule();
  }

  #delete(item: Item): void {
    const index = this.#items.lastIndexOf(item);
    if (index < 0) return;
    this.#forget(index, 1);
    this.#schedule();
  }

  #forget(index: number, count: number): void {
    const forgotten = this.#items.splice(index, count);
    for (const item of forgotten) {
      this.#size -= sizeOf(item);
      if (item.kind === "message" && item.id) this.#messages.delete(item.id);
    }
    const move = (end: number) => end > index ? Math.max(index, end - count) : end;
    this.#from = move(this.#from);
    this.#to = move(this.#to);
  }

  #dropOldest(count: number): void {
    this.#forget(0, count);
    this.#older = "more";
    this.#epoch++;
  }

  /** Drops the oldest items; if the user reads those, the newest ones. */
  #dropFarthest(): void {
    const first = this.#isAtEnd ? this.#end : this.#from;
    let size = this.#size;
    let count = 0;
    while (size > MAX_SIZE * 3 / 4 && count < first - MIN_KEPT) {
      size -= sizeOf(this.#items[count++]);
    }
    if (count > 0) this.#dropOldest(count);
    const kept = this.#to + MIN_KEPT;
    if (this.#isAtEnd || this.#isCut || this.#size <= MAX_SIZE || this.#end <= kept) return;
    this.#forget(kept, this.#end - kept);
    this.#isCut = true;
    this.#insert(kept, [{ kind: "gap", ...this.#make(text("gap")) }]);
  }

  #schedule(): void {
    if (this.#isShown && !this.#frame) {
      this.#frame = requestAnimationFrame(() => this.#render());
    }
  }

  #render(): void {
    this.#frame = 0;
    if (!this.#isShown || this.#log.clientHeight === 0) return;
    this.#moveWindow();
    for (let step = 0;; step++) {
      this.#renderTop();
      this.#renderRows();
      this.#restorePlace();
      if (!this.#fitWindow()) break;
      if (step < MAX_STEPS) continue;
      this.#schedule();
      break;
    }
    this.#isEndRendered = this.#to === this.#items.length && !this.#isCut;
    if (this.#anchor?.edge === "top") this.#isAtEnd = this.#isEndInView(AT_END_PX);
    this.#rememberPlace();
    this.#noteRead();
    this.#jump.hidden = this.#isAtEnd;
    this.#jumpText.textContent = this.#unread > 0
      ? text("unreadBelow", { count: this.#unread })
      : text("jumpToNewest");
    const isNearStart = this.#from === 0 &&
      this.#log.scrollTop < NEAR_VIEWS * this.#log.clientHeight;
    if (this.#mayLoadOlder && this.#older === "more" && isNearStart) this.#loadOlder();
  }

  /** Moves the window to the end, if the log is there; to the first new item after an absence. */
  #moveWindow(): void {
    if (!this.#isAtEnd) return;
    const { length } = this.#items;
    const line = this.#unread > 0 ? this.#items.indexOf(this.#line!) : -1;
    if (line >= 0) {
      this.#from = this.#to = line;
      this.#stayAt({ item: this.#items[line], edge: "top", offset: 0 });
    } else {
      // A window that would grow by too much begins anew.
      if (length - this.#to > CHUNK) this.#from = length - CHUNK;
      this.#to = length;
    }
  }

  #stayAt(anchor: Anchor): void {
    this.#isAtEnd = false;
    this.#anchor = anchor;
    this.#schedule();
  }

  /** Brings the rows of the window into the document, and takes the others out of it. */
  #renderRows(): void {
    const hadFocus = this.#log.contains(document.activeElement);
    const items = this.#items.slice(this.#from, this.#to);
    const wanted = new Set<Item>(items);
    for (const item of this.#rendered) {
      if (wanted.has(item)) continue;
      item.row?.remove();
      item.row = undefined;
    }
    let next = this.#rows.firstElementChild;
    let previous: Item | undefined = this.#items[this.#from - 1];
    for (const item of items) {
      const isInPlace = item.row !== undefined && item.row === next;
      const row = this.#renderRow(item, previous);
      if (isInPlace) next = row.nextElementSibling;
      else this.#rows.insertBefore(row, next);
      previous = item;
    }
    this.#rendered = items;
    if (hadFocus && !this.#log.contains(document.activeElement)) this.focus();
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
    const key = `${this.#older} ${this.#items.length === 0}`;
    if (this.#top.dataset.key === key) return;
    this.#top.dataset.key = key;
    const { room } = this.#handlers;
    const lines: Readonly<Record<Older, string>> = {
      more: "",
      loading: text("loadingOlder"),
      failed: text("loadOlderFailed") + " ",
      none: this.#items.length === 0 ? text("firstMessage") : text("beginning", { room }),
    };
    this.#top.replaceChildren(lines[this.#older]);
    if (this.#older === "failed") {
      this.#top.append(makeLinkButton(text("loadOlder"), () => this.#loadOlder()));
    }
  }

  /** Reads a page of older messages. */
  async #loadOlder(): Promise<void> {
    this.#older = "loading";
    this.#schedule();
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
    const oldest = this.#items.find((item) => item.kind === "message" && item.id);
    return (oldest as MessageItem | undefined)?.id;
  }

  /** Lets the window grow where it is too short, and shrink where it is too long. */
  #fitWindow(): boolean {
    let [from, to] = [this.#from, this.#to];
    const grow = { from: Math.max(0, from - CHUNK), to: Math.min(this.#items.length, to + CHUNK) };
    if (from === to) ({ from, to } = grow);
    else {
      const view = rectOf(this.#log);
      const rect = (index: number) => rectOf(this.#items[index].row!);
      const [near, far] = [NEAR_VIEWS * view.height, FAR_VIEWS * view.height];
      const kept = (near + far) / 2;
      const above = view.top - rect(from).top;
      const below = rect(to - 1).bottom - view.bottom;
      if (above < near) from = grow.from;
      else if (above > far) { while (rect(from).bottom < view.top - kept) from++; }
      if (below < near) to = grow.to;
      else if (below > far) { while (rect(to - 1).top > view.bottom + kept) to--; }
    }
    const hasChanged = from !== this.#from || to !== this.#to;
    this.#from = from;
    this.#to = to;
    return hasChanged;
  }

  #isEndInView(tolerancePx: number): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    return this.#isEndRendered && scrollHeight - clientHeight - scrollTop <= tolerancePx;
  }

  /** Scrolls so that the end, or the anchor, is where it was. */
  #restorePlace(): void {
    if (this.#isAtEnd) {
      this.#log.scrollTop = this.#log.scrollHeight;
      return;
    }
    const moved = this.#anchorMoved() ?? 0;
    if (Math.abs(moved) >= 0.5) this.#log.scrollTop += moved;
  }

  /** By how many pixels the anchor is below its place; `undefined` if there is no anchor. */
  #anchorMoved(): number | undefined {
    const { item, edge, offset } = this.#anchor ?? {};
    if (!item?.row) return undefined;
    const { top } = rectOf(this.#log);
    return rectOf(item.row)[edge!] - top - offset!;
  }

  #rememberPlace(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    this.#place = { scrollTop, scrollHeight, clientHeight };
    if (this.#isAtEnd) this.#anchor = undefined;
    // An anchor that is where it should be is kept: another one would add up rounding errors.
    else if (!(Math.abs(this.#anchorMoved() ?? 1) < 1 && this.#anchor!.offset <= clientHeight)) {
      this.#chooseAnchor();
    }
  }

  /** Chooses the first row in view. Its lower edge does not move when it gets a day or a name. */
  #chooseAnchor(): void {
    const { top } = rectOf(this.#log);
    for (const item of this.#rendered) {
      const offset = rectOf(item.row!).bottom - top;
      if (offset <= 0) continue;
      this.#anchor = { item, edge: "bottom", offset };
      return;
    }
    this.#anchor = undefined;
  }

  #onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (clientHeight === 0) return;
    // Sizes have changed before the user scrolled.
    const { scrollTop: before, ...sizes } = this.#place;
    if (scrollHeight !== sizes.scrollHeight || clientHeight !== sizes.clientHeight) {
      return this.#onResize();
    }
    // Even the first pixel of a movement upwards leaves the end.
    this.#isAtEnd = this.#isEndInView(scrollTop < before ? 1 : AT_END_PX);
    this.#anchor = undefined;
    this.#rememberPlace();
    if (this.#isAtEnd) this.#noteRead();
    this.#schedule();
  }

  #onResize(): void {
    if (!this.#isShown || this.#log.clientHeight === 0) return;
    this.#restorePlace();
    this.#rememberPlace();
    this.#schedule();
  }

  /** Shows all of a long text, which begins where it was. */
  #expand(item: MessageItem): void {
    const offset = rectOf(item.row!).top - rectOf(this.#log).top;
    item.isExpanded = true;
    item.version++;
    this.#stayAt({ item, edge: "top", offset });
  }

  #noteRead(): void {
    if (!this.#isReading()) return;
    this.#unread = 0;
    const newest = this.#items[this.#end - 1];
    if (newest === this.#lastRead) return;
    this.#lastRead = newest;
    this.#handlers.onRead();
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
      const all = [...this.#rows.querySelectorAll<HTMLElement>(".message")];
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
    if (!this.#isShown || document.hidden) return;
    this.#toReadOut.push(line);
    this.#readOutTimer ??= setTimeout(() => {
      const lines = this.#toReadOut;
      const isMuch = lines.length > MAX_READ_OUT;
      const read = isMuch ? [text("unreadBelow", { count: lines.length })] : lines;
      this.#readOut.replaceChildren(...read.map((line) => h("p", {}, line)));
      this.#toReadOut = [];
      this.#readOutTimer = undefined;
    }, READ_OUT_MS);
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

function rectOf(element: Element): DOMRect {
  return element.getBoundingClientRect();
}

/** Tells whether a message is older than another one. */
function isBefore(id: string, other: string): boolean {
  // An id is two numbers.
  return id.localeCompare(other, "en", { numeric: true }) < 0;
}
