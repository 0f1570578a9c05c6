/**
 * The dialogs that everyone has, loaded when they are first opened.
 *
 * @module
 */
import { canNotify } from "./attention.ts";
import { makeCheckbox, makeChoice, openDialog } from "./overlays.ts";
import { h } from "./dom.ts";
import { changeSettings, settings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { text, type TextKey } from "./texts.ts";

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
    makeCheckbox(text("sound"), sound, (sound) => changeSettings({ sound })),
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
