/**
 * Makes an element.
 *
 * @param attributes `on…` with a function listens for that event; `true` sets an empty attribute
 * (`"true"` for `aria-…`), `false` none (`"false"` for `aria-…`), `undefined` none; `--…` is
 * a property of its style
 * @param children elements, and texts that are shown as they are
 *
 * @example
 * ```ts ignore
 * h("button", { class: "menu-item", onclick: close }, text("close"));
 * ```
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, unknown>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (typeof value === "boolean" && !name.startsWith("aria-")) {
      element.toggleAttribute(name, value);
    } else if (name.startsWith("--")) element.style.setProperty(name, String(value));
    else if (value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Makes an icon of the style sheet: a shape, which screen readers do not see. */
export function makeIcon(name: string): HTMLElement {
  return h("span", { class: `icon icon-${name}` });
}

/**
 * Makes a button that shows only an icon.
 *
 * @param label what it does, for screen readers and as a tooltip
 */
export function makeIconButton(
  icon: string,
  label: string,
  { class: classes = "", ...others }: Readonly<Record<string, unknown>> = {},
): HTMLButtonElement {
  const attributes = { class: `icon-button ${classes}`, "aria-label": label, title: label };
  return h("button", { ...attributes, ...others }, makeIcon(icon));
}

/** Makes a button that looks like a link. */
export function makeLinkButton(label: string, onclick: () => void): HTMLElement {
  return h("button", { class: "link-button", onclick }, label);
}
