/**
 * A long list of which only the rows near the view are in the document: the window. What changed is
 * rendered once a frame, so that a hidden tab only collects.
 *
 * While the newest item is in view, the list stays at its end. Otherwise the place where one reads
 * stays, whatever is added, removed or resized: the row there is the anchor, and the view scrolls
 * by as much as the anchor has moved.
 *
 * @module
 */

/** What the items of a list have. */
export interface ListItem {
  /** Its element, while it is in the document. */
  row?: HTMLElement;
}

/** What a list needs, and whom it tells. */
export interface ListHandlers<Item> {
  /** Renders what is above the first item. */
  renderTop(): void;
  /** Returns the row of an item: the one that it has, or another one in its place. */
  renderRow(item: Item, previous: Item | undefined): HTMLElement;
  /** Returns the item to be shown first instead of the end, if there is one. */
  firstNew(): Item | undefined;
  /** The view has moved, or something in it has changed. */
  onMoved(): void;
}

/** An item that stays where it is: how far one of its edges is below the top of the view. */
interface Anchor<Item> {
  readonly item: Item;
  readonly edge: "top" | "bottom";
  readonly offset: number;
}

/** How many rows are added at once at an end of the window. */
const CHUNK = 30;

/** Each end of the window is kept at so many views from the view. */
const NEAR_VIEWS = 1;
const FAR_VIEWS = 3;

/** The window is found in so many steps a frame. */
const MAX_STEPS = 8;

/** As close to the end, the view is at the end. */
const AT_END_PX = 24;

/** The rows of some items in a view that scrolls. */
export class VirtualList<Item extends ListItem> {
  readonly items: Item[] = [];
  /** Whether newer items than the last one are left out, so that its end is not the end. */
  isCut = false;
  isAtEnd = true;
  /** Whether the view is shown. Otherwise nothing is rendered. */
  isShown = false;
  /** The window: the indices of the items that are to be in the document. */
  from = 0;
  to = 0;
  readonly #view: HTMLElement;
  readonly #rows: HTMLElement;
  readonly #handlers: ListHandlers<Item>;
  /** The items that are in the document. */
  #rendered: readonly Item[] = [];
  #frame = 0;
  /** Whether the newest item was in the document after the last rendering. */
  #isEndRendered = true;
  #anchor: Anchor<Item> | undefined;
  #place = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };

