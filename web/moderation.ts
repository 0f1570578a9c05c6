/**
 * What can be done about a user or a message, loaded when a menu is first opened. All of it goes
 * over HTTP, and a status line tells the result.
 *
 * @module
 */
import { tell } from "./attention.ts";
import { h } from "./dom.ts";
import { makeCheckbox, makeChoice, openDialog, openMenu } from "./overlays.ts";
import type { MenuItem } from "./overlays.ts";
import { formatMoment, text, type TextKey } from "./texts.ts";

/** Where a menu is opened, and by whom. */
export interface MenuContext {
  readonly room: string;
  /** The name of the user who opens it. */
  readonly self: string;
  readonly canModerate: boolean;
  token(): string | undefined;
  /** Mentions the user in the message that is being written. */
  mention(): void;
}

const HOUR_SECONDS = 3_600;

/** The server's longest ban: ten years. */
const FOR_GOOD_SECONDS = 315_360_000;

/** Opens the menu of a user. */
export function openUserMenu(user: string, anchor: HTMLElement, context: MenuContext): void {
  const items: MenuItem[] = [{ label: text("mention"), run: context.mention }];
  if (context.canModerate && user !== context.self) items.push(...restrict(user, context));
  openMenu(anchor, text("menuOf", { user }), items);
}

function restrict(user: string, context: MenuContext): MenuItem[] {
  const name = encodeURIComponent(user);
  const mute = (seconds: number) => () =>
    change(context, "PUT", `mutes/${name}`, "didMute", user, { seconds });
  return [
    { label: text("mute10"), run: mute(600) },
    { label: text("mute60"), run: mute(HOUR_SECONDS) },
    {
      label: text("unmute"),
      run: () => change(context, "DELETE", `mutes/${name}`, "didUnmute", user),
    },
    { label: text("restrictions"), run: () => openRestrictions(context) },
    {
      label: text("kick"),
      isDanger: true,
      run: () => change(context, "DELETE", `users/${name}`, "didKick", user),
    },
    { label: text("ban"), isDanger: true, run: () => openBan(user, context) },
  ];
}

/** Opens the menu of a message, for moderators and its sender. */
export function openMessageMenu(
  { id, user }: { readonly id: string; readonly user: string },
  anchor: HTMLElement,
  context: MenuContext,
): void {
  const run = () =>
    confirm(
      text("removeMessage"),
      text("remove"),
      [h("p", {}, text("removeConfirm"))],
      () => change(context, "DELETE", `messages/${id}`, "didRemove", user),
    );
  openMenu(anchor, text("messageMenu"), [{ label: text("removeMessage"), isDanger: true, run }]);
}

function openBan(user: string, context: MenuContext): void {
  let seconds = HOUR_SECONDS;
  let address = false;
  confirm(
    text("banTitle", { user }),
    text("ban"),
    [
      makeChoice(
        "banFor",
        [
          [`${HOUR_SECONDS}`, "hour"],
          [`${24 * HOUR_SECONDS}`, "day"],
          [`${FOR_GOOD_SECONDS}`, "forGood"],
        ],
        `${seconds}`,
        (value) => seconds = Number(value),
      ),
      makeCheckbox(text("banAddress"), address, (isChecked) => address = isChecked),
    ],
    () => {
      const path = `bans/${encodeURIComponent(user)}`;
      return change(context, "PUT", path, "didBan", user, { seconds, address });
    },
  );
}

/** Asks before something is done that cannot simply be undone. */
function confirm(title: string, action: string, content: Node[], run: () => void): void {
  const close = () => dialog.close();
  const onclick = () => {
    close();
    run();
  };
  const dialog = openDialog(
    title,
    ...content,
    h(
      "div",
      { class: "dialog-foot" },
      h("button", { class: "button button-quiet", onclick: close }, text("cancel")),
      h("button", { class: "button button-danger", onclick }, action),
    ),
  );
}

interface Restriction {
  readonly user: string;
  readonly by: string;
  readonly until: number;
}

/** Opens the lists of the banned and the muted, where that can be lifted. */
async function openRestrictions(context: MenuContext): Promise<void> {
  try {
    const lists = await Promise.all(["bans", "mutes"].map(async (kind) => {
      const response = await request(context, "GET", kind);
      const list: Restriction[] = (await response.json())[kind];
      return [kind as "bans" | "mutes", list] as const;
    }));
    const content = lists.filter(([, list]) => list.length > 0).flatMap(([kind, list]) => {
      const rows = list.map((restriction) => makeRow(context, kind, restriction));
      return [h("h3", {}, text(kind)), h("ul", { class: "restrictions" }, ...rows)];
    });
    if (content.length === 0) content.push(h("p", {}, text("nobodyRestricted")));
    openDialog(text("restrictions"), ...content);
  } catch (error) {
    tell(refusalOf(error));
  }
}

function makeRow(
  context: MenuContext,
  kind: "bans" | "mutes",
  { user, by, until }: Restriction,
): HTMLLIElement {
  const isForGood = until - Date.now() > FOR_GOOD_SECONDS / 2 * 1000;
  const term = isForGood
    ? text("restrictedForGood", { by })
    : text("restrictedUntil", { by, time: formatMoment(until) });
  const status = h("span", { class: "hint", role: "status" }, term);
  const onclick = async () => {
    lift.disabled = true;
    const path = `${kind}/${encodeURIComponent(user)}`;
    const done = kind === "bans" ? "didUnban" : "didUnmute";
    status.textContent = await attempt(context, "DELETE", path, done, user);
  };
  const lift = h("button", { class: "button button-quiet", onclick }, text("lift"));
  return h("li", {}, h("bdi", {}, user), status, lift);
}

/** Does something, and tells the result. */
async function change(...parameters: Parameters<typeof attempt>): Promise<void> {
  tell(await attempt(...parameters));
}

/** Does something, and returns a line with the result. */
async function attempt(
  context: MenuContext,
  method: string,
  path: string,
  done: TextKey,
  user: string,
  body?: unknown,
): Promise<string> {
  try {
    await request(context, method, path, body);
    return text(done, { user });
  } catch (error) {
    return refusalOf(error);
  }
}

function refusalOf(error: unknown): string {
  const reason = error instanceof Refusal ? error.message : text("unreachable");
  return text("refused", { reason });
}

/** The server refuses a request, and says why. */
class Refusal extends Error {}

async function request(
  { room, token }: MenuContext,
  method: string,
  path: string,
  body?: unknown,
): Promise<Response> {
  const bearer = token();
  const response = await fetch(`/rooms/${encodeURIComponent(room)}/${path}`, {
    method,
    headers: {
      ...body ? { "content-type": "application/json" } : {},
      ...bearer ? { authorization: `Bearer ${bearer}` } : {},
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Refusal((await response.text()).trim());
  return response;
}
