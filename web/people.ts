/**
 * Who is in a room. Only the rows in view are in the document, and what changed is rendered once a
 * frame.
 *
 * @module
 */
import { h } from "./dom.ts";
import { renderAvatar } from "./message_view.ts";
import { formatNumber, language, text } from "./texts.ts";

/** So many rows are rendered above and below the view. */
const MARGIN_ROWS = 10;

/** The height of a row until one was measured. */
const ROW_PX = 36;

const { compare } = new Intl.Collator(language, { numeric: true });

/** The list of the users of one room. */
export class People {
  readonly element: HTMLElement;
  readonly #self: string;
  readonly #onUser: (user: string, anchor: HTMLElement) => void;
  readonly #count = h("span", { class: "count" });
  readonly #search: HTMLInputElement;
  readonly #rows = h("ul", {
    onkeydown: (event: KeyboardEvent) => {
      this.#onKey(event, this.#found.indexOf(this.#active ?? ""));
    },
  });
  readonly #hint = h("p", { class: "hint" });
  readonly #list: HTMLElement;
  #users = new Set<string>();
  /** All users but the page's own, sorted. */
  #sorted: string[] = [];
  /** Those whom the search finds. */
  #found: readonly string[] = [];
  /** The rows in the document. */
  #rendered = new Map<string, HTMLElement>();
  /** The row that the Tab key reaches. */
  #active: string | undefined;
  #rowPx = ROW_PX;
  #frame = 0;

  constructor(
    { self, onUser }: {
      /** The user's own name. */
      readonly self: string;
      /** A name was pressed. */
      onUser(user: string, anchor: HTMLElement): void;
    },
  ) {
    this.#self = self;
    this.#onUser = onUser;
    this.#search = h("input", {
      type: "search",
      class: "people-search",
      "aria-label": text("searchPeople"),
      placeholder: text("searchPeople"),
      autocomplete: "off",
      spellcheck: "false",
      dir: "auto",
      oninput: () => this.#onSearch(),
      onkeydown: (event: KeyboardEvent) => this.#onKey(event, -1),
    });
    this.#list = h(
      "div",
      { class: "people-list", tabindex: -1, onscroll: () => this.#schedule() },
      this.#rows,
      this.#hint,
    );
    this.element = h(
      "div",
      {},
      h("div", { class: "aside-head" }, h("h2", {}, text("people"), " ", this.#count)),
      this.#search,
      this.#list,
    );
    new ResizeObserver(() => this.#schedule()).observe(this.#list);
  }

  /** How many users are in the room. */
  get count(): number {
    return this.#users.size;
  }

  set(users: Iterable<string>): void {
    this.#users = new Set(users);
    this.#sorted = [...this.#users].filter((user) => user !== this.#self).sort(compare);
    this.#schedule();
  }

  add(user: string): void {
    if (this.#users.has(user)) return;
    this.#users.add(user);
    if (user !== this.#self) this.#sorted.splice(this.#placeOf(user), 0, user);
    this.#schedule();
  }

  delete(user: string): void {
    if (!this.#users.delete(user)) return;
    const index = this.#sorted.indexOf(user);
    if (index >= 0) this.#sorted.splice(index, 1);
    this.#schedule();
  }

  /** Finds the place of a name among the sorted ones. */
  #placeOf(user: string): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.#sorted[middle], user) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #schedule(): void {
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  #onSearch(): void {
    this.#list.scrollTop = 0;
    this.#active = undefined;
    this.#schedule();
  }

  #render(): void {
    this.#frame = 0;
    this.#count.textContent = formatNumber(this.count);
    const height = this.#list.clientHeight;
    if (height === 0) return;
    const query = fold(this.#search.value.trim());
    const all = this.#users.has(this.#self) ? [this.#self, ...this.#sorted] : this.#sorted;
    const found = query === "" ? all : all.filter((user) => fold(user).includes(query));
    this.#found = found;
    this.#hint.textContent = found.length === 0 && query !== ""
      ? text("nobodyFound")
      : this.count === 1 && all[0] === this.#self
      ? text("alone")
      : "";
    const { scrollTop } = this.#list;
    // There may be fewer rows than were scrolled by.
    const first = Math.min(Math.floor(scrollTop / this.#rowPx), found.length);
    const last = Math.ceil((scrollTop + height) / this.#rowPx);
    this.#renderRows(
      Math.max(0, first - MARGIN_ROWS),
      Math.min(found.length, last + MARGIN_ROWS),
    );
  }

  #renderRows(from: number, to: number): void {
    const hadFocus = this.#rows.contains(document.activeElement);
    const shown = this.#found.slice(from, to);
    const rows = new Map(shown.map((user) => [user, this.#rendered.get(user)]));
    for (const [user, row] of this.#rendered) if (!rows.has(user)) row.remove();
    if (this.#active === undefined || !rows.has(this.#active)) this.#active = shown[0];
    let next = this.#rows.firstElementChild;
    for (const [i, user] of shown.entries()) {
      let row = rows.get(user);
      if (row !== undefined && row === next) next = row.nextElementSibling;
      else {
        row ??= this.#makeRow(user);
        rows.set(user, row);
        this.#rows.insertBefore(row, next);
      }
      row.ariaPosInSet = `${from + i + 1}`;
      row.ariaSetSize = `${this.#found.length}`;
      (row.firstElementChild as HTMLElement).tabIndex = user === this.#active ? 0 : -1;
    }
    this.#rendered = rows as Map<string, HTMLElement>;
    this.#rowPx = this.#rows.firstElementChild?.getBoundingClientRect().height || this.#rowPx;
    // The rows that are not there take their place, so that the scroll bar is right.
    this.#rows.style.setProperty("padding-top", `${from * this.#rowPx}px`);
    this.#rows.style.setProperty("padding-bottom", `${(this.#found.length - to) * this.#rowPx}px`);
    if (hadFocus && !this.#rows.contains(document.activeElement)) this.#list.focus();
  }

  #makeRow(user: string): HTMLElement {
    const isSelf = user === this.#self;
    const button = h(
      "button",
      {
        class: isSelf ? "person person-self" : "person",
        "aria-haspopup": "menu",
        onclick: () => this.#onUser(user, button),
        onfocus: () => this.#active = user,
      },
      renderAvatar(user),
      h("bdi", { class: "person-name" }, user),
      ...isSelf ? [h("span", { class: "hint" }, text("you"))] : [],
    );
    return h("li", {}, button);
  }

  /** Moves the focus from the row of an index to another one. */
  #onKey(event: KeyboardEvent, index: number): void {
    const page = Math.max(1, Math.floor(this.#list.clientHeight / this.#rowPx) - 1);
    const keys: Record<string, number | undefined> = index < 0 ? { ArrowDown: 0 } : {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: Infinity,
    };
    const wanted = keys[event.key];
    if (wanted === undefined || event.altKey || this.#found.length === 0) return;
    event.preventDefault();
    if (wanted < 0 && event.key === "ArrowUp") return this.#search.focus();
    const next = Math.max(0, Math.min(wanted, this.#found.length - 1));
    const top = next * this.#rowPx;
    const lowest = top + this.#rowPx - this.#list.clientHeight;
    this.#list.scrollTop = Math.min(top, Math.max(lowest, this.#list.scrollTop));
    this.#active = this.#found[next];
    this.#render();
    (this.#rendered.get(this.#active)?.firstElementChild as HTMLElement | undefined)
      ?.focus({ preventScroll: true });
  }
}

/** Makes names comparable without regard to case and accents. */
function fold(name: string): string {
  return name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
