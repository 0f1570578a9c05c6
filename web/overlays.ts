/**
 * What opens over the page: menus, dialogs, and the two dialogs that everyone has. It is loaded
 * when the first one opens.
 *
 * @module
 */
import { canNotify, playTone } from "./attention.ts";
import { h, makeIconButton } from "./dom.ts";
import { changeSettings, settings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { text, type TextKey } from "./texts.ts";

/**
 * Opens a modal dialog. Escape, a click beside it and its button close it, and the element that had
 * the focus gets it back.
 */
export function openDialog(title: string, ...content: Node[]): HTMLDialogElement {
  const close = makeIconButton("close", text("close"), { onclick: () => dialog.close() });
  const dialog = h(
    "dialog",
    { "aria-label": title, closedby: "any", onclose: () => dialog.remove() },
    h("div", { class: "dialog-head" }, h("h2", {}, title), close),
    ...content,
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Makes a group of options of which one is chosen.
 *
 * @param name names the group, and its text
 */
export function makeChoice<Value extends string>(
  name: TextKey,
  options: readonly (readonly [value: Value, label: TextKey])[],
  chosen: Value,
  onChange: (value: Value) => void,
): HTMLFieldSetElement {
  const labels = options.map(([value, label]) => {
    const onchange = () => onChange(value);
    const attributes = { type: "radio", name, value, checked: value === chosen, onchange };
    return h("label", {}, h("input", attributes), text(label));
  });
  return h("fieldset", {}, h("legend", {}, text(name)), ...labels);
}

/** Makes a box to tick. */
export function makeCheckbox(
  label: string,
  isChecked: boolean,
  onChange: (isChecked: boolean) => void,
): HTMLLabelElement {
  const onchange = () => onChange(box.checked);
  const box = h("input", { type: "checkbox", checked: isChecked, onchange });
  return h("label", {}, box, label);
}

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
  // Now, and after the log has scrolled, which observes its size too.
  const observer = new ResizeObserver(() => place(menu, anchor));
  const menu = h("div", {
    class: "menu",
    role: "menu",
    popover: "auto",
    "aria-label": label,
    onkeydown: (event: KeyboardEvent) => moveFocus(menu, event),
    ontoggle: ({ newState }: ToggleEvent) => {
      if (newState === "open") return;
      observer.disconnect();
      anchor.ariaExpanded = "false";
      menu.remove();
    },
  });
  for (const { label, run, isDanger } of items) {
    const onclick = () => {
      menu.hidePopover();
      run();
    };
    const className = `menu-item${isDanger ? " menu-danger" : ""}`;
    menu.append(h("button", { class: className, role: "menuitem", tabindex: -1, onclick }, label));
  }
  // In a landmark, where screen readers look for what belongs to it.
  (anchor.closest("#main, #rooms, #people") ?? document.body).append(menu);
  menu.showPopover();
  anchor.ariaExpanded = "true";
  observer.observe(document.body);
  (menu.firstElementChild as HTMLElement).focus();
}

/** Puts the menu below the anchor, or above it if there is more room. */
function place(menu: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const maxLeft = innerWidth - menu.offsetWidth - MARGIN_PX;
  const isBelow = at.bottom + menu.offsetHeight + 2 * MARGIN_PX <= innerHeight;
  const top = isBelow ? at.bottom + MARGIN_PX : at.top - menu.offsetHeight - MARGIN_PX;
  menu.style.setProperty("left", `${Math.max(MARGIN_PX, Math.min(at.left, maxLeft))}px`);
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

/** Opens the settings. What is changed holds at once. */
export function openSettings(): void {
  const { theme, density, timeFormat, sound } = settings;
  openDialog(
    text("settings"),
    makeChoice(
      "theme",
      [["auto", "automatic"], ["light", "themeLight"], ["dark", "themeDark"]],
      theme,
      (theme) => changeSettings({ theme }),
    ),
    makeChoice(
      "density",
      [["comfortable", "comfortable"], ["compact", "compact"]],
      density,
      (density) => changeSettings({ density }),
    ),
    makeChoice(
      "timeFormat",
      [["auto", "automatic"], ["12", "time12"], ["24", "time24"]],
      timeFormat,
      (timeFormat) => changeSettings({ timeFormat }),
    ),
    ...canNotify() ? makeNotificationChoice() : [],
    makeCheckbox(text("sound"), sound, (sound) => {
      changeSettings({ sound });
      // So that the user hears what was switched on; and browsers ask for a click before any sound.
      if (sound) playTone();
    }),
    h("p", { class: "hint" }, text("soundHint")),
  );
}

/** Asks the browser's permission when notifications are switched on. */
function makeNotificationChoice(): HTMLElement[] {
  const hint = h("p", { class: "hint", role: "status" });
  const isBlocked = () => Notification.permission === "denied";
  const choice = makeChoice<Settings["notifications"]>(
    "notifications",
    [["off", "notifyOff"], ["mentions", "notifyMentions"], ["all", "notifyAll"]],
    Notification.permission === "granted" ? settings.notifications : "off",
    async (notifications) => {
      changeSettings({ notifications });
      if (notifications !== "off" && Notification.permission === "default") {
        await Notification.requestPermission();
      }
      showPermission();
    },
  );
  function showPermission(): void {
    hint.textContent = isBlocked() ? text("notificationsBlocked") : "";
    choice.disabled = isBlocked();
    if (Notification.permission === "granted") return;
    choice.querySelector<HTMLInputElement>("[value=off]")!.checked = true;
    changeSettings({ notifications: "off" });
  }
  if (isBlocked()) showPermission();
  return [choice, hint];
}

/** Opens the help: the keys, and what the marks mean. */
export function openHelp(): void {
  const keys: [string, TextKey][] = [
    ["Enter", "send"],
    ["Shift Enter", "keyNewline"],
    ["Esc", "keyEscape"],
    ["Tab", "keyTab"],
    ["↑ ↓", "keyArrows"],
    ["Alt ↑ ↓", "keyRooms"],
    ["Ctrl K", "joinRoom"],
    ["?", "keyHelp"],
  ];
  const marks: [string, TextKey][] = [
    ["pending", "markPending"],
    ["failed", "markFailed"],
    ["mention", "markMention"],
    ["new", "markNew"],
  ];
  openDialog(
    text("help"),
    h("h3", {}, text("keys")),
    makeLegend(keys, (names) => names.split(" ").flatMap((name) => [h("kbd", {}, name), " "])),
    h("h3", {}, text("marks")),
    makeLegend(marks, (mark) => [h("span", { class: `mark mark-${mark}` })]),
  );
}

/** Makes a list of signs and their meanings. */
function makeLegend(
  meanings: readonly [sign: string, meaning: TextKey][],
  render: (sign: string) => (Node | string)[],
): HTMLElement {
  const rows = meanings.flatMap(([sign, meaning]) => [
    h("dt", {}, ...render(sign)),
    h("dd", {}, text(meaning)),
  ]);
  return h("dl", {}, ...rows);
}
