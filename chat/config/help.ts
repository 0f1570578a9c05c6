import { describeSettings } from "./settings.ts";

const NAME_CHARS = 32;
const TEXT_CHARS = 66;

/**
 * Renders the settings as plain text in two columns: names on the left; meanings, values and
 * defaults on the right. No line has more than 98 characters.
 */
export function renderSettings(): string {
  return describeSettings().map(({ name, meaning, values, defaultValue }) => {
    const range = [values && `values: ${values}`, defaultValue && `default: ${defaultValue}`];
    const right = [...wrap(meaning), ...wrap(range.filter(Boolean).join("; "))];
    return name.padEnd(NAME_CHARS) + right.join(`\n${" ".repeat(NAME_CHARS)}`);
  }).join("\n");
}

function wrap(markdown: string): string[] {
  const line = new RegExp(`\\S.{0,${TEXT_CHARS - 1}}(?= |$)`, "g");
  return markdown.replaceAll("`", "").match(line) ?? [];
}
