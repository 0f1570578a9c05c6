import { h } from "./dom.ts";

/** What can be chosen in a menu. */
export interface MenuItem {
  readonly label: string;
  run(): void;
  /** Whether it takes something away from someone. */
  readonly isDanger?: boolean;
}

/** The space between a menu and its anchor, and the edges of the window. */
const MARGIN_PX = 4;

/**
 * Opens a menu beside an element. The browser closes it at Escape, and at a click elsewhere, and
 * gives the focus back.
 *
 * @param label what the menu is about, for screen readers
 */
export function openMenu(anchor: HTMLElement, label: string, items: readonly MenuItem[]): void {
  const menu = h("div", { class: "menu", role: "menu", popover: "auto", "aria-label": label });
  for (const { label, run, isDanger } of items) {
    const onclick = () => {
      menu.hidePopover();
      run();
    };
    const className = `menu-item${isDanger ? " menu-danger" : ""}`;
    const attributes = { type: "button", class: className, role: "menuitem", tabindex: -1 };
    menu.append(h("button", { ...attributes, onclick }, label));
  }
  menu.addEventListener("keydown", (event) => moveFocus(menu, event));
  const placeAgain = () => place(menu, anchor);
  menu.addEventListener("toggle", (event) => {
    if ((event as ToggleEvent).newState === "open") return;
    removeEventListener("resize", placeAgain);
    anchor.ariaExpanded = "false";
    menu.remove();
  });
  // In a landmark, where screen readers look for what belongs to it.
  (anchor.closest("#main, #rooms, #people") ?? document.body).append(menu);
  menu.showPopover();
  anchor.ariaExpanded = "true";
  placeAgain();
  addEventListener("resize", placeAgain);
  (menu.firstElementChild as HTMLElement).focus();
}

/** Puts the menu below the anchor, or above it if there is more room. */
function place(menu: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const isRtl = getComputedStyle(anchor).direction === "rtl";
  const wantedLeft = isRtl ? at.right - menu.offsetWidth : at.left;
  const maxLeft = innerWidth - menu.offsetWidth - MARGIN_PX;
  const isBelow = at.bottom + menu.offsetHeight + 2 * MARGIN_PX <= innerHeight;
  const top = isBelow ? at.bottom + MARGIN_PX : at.top - menu.offsetHeight - MARGIN_PX;
  menu.style.setProperty("left", `${Math.max(MARGIN_PX, Math.min(wantedLeft, maxLeft))}px`);
  menu.style.setProperty("top", `${Math.max(MARGIN_PX, top)}px`);
}

function moveFocus(menu: HTMLElement, event: KeyboardEvent): void {
  const items = [...menu.children] as HTMLElement[];
  const current = items.indexOf(document.activeElement as HTMLElement);
  const next = {
    ArrowDown: (current + 1) % items.length,
    ArrowUp: (current - 1 + items.length) % items.length,
    Home: 0,
    End: items.length - 1,
  }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (next === undefined) return;
  event.preventDefault();
  items[next].focus();
}
