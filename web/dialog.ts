import { h } from "./dom.ts";
import { text } from "./texts.ts";

/**
 * Opens a modal dialog. Escape, a click beside it and its button close it, and the element that had
 * the focus gets it back.
 */
export function openDialog(title: string, ...content: Node[]): HTMLDialogElement {
  const close = h(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": text("close"),
      title: text("close"),
      onclick: () => dialog.close(),
    },
    h("span", { class: "icon icon-close", "aria-hidden": "true" }),
  );
  const dialog = h(
    "dialog",
    { "aria-label": title, closedby: "any" },
    h("div", { class: "dialog-head" }, h("h2", {}, title), close),
    ...content,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Makes a group of options of which one is chosen. */
export function makeChoice<Value extends string>(
  name: string,
  label: string,
  options: readonly (readonly [value: Value, label: string])[],
  chosen: Value,
  onChange: (value: Value) => void,
): HTMLFieldSetElement {
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", {}, label),
    ...options.map(([value, label]) =>
      h(
        "label",
        {},
        h("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          onchange: () => onChange(value),
        }),
        h("span", {}, label),
      )
    ),
  );
}

/** Makes a box to tick. */
export function makeCheckbox(
  label: string,
  isChecked: boolean,
  onChange: (isChecked: boolean) => void,
): HTMLLabelElement {
  const box = h("input", { type: "checkbox", checked: isChecked });
  box.addEventListener("change", () => onChange(box.checked));
  return h("label", { class: "checkbox" }, box, h("span", {}, label));
}
