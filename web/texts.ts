import { en } from "./texts/en.ts";
import type { Texts } from "./texts/en.ts";

/** The name of a text. */
export type TextKey = keyof typeof en;

/** Every other language: how to load its texts. To add one, add a file and a line here. */
const LANGUAGES: Readonly<Record<string, () => Promise<Texts>>> = {
  de: () => import("./texts/de.ts").then(({ de }) => de),
};

const [language, texts] = await load();

/** The language of the page: the first one of the browser's that it has. */
export { language };
document.documentElement.lang = language;

async function load(): Promise<[string, Texts]> {
  const known = navigator.languages.map((tag) => tag.split("-")[0])
    .find((name) => name === "en" || Object.hasOwn(LANGUAGES, name));
  try {
    if (known && known !== "en") return [known, await LANGUAGES[known]()];
  } catch {
    // English is better than no page.
  }
  return ["en", en];
}

const plurals = new Intl.PluralRules(language);

/**
 * Returns a text of the page.
 *
 * @param values what stands for `{name}`; `count` chooses the plural
 */
export function text(key: TextKey, values: Readonly<Record<string, string | number>> = {}): string {
  const found = texts[key];
  const plural = () => plurals.select(Number(values.count));
  const template = typeof found === "string" ? found : found[plural()] ?? found.other;
  return template.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? formatNumber(value) : value ?? "";
  });
}

/** Sets the texts (`data-text`) and labels (`data-label`) of elements that the page begins with. */
export function translate(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-text]")) {
    element.textContent = text(element.dataset.text as TextKey);
  }
  for (const element of document.querySelectorAll<HTMLElement>("[data-label]")) {
    element.ariaLabel = text(element.dataset.label as TextKey);
  }
}

// The browser's own variant of the language, such as en-GB, has the dates and times that its user
// is used to.
const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
const numbers = new Intl.NumberFormat(locale);
const dayThisYear = new Intl.DateTimeFormat(locale, {
  weekday: "long",
  day: "numeric",
  month: "long",
});
const day = new Intl.DateTimeFormat(locale, { dateStyle: "long" });
const lists = new Intl.ListFormat(locale);
let time: Intl.DateTimeFormat;
let moment: Intl.DateTimeFormat;

/**
 * Chooses how times are shown from now on: as usual in the language, or with 12 or 24 hours. The
 * settings do that at the start.
 */
export function setTimeFormat(format: "auto" | "12" | "24"): void {
  const hourCycle = ({ auto: undefined, 12: "h12", 24: "h23" } as const)[format];
  time = new Intl.DateTimeFormat(locale, { timeStyle: "short", hourCycle });
  moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", hourCycle });
}

/** Formats the time of a message: "14:05". */
export function formatTime(ms: number): string {
  return time.format(ms);
}

/** Formats a day with its time. */
export function formatMoment(ms: number): string {
  return moment.format(ms);
}

/** Formats a day: "Today", "Yesterday", "Monday, 3 March", or with its year. */
export function formatDay(ms: number): string {
  const date = new Date(ms);
  const now = new Date();
  // Dates and not hours, because not every day has 24 of them.
  const start = (daysAgo: number) =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo).getTime();
  if (ms >= start(-1)) return day.format(date);
  if (ms >= start(0)) return text("today");
  if (ms >= start(1)) return text("yesterday");
  return (date.getFullYear() === now.getFullYear() ? dayThisYear : day).format(date);
}

/** Formats a whole number: "5,000". */
export function formatNumber(number: number): string {
  return numbers.format(number);
}

/** Lists names: "anna, ben and 3 others". */
export function listNames(names: readonly string[], more = 0): string {
  return lists.format(more > 0 ? [...names, text("others", { count: more })] : names);
}
