/**
 * The start of the page: from the address to the form to join, or to the rooms that were open.
 *
 * @module
 */
import { readAddress, takeToken, tokenOfAddress, userOfToken } from "./address.ts";
import { load } from "./attention.ts";
import type { Conversation } from "./conversation.ts";
import { makeJoinForm, suggestName } from "./join.ts";
import { readOpenRooms, Rooms } from "./rooms.ts";
import { browser } from "./settings.ts";
import { describeError } from "./state_line.ts";
import { isInOtherTab } from "./tabs.ts";
import { text, translate } from "./texts.ts";

const NAME_KEY = "name";

const rooms = new Rooms(showForm);

translate();
document.getElementById("loading")?.remove();
start();

addEventListener("popstate", showAddress);
for (const event of ["online", "offline", "pageshow", "focus"]) addEventListener(event, wake);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return wake();
  for (const conversation of rooms.conversations) conversation.onHidden();
});
addEventListener("keydown", onKey);
registerServiceWorker();

function start(): void {
  const isInvited = takeToken();
  const { room, user } = readAddress();
  const invited = user ?? userOfToken();
  const open = isInvited && invited !== undefined
    ? readOpenRooms().map(({ room }) => ({ room, user: invited }))
    : readOpenRooms();
  for (const { room, user } of open) rooms.join(room, user);
  const known = open[0]?.user ?? (isInvited ? invited : undefined);
  if (known === undefined) showForm(room, invited ?? browser.get(NAME_KEY) ?? suggestName());
  else showRoom(room, known);
}

/** Shows the room of the address, after the user has gone back or forward, or opened a link. */
function showAddress(): void {
  // The link of an invitation, in a tab that is here already.
  if (tokenOfAddress()) return location.reload();
  const { room } = readAddress();
  const [some] = rooms.conversations;
  if (some) showRoom(room, some.user);
  // The link that skips to the form keeps what is in it.
  else if (!location.hash) showForm(room, browser.get(NAME_KEY) ?? suggestName());
}

/** Shows a room, and joins it first if the user is not in it. */
function showRoom(room: string, user: string): void {
  try {
    rooms.show(rooms.join(room, user), "replace");
  } catch (error) {
    showForm(room, user, wordsOf(error));
  }
}

function showForm(room: string, user: string, error?: string): void {
  rooms.showInstead(makeJoinForm({ room, user, error }, join));
}

/** Joins a room from the form. Resolves with words for the user if that is refused. */
async function join(user: string, room: string): Promise<string | undefined> {
  let conversation: Conversation;
  try {
    conversation = rooms.join(room, user);
  } catch (error) {
    return wordsOf(error);
  }
  const error = await conversation.joined();
  const isTaken = error?.code === "name_taken";
  if (error && !(isTaken && await isInOtherTab(room, conversation.user))) {
    rooms.remove(conversation);
    return isTaken ? text("nameTaken") : describeError(error, user);
  }
  browser.set(NAME_KEY, conversation.user);
  rooms.show(conversation, "replace");
}

/**
 * Says why the client refuses names, which it checks as the server does; or what an old browser
 * lacks.
 */
function wordsOf(error: unknown): string {
  const { message } = error as Error;
  if (/^the room\b/.test(message)) return text("roomInvalid");
  if (!/^the user\b/.test(message)) return message;
  return text(/\bat most\b/.test(message) ? "nameTooLong" : "nameInvalid");
}

function wake(): void {
  for (const conversation of rooms.conversations) conversation.wake();
}

function onKey(event: KeyboardEvent): void {
  const { key, altKey, ctrlKey, metaKey, target } = event;
  if (event.defaultPrevented || document.querySelector("dialog[open], :popover-open")) return;
  const isField = (target as Element).matches?.("input, textarea, select, [contenteditable]");
  if (altKey && !ctrlKey && !metaKey && (key === "ArrowDown" || key === "ArrowUp")) {
    rooms.showNext(key === "ArrowDown" ? 1 : -1);
  } else if ((ctrlKey || metaKey) && !altKey && key === "k") {
    rooms.focusJoinField();
  } else if (key === "?" && !isField) {
    load(import("./overlays.ts")).then((overlays) => overlays?.openHelp());
  } else if (/^\S$/u.test(key) && !isField && !altKey && !ctrlKey && !metaKey) {
    // The box gets what is typed.
    return rooms.focus();
  } else if (key !== "Escape" || !rooms.closeDrawer()) return;
  event.preventDefault();
}

/** Lets the page open without a network, where the browser has a secure context. */
function registerServiceWorker(): void {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  // The server allows this policy, which gives the address of no other script.
  const policy = trustedTypes?.createPolicy("service-worker", { createScriptURL: () => "/sw.js" });
  // Without a service worker, the page works all the same while there is a network.
  navigator.serviceWorker?.register(policy?.createScriptURL("") ?? "/sw.js").catch(() => {});
}

/** What TypeScript does not know yet: the scripts that a page may name in a string. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}