  /**
   * @param view what scrolls
   * @param rows the element in it whose children are the rows
   */
  constructor(view: HTMLElement, rows: HTMLElement, handlers: ListHandlers<Item>) {
    this.#view = view;
    this.#rows = rows;
    this.#handlers = handlers;
    view.addEventListener("scroll", () => this.#onScroll());
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(view);
    observer.observe(rows);
  }

  /** Whether the view is at the first item, or near it. */
  get isNearStart(): boolean {
    return this.from === 0 && this.#view.scrollTop < NEAR_VIEWS * this.#view.clientHeight;
  }

  /** Adds items before the one with an index. */
  insert(index: number, added: readonly Item[]): void {
    this.items.splice(index, 0, ...added);
    // The window does not grow: it stays around the same items.
    if (index === 0 || index < this.from) this.from += added.length;
    if (index === 0 || index < this.to) this.to += added.length;
    this.schedule();
  }

  /** Takes items away, and returns them. */
  delete(index: number, count: number): Item[] {
    const move = (end: number) => end > index ? Math.max(index, end - count) : end;
    this.from = move(this.from);
    this.to = move(this.to);
    this.schedule();
    return this.items.splice(index, count);
  }

  /** Renders in the next frame. */
  schedule(): void {
    if (this.isShown) this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  scrollToEnd(): void {
    this.isAtEnd = true;
    // At once, because a scroll event before the next frame would tell another place.
    this.#render();
  }

  /** Lets the top of an item stay where it is, while its height changes. */
  stayAt(item: Item): void {
    this.#stayAt(item, rectOf(item.row!).top - rectOf(this.#view).top);
  }

  focus(): void {
    this.#view.focus({ preventScroll: true });
  }

  #render(): void {
    this.#frame = 0;
    if (!this.isShown || this.#view.clientHeight === 0) return;
    this.#moveWindow();
    this.#handlers.renderTop();
    for (let step = 0;; step++) {
      this.#renderRows();
      this.#restorePlace();
      if (!this.#fitWindow()) break;
      if (step < MAX_STEPS) continue;
      this.schedule();
      break;
    }
    this.#isEndRendered = this.to === this.items.length && !this.isCut;
    if (this.#anchor?.edge === "top") this.isAtEnd = this.#isEndInView(AT_END_PX);
    this.#rememberPlace();
    this.#handlers.onMoved();
  }

  /** Moves the window to the end, if the view is there; to the first new item after an absence. */
  #moveWindow(): void {
    if (!this.isAtEnd) return;
    const { length } = this.items;
    const first = this.#handlers.firstNew();
    const index = first ? this.items.indexOf(first) : -1;
    if (index >= 0) {
      this.from = this.to = index;
      this.#stayAt(first!, 0);
    } else {
      // A window that would grow by too much begins anew.
      if (length - this.to > CHUNK) this.from = length - CHUNK;
      this.to = length;
    }
  }

  #stayAt(item: Item, offset: number): void {
    this.isAtEnd = false;
    this.#anchor = { item, edge: "top", offset };
    this.schedule();
  }

  /** Brings the rows of the window into the document, and takes the others out of it. */
  #renderRows(): void {
    const hadFocus = this.#view.contains(document.activeElement);
    const items = this.items.slice(this.from, this.to);
    const wanted = new Set<Item>(items);
    for (const item of this.#rendered) {
      if (wanted.has(item)) continue;
      item.row?.remove();
      item.row = undefined;
    }
    let next = this.#rows.firstElementChild;
    let previous: Item | undefined = this.items[this.from - 1];
    for (const item of items) {
      const isInPlace = item.row !== undefined && item.row === next;
      const row = this.#handlers.renderRow(item, previous);
      if (isInPlace) next = row.nextElementSibling;
      else this.#rows.insertBefore(row, next);
      previous = item;
    }
    this.#rendered = items;
    if (hadFocus && !this.#view.contains(document.activeElement)) this.focus();
  }

  /** Lets the window grow where it is too short, and shrink where it is too long. */
  #fitWindow(): boolean {
    let { from, to } = this;
    const grow = { from: Math.max(0, from - CHUNK), to: Math.min(this.items.length, to + CHUNK) };
    if (from === to) ({ from, to } = grow);
    else {
      const view = rectOf(this.#view);
      const rect = (index: number) => rectOf(this.items[index].row!);
      const [near, far] = [NEAR_VIEWS * view.height, FAR_VIEWS * view.height];
      const kept = (near + far) / 2;
      const above = view.top - rect(from).top;
      const below = rect(to - 1).bottom - view.bottom;
      if (above < near) from = grow.from;
      else if (above > far) { while (rect(from).bottom < view.top - kept) from++; }
      if (below < near) to = grow.to;
      else if (below > far) { while (rect(to - 1).top > view.bottom + kept) to--; }
    }
    const hasChanged = from !== this.from || to !== this.to;
    this.from = from;
    this.to = to;
    return hasChanged;
  }

  #isEndInView(tolerancePx: number): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#view;
    return this.#isEndRendered && scrollHeight - clientHeight - scrollTop <= tolerancePx;
  }

  /** Scrolls so that the end, or the anchor, is where it was. */
  #restorePlace(): void {
    if (this.isAtEnd) {
      this.#view.scrollTop = this.#view.scrollHeight;
      return;
    }
    const moved = this.#anchorMoved() ?? 0;
    if (Math.abs(moved) >= 0.5) this.#view.scrollTop += moved;
  }

  /** By how many pixels the anchor is below its place; `undefined` if there is no anchor. */
  #anchorMoved(): number | undefined {
    const { item, edge, offset } = this.#anchor ?? {};
    if (!item?.row) return undefined;
    return rectOf(item.row)[edge!] - rectOf(this.#view).top - offset!;
  }

  #rememberPlace(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#view;
    this.#place = { scrollTop, scrollHeight, clientHeight };
    if (this.isAtEnd) this.#anchor = undefined;
    // An anchor that is where it should be is kept: another one would add up rounding errors.
    else if (!(Math.abs(this.#anchorMoved() ?? 1) < 1 && this.#anchor!.offset <= clientHeight)) {
      this.#chooseAnchor();
    }
  }

  /** Chooses the first row in view. Its lower edge does not move when it gets a day or a name. */
  #chooseAnchor(): void {
    const { top } = rectOf(this.#view);
    for (const item of this.#rendered) {
      const offset = rectOf(item.row!).bottom - top;
      if (offset <= 0) continue;
      this.#anchor = { item, edge: "bottom", offset };
      return;
    }
    this.#anchor = undefined;
  }

  #onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#view;
    if (clientHeight === 0) return;
    // Sizes have changed before the user scrolled.
    const { scrollTop: before, ...sizes } = this.#place;
    if (scrollHeight !== sizes.scrollHeight || clientHeight !== sizes.clientHeight) {
      return this.#onResize();
    }
    // Even the first pixel of a movement upwards leaves the end.
    this.isAtEnd = this.#isEndInView(scrollTop < before ? 1 : AT_END_PX);
    this.#anchor = undefined;
    this.#rememberPlace();
    this.#handlers.onMoved();
    this.schedule();
  }

  #onResize(): void {
    if (!this.isShown || this.#view.clientHeight === 0) return;
    this.#restorePlace();
    this.#rememberPlace();
    this.schedule();
  }
}

/** Returns where an element is in the window of the browser. */
export function rectOf(element: Element): DOMRect {
  return element.getBoundingClientRect();
}
