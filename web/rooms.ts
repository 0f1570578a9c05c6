/**
 * The rooms that a user is in, side by side: the list, the one that is shown, and the address.
 *
 * @module
 */
import { linkTo } from "./address.ts";
import { load, setTitle, showUnread, tell } from "./attention.ts";
import { Conversation } from "./conversation.ts";
import { h, makeIconButton } from "./dom.ts";
import { renderAvatar } from "./message_view.ts";
import { settingsChanged, tab } from "./settings.ts";
import { formatNumber, text } from "./texts.ts";

const STORAGE_KEY = "rooms";

/** How often at most the unread messages are counted. */
const UPDATE_MS = 100;

/** A room that was open before the page was reloaded. */
export interface OpenRoom {
  readonly room: string;
  readonly user: string;
}

/** Reads which rooms were open in this tab. */
export function readOpenRooms(): OpenRoom[] {
  try {
    return JSON.parse(tab.get(STORAGE_KEY) ?? "[]");
  } catch {
    return [];
  }
}

/** What belongs to one room. */
interface Entry {
  readonly conversation: Conversation;
  readonly row: HTMLElement;
  readonly button: HTMLElement;
  readonly badge: HTMLElement;
  /** The buttons that open the panels. */
  readonly openers: Readonly<Record<Side, HTMLElement>>;
  readonly openRoomsBadge: HTMLElement;
  readonly note: HTMLElement;
}

type Side = "rooms" | "people";

