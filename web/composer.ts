import { h, makeIconButton } from "./dom.ts";
import { tab } from "./settings.ts";
import { text } from "./texts.ts";

/** The most bytes that a UTF-16 code unit has in JSON: that of a control character, `\u0001`. */
const MAX_BYTES_PER_UNIT = 6;

/** On a phone, Enter makes a new line, as in all of its programs. */
export const isTouchOnly = matchMedia("(hover: none) and (pointer: coarse)");

/** What happens in a composer. */
export interface ComposerHandlers {
  onSend(text: string): void;
  /** The user types; called for each change. */
  onTyping(): void;
}

/** The box in which a user writes to one room. A draft survives a reload. */
export class Composer {
  readonly element: HTMLFormElement;
  readonly #handlers: ComposerHandlers;
  readonly #draftKey: string;
  readonly #placeholder: string;
  readonly #box: HTMLTextAreaElement;
  readonly #send: HTMLButtonElement;
  readonly #hint: HTMLElement;
  #maxBytes = Infinity;

  constructor(handlers: ComposerHandlers, room: string) {
    this.#handlers = handlers;
    this.#draftKey = `draft:${room}`;
    this.#placeholder = text("messageTo", { room });
    const hintId = `composer-hint-${room}`;
    this.#hint = h("p", { id: hintId, class: "composer-hint", role: "status" });
    this.#box = h("textarea", {
      class: "composer-box",
      rows: 1,
      dir: "auto",
      enterkeyhint: isTouchOnly.matches ? "enter" : "send",
      placeholder: this.#placeholder,
      "aria-label": this.#placeholder,
      "aria-describedby": hintId,
      oninput: (event: Event) => this.#onInput(event.isTrusted),
      onkeydown: (event: KeyboardEvent) => this.#onKey(event),
    });
    this.#send = makeIconButton("send", text("send"), {
      class: "composer-send",
      // A click on it must not close the on-screen keyboard.
      onpointerdown: (event: Event) => event.preventDefault(),
    });
    const onsubmit = (event: Event) => {
      event.preventDefault();
      this.#submit();
    };
    this.element = h("form", { class: "composer", onsubmit }, this.#box, this.#send, this.#hint);
    this.#box.value = tab.get(this.#draftKey) ?? "";
    // Only what is in the document has a height.
    new ResizeObserver(() => this.#fit()).observe(this.element);
  }

  /** Says whether the user may write here. While the client reconnects, it is `ready`. */
  setState(state: "ready" | "listen-only" | "closed"): void {
    this.#box.disabled = this.#send.disabled = state !== "ready";
    this.#box.placeholder = state === "listen-only" ? text("listenOnly") : this.#placeholder;
  }

  /** Sets the most bytes of a text, as JSON without the quotes, in UTF-8. */
  setLimit(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#check();
  }

  /** Puts a text where the cursor is. */
  insert(inserted: string): void {
    const { selectionStart: start, selectionEnd: end, value } = this.#box;
    const gap = /\S$/.test(value.slice(0, start)) ? " " : "";
    this.#box.setRangeText(gap + inserted, start, end, "end");
    this.#onInput(false);
    this.focus();
  }

  focus(): void {
    this.#box.focus();
  }

  #onInput(isByUser: boolean): void {
    const { value } = this.#box;
    tab.set(this.#draftKey, value || undefined);
    this.#fit();
    this.#check();
    if (isByUser && value !== "") this.#handlers.onTyping();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey) return;
    // This Enter ends the composition of an input method. Safari tells it by the code alone.
    if (event.isComposing || event.keyCode === 229) return;
    if (isTouchOnly.matches && !event.ctrlKey) return;
    event.preventDefault();
    this.#submit();
  }

  #submit(): void {
    // Blank lines around the text are not meant; spaces before its first line may be.
    const trimmed = this.#box.value.replace(/^\s*\n/, "").trimEnd();
    if (trimmed === "" || !this.#check()) return;
    this.#box.value = "";
    this.#onInput(false);
    this.focus();
    this.#handlers.onSend(trimmed);
  }

  /** Tells whether the text is short enough, and shows a hint if it is not. */
  #check(): boolean {
    const { value } = this.#box;
    let excess = 0;
    if (value.length * MAX_BYTES_PER_UNIT > this.#maxBytes) {
      const bytes = new TextEncoder().encode(JSON.stringify(value)).length - 2;
      excess = Math.ceil((bytes - this.#maxBytes) * value.length / bytes);
    }
    const hint = excess > 0 ? text("tooLong", { count: excess }) : "";
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint;
    this.#box.ariaInvalid = `${excess > 0}`;
    return excess <= 0;
  }

  /** Makes the box as high as its text where the style sheet cannot. */
  #fit(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.#box.style.setProperty("height", "auto");
    this.#box.style.setProperty("height", `${this.#box.scrollHeight}px`);
  }
}
