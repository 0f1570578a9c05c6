/**
 * Makes an element.
 *
 * @param attributes `on…` with a function listens for that event; `true` sets an empty attribute
 * (`"true"` for `aria-…`), `false` none (`"false"` for `aria-…`), `undefined` none
 * @param children elements, and texts that are shown as they are
 *
 * @example
 * ```ts ignore
 * h("button", { type: "button", class: "menu-item", onclick: close }, text("close"));
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
    } else if (value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}