/** The open rooms. */
export class Rooms {
  readonly #entries: Entry[] = [];
  #current: Entry | undefined;
  readonly #chooseName: (room: string, user: string) => void;
  readonly #main = document.getElementById("main")!;
  readonly #asides: Readonly<Record<Side, HTMLElement>> = {
    rooms: document.getElementById("rooms")!,
    people: document.getElementById("people")!,
  };
  readonly #list = h("ul", { class: "room-list" });
  readonly #joinField: HTMLInputElement;
  readonly #self = h("bdi");
  #avatar: HTMLElement = h("span");
  /** What is shown instead of a room. */
  #instead: HTMLElement | undefined;
  #openDrawer: Side | undefined;
  #updateTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param chooseName lets the user join a room, perhaps with another name */
  constructor(chooseName: (room: string, user: string) => void) {
    this.#chooseName = chooseName;
    const error = h("p", { class: "join-error", id: "room-error", role: "alert" });
    this.#joinField = h("input", {
      "aria-label": text("joinRoom"),
      "aria-describedby": error.id,
      placeholder: text("joinRoom"),
      maxlength: 64,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      enterkeyhint: "go",
      oninput: () => error.textContent = "",
    });
    const onsubmit = (event: Event) => {
      event.preventDefault();
      const room = this.#joinField.value.trim();
      error.textContent = "";
      const { user } = (this.#current ?? this.#entries[0]).conversation;
      if (room === "") return;
      try {
        this.show(this.join(room, user));
        this.#joinField.value = "";
      } catch (thrown) {
        if (!(thrown instanceof TypeError)) throw thrown;
        error.textContent = text("roomInvalid");
      }
    };
    this.#asides.rooms.replaceChildren(
      h(
        "div",
        { class: "aside-head" },
        h("h2", {}, text("rooms")),
        this.#makeClose(),
      ),
      this.#list,
      h(
        "form",
        { class: "room-join", novalidate: true, onsubmit },
        this.#joinField,
        makeIconButton("plus", text("join")),
        error,
      ),
      h(
        "div",
        { class: "aside-foot" },
        this.#avatar,
        this.#self,
        makeIconButton("settings", text("settings"), {
          onclick: async () => (await load(import("./overlays.ts")))?.openSettings(),
        }),
        makeIconButton("help", text("help"), {
          onclick: async () => (await load(import("./overlays.ts")))?.openHelp(),
        }),
      ),
    );
    document.getElementById("app")!.addEventListener("click", ({ target, currentTarget }) => {
      if (target === currentTarget) this.closeDrawer();
    });
    settingsChanged.addEventListener("change", () => this.#current?.conversation.show(true));
    addEventListener("resize", () => {
      if (this.#openDrawer && !this.#isDrawer(this.#openDrawer)) this.closeDrawer();
    });
  }

  /** All conversations, in the order of the list. */
  get conversations(): Conversation[] {
    return this.#entries.map(({ conversation }) => conversation);
  }

  /**
   * Joins a room, without showing it. If the user is in it, nothing changes.
   *
   * @throws {TypeError} in the server's words, if a name is invalid
   */
  join(room: string, user: string): Conversation {
    const known = this.conversations.find((conversation) => conversation.room === room);
    if (known) return known;
    // In an address, these have another meaning.
    if (/^\.\.?$/.test(room)) throw new TypeError(`the room ${room} cannot be in a URL`);
    const conversation = new Conversation(room, user, {
      onChange: () => this.#update(),
      onOpen: () => this.show(conversation),
      onChooseName: () => {
        this.remove(conversation);
        this.#chooseName(room, user);
      },
    });
    const entry = this.#makeEntry(conversation);
    this.#entries.push(entry);
    this.#list.append(entry.row);
    this.#main.append(conversation.element);
    this.#store();
    this.#update();
    return conversation;
  }

  /** Shows a room, and its address as a new entry of the history, or instead of the last one. */
  show(conversation: Conversation, how: "push" | "replace" = "push"): void {
    const entry = this.#entries.find((entry) => entry.conversation === conversation);
    // A notification outlives its room.
    if (!entry) return;
    const { room } = conversation;
    if (linkTo(room) !== location.href) history[`${how}State`](null, "", linkTo(room));
    if (entry === this.#current) {
      this.closeDrawer();
      return conversation.focus();
    }
    this.#hide();
    this.#current = entry;
    for (const aside of Object.values(this.#asides)) aside.hidden = false;
    this.#asides.people.replaceChildren(conversation.people.element);
    conversation.show(true);
    conversation.focus();
    setTitle(`${room} · ${text("product")}`);
    this.#update();
  }

  /** Shows something else instead of a room, until a room is shown. */
  showInstead(element: HTMLElement): void {
    this.#hide();
    this.#asides.rooms.hidden = this.#entries.length === 0;
    this.#asides.people.hidden = true;
    this.#instead = element;
    this.#main.append(element);
    setTitle(text("product"));
    this.#update();
  }

  #hide(): void {
    this.closeDrawer();
    this.#instead?.remove();
    this.#instead = undefined;
    this.#current?.conversation.show(false);
    this.#current = undefined;
  }

  /** Leaves a room, and shows the next one, or the form to join. */
  leave(conversation: Conversation): void {
    const { room, user } = conversation;
    const wasShown = this.#current?.conversation === conversation;
    const index = this.conversations.indexOf(conversation);
    this.remove(conversation);
    if (!wasShown) return;
    const next = this.conversations[Math.min(index, this.#entries.length - 1)];
    next ? this.show(next) : this.#chooseName(room, user);
  }

  /** Shows the room so many places below in the list. */
  showNext(step: 1 | -1): void {
    const all = this.conversations;
    if (!this.#current || all.length < 2) return;
    const index = all.indexOf(this.#current.conversation);
    this.show(all[(index + step + all.length) % all.length]);
  }

  /** Puts the focus into the message box. */
  focus(): void {
    this.#current?.conversation.focus();
  }

  /** Puts the focus into the field to join another room. */
  focusJoinField(): void {
    if (!this.#current) return;
    this.#open("rooms");
    this.#joinField.focus();
  }

  /** Closes a panel that lies over the room. Tells whether there was one. */
  closeDrawer(): boolean {
    const side = this.#openDrawer;
    if (!side) return false;
    this.#openDrawer = undefined;
    this.#setOpen(side, false);
    this.#current?.openers[side].focus();
    return true;
  }

  #makeClose(): HTMLElement {
    return makeIconButton("close", text("close"), {
      class: "close-drawer",
      onclick: () => this.closeDrawer(),
    });
  }

  #open(side: Side): void {
    this.closeDrawer();
    if (!this.#isDrawer(side)) return;
    this.#openDrawer = side;
    this.#setOpen(side, true);
    this.#asides[side].querySelector<HTMLElement>("button, input")?.focus();
  }

  /** Where a panel is a column, the style sheet hides its button. */
  #isDrawer(side: Side): boolean {
    const opener = this.#current?.openers[side];
    return opener !== undefined && getComputedStyle(opener).display !== "none";
  }

  /** While a panel is open, the keyboard stays in it. */
  #setOpen(side: Side, isOpen: boolean): void {
    const aside = this.#asides[side];
    for (const other of [this.#main, ...Object.values(this.#asides)]) {
      other.inert = isOpen && other !== aside;
    }
    if (this.#current) this.#current.openers[side].ariaExpanded = `${isOpen}`;
    aside.classList.toggle("drawer-open", isOpen);
    aside.role = isOpen ? "dialog" : "complementary";
    aside.ariaModal = isOpen ? "true" : null;
  }

  /** Leaves a room, and shows no other one instead. */
  remove(conversation: Conversation): void {
    const index = this.conversations.indexOf(conversation);
    if (index < 0) return;
    const [{ row }] = this.#entries.splice(index, 1);
    row.remove();
    if (this.#current?.conversation === conversation) this.#hide();
    conversation.leave();
    this.#store();
    this.#update();
  }

  #store(): void {
    const open = this.conversations.map(({ room, user }): OpenRoom => ({ room, user }));
    tab.set(STORAGE_KEY, open.length === 0 ? undefined : JSON.stringify(open));
  }

  #makeEntry(conversation: Conversation): Entry {
    const { room } = conversation;
    const badge = h("span", { class: "badge", "aria-hidden": "true" });
    const openRoomsBadge = h("span", { class: "badge", "aria-hidden": "true" });
    const note = h("span", { class: "header-note" });
    const button = h(
      "button",
      { class: "room", onclick: () => this.show(conversation) },
      h("span", { class: "room-name" }, room),
      badge,
    );
    const leave = makeIconButton("leave", text("leaveRoom", { room }), {
      onclick: () => this.leave(conversation),
    });
    const makeOpener = (side: Side, icon: string, label: string) =>
      makeIconButton(icon, label, {
        class: `open-${side}`,
        "aria-expanded": false,
        onclick: () => this.#open(side),
      });
    const openers = {
      rooms: makeOpener("rooms", "menu", text("openRooms")),
      people: makeOpener("people", "people", text("openPeople")),
    };
    openers.rooms.append(openRoomsBadge);
    conversation.people.element.querySelector(".aside-head")?.append(this.#makeClose());
    conversation.element.prepend(h(
      "header",
      { class: "header" },
      openers.rooms,
      h("h1", {}, room),
      note,
      h("div", { class: "header-actions" }, ...makeCopyButtons(room), openers.people),
    ));
    const row = h("li", {}, button, leave);
    return { conversation, row, button, badge, openers, openRoomsBadge, note };
  }

  /** Shows what is unread, and how many users are here: soon, because messages can come fast. */
  #update(): void {
    this.#updateTimer ??= setTimeout(() => {
      this.#updateTimer = undefined;
      this.#showAll();
    }, UPDATE_MS);
  }

  #showAll(): void {
    let total = 0;
    for (const { conversation } of this.#entries) total += conversation.unread;
    showUnread(total);
    for (const entry of this.#entries) {
      const { conversation: { unread, mentions }, button, badge } = entry;
      const isCurrent = entry === this.#current;
      button.classList.toggle("room-current", isCurrent);
      button.classList.toggle("room-unread", unread > 0);
      button.ariaCurrent = isCurrent ? "page" : null;
      showBadge(badge, unread, mentions);
      const words = mentions > 0 ? [text("unreadMention")] : [];
      button.ariaDescription = [...describeUnread(unread), ...words].join(", ");
    }
    if (!this.#current) return;
    const { conversation: { user, unread, people }, openers, openRoomsBadge, note } = this.#current;
    const others = this.conversations.filter((each) => each !== this.#current!.conversation);
    const mentions = others.reduce((sum, each) => sum + each.mentions, 0);
    showBadge(openRoomsBadge, total - unread, mentions);
    openers.rooms.ariaLabel = [text("openRooms"), ...describeUnread(total - unread)].join(", ");
    note.textContent = people.count > 0 ? text("peopleHere", { count: people.count }) : "";
    this.#self.textContent = user;
    this.#avatar.replaceWith(this.#avatar = renderAvatar(user));
  }
}

function describeUnread(count: number): string[] {
  return count > 0 ? [text("unread", { count })] : [];
}

function showBadge(badge: HTMLElement, unread: number, mentions: number): void {
  badge.hidden = unread === 0;
  badge.textContent = formatNumber(unread);
  badge.classList.toggle("badge-mention", mentions > 0);
}

/** Makes a button that copies the link to a room, where the browser lets a page do that. */
function makeCopyButtons(room: string): HTMLElement[] {
  if (!navigator.clipboard) return [];
  return [makeIconButton("link", text("copyLink"), {
    onclick: async () => {
      await navigator.clipboard.writeText(linkTo(room));
      tell(text("linkCopied"));
    },
  })];
}
