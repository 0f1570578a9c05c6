/**
 * The dialogs that everyone has, loaded when they are first opened.
 *
 * @module
 */
import { canNotify } from "./attention.ts";
import { makeCheckbox, makeChoice, openDialog } from "./dialog.ts";
import { h } from "./dom.ts";
import { changeSettings, settings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { text } from "./texts.ts";

/** Opens the settings. What is changed holds at once. */
export function openSettings(): void {
  const { theme, density, timeFormat, sound } = settings;
  openDialog(
    text("settings"),
    h(
      "div",
      { class: "dialog-body" },
      makeChoice(
        "theme",
        text("theme"),
        [["auto", text("themeAuto")], ["light", text("themeLight")], ["dark", text("themeDark")]],
        theme,
        (theme) => changeSettings({ theme }),
      ),
      makeChoice(
        "density",
        text("density"),
        [["comfortable", text("comfortable")], ["compact", text("compact")]],
        density,
        (density) => changeSettings({ density }),
      ),
      makeChoice(
        "time-format",
        text("timeFormat"),
        [["auto", text("timeAuto")], ["12", text("time12")], ["24", text("time24")]],
        timeFormat,
        (timeFormat) => changeSettings({ timeFormat }),
      ),
      ...canNotify() ? makeNotificationChoice() : [],
      makeCheckbox(text("sound"), sound, (sound) => changeSettings({ sound })),
      h("p", { class: "hint" }, text("soundHint")),
    ),
  );
}

/** Asks the browser's permission when notifications are switched on. */
function makeNotificationChoice(): HTMLElement[] {
  const hint = h("p", { class: "hint", role: "status" });
  const isBlocked = () => Notification.permission === "denied";
  const choice = makeChoice<Settings["notifications"]>(
    "notifications",
    text("notifications"),
    [["off", text("notifyOff")], ["mentions", text("notifyMentions")], ["all", text("notifyAll")]],
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
  const keys: [string[], string][] = [
    [["Enter"], text("keySend")],
    [["Shift", "Enter"], text("keyNewline")],
    [["Esc"], text("keyEscape")],
    [["Tab"], text("keyTab")],
    [["↑", "↓"], text("keyArrows")],
    [["Alt", "↑", "↓"], text("keyRooms")],
    [["Ctrl", "K"], text("keyRoom")],
    [["?"], text("keyHelp")],
  ];
  const marks: [string, string][] = [
    ["pending", text("markPending")],
    ["failed", text("markFailed")],
    ["mention", text("markMention")],
    ["new", text("markNew")],
  ];
  openDialog(
    text("help"),
    h(
      "div",
      { class: "dialog-body" },
      h("h3", {}, text("keys")),
      h(
        "dl",
        { class: "legend" },
        ...keys.flatMap(([names, meaning]) => [
          h("dt", {}, ...names.flatMap((name) => [h("kbd", {}, name), " "])),
          h("dd", {}, meaning),
        ]),
      ),
      h("h3", {}, text("marks")),
      h(
        "dl",
        { class: "legend" },
        ...marks.flatMap(([mark, meaning]) => [
          h("dt", {}, h("span", { class: `mark mark-${mark}`, "aria-hidden": "true" })),
          h("dd", {}, meaning),
        ]),
      ),
    ),
  );
}
