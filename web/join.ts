/**
 * The form with which a user joins a first room.
 *
 * @module
 */
import { h } from "./dom.ts";
import { text } from "./texts.ts";

const ADJECTIVES = "brave bright calm clever happy jolly kind lucky mellow quiet sunny swift";
const ANIMALS = "badger beaver dolphin falcon hedgehog heron koala lynx otter panda puffin robin";

/** What the fields of the form begin with. */
export interface JoinValues {
  readonly user: string;
  readonly room: string;
  /** Why the user is not in the room, if that was tried. */
  readonly error?: string;
}

/**
 * Makes the form.
 *
 * @param join joins a room, and resolves with the reason for the user if that was refused
 */
export function makeJoinForm(
  values: JoinValues,
  join: (user: string, room: string) => Promise<string | undefined>,
): HTMLFormElement {
  const user = makeField("join-name", values.user, "nickname");
  const room = makeField("join-room", values.room, "off");
  const error = h("p", { class: "join-error", id: "join-error", role: "alert" });
  const button = h("button", { class: "button" }, text("join"));

  function showError(words: string): void {
    error.textContent = words;
    const isRoom = words === text("roomInvalid") || words.startsWith("the token does not allow");
    const field = isRoom ? room : user;
    for (const each of [user, room]) {
      each.ariaInvalid = `${each === field}`;
      each.setAttribute("aria-describedby", each === field ? error.id : "");
    }
    field.focus();
    field.select();
  }

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (button.disabled) return;
    const name = user.value.trim();
    if (name === "") return showError(text("nameMissing"));
    error.textContent = "";
    button.disabled = true;
    button.textContent = text("joining");
    const refusal = await join(name, room.value.trim());
    button.disabled = false;
    button.textContent = text("join");
    if (refusal !== undefined) showError(refusal);
  }

  const form = h(
    "form",
    { class: "join", novalidate: true, onsubmit: submit },
    h("h1", {}, text("joinTitle")),
    h("p", {}, text("joinLead")),
    h("label", { for: user.id }, text("yourName")),
    user,
    h("label", { for: room.id }, text("room")),
    room,
    error,
    button,
  );
  queueMicrotask(() => {
    if (values.error !== undefined) return showError(values.error);
    user.focus();
    user.select();
  });
  return form;
}

/** Makes a name for a user who has none yet, such as `sunny-otter-42`. */
export function suggestName(): string {
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}-${10 + Math.floor(Math.random() * 90)}`;
}

function pick(words: string): string {
  const list = words.split(" ");
  return list[Math.floor(Math.random() * list.length)];
}

function makeField(id: string, value: string, autocomplete: string): HTMLInputElement {
  return h("input", {
    id,
    value,
    dir: "auto",
    autocomplete,
    autocapitalize: "off",
    spellcheck: "false",
    enterkeyhint: "go",
  });
}
