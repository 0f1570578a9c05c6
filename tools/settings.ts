/** Writes the table of settings into README.md. A test fails if it is out of date. */
import { describeSettings } from "../chat/config/settings.ts";

/** The file that shows the settings, and where. */
export const README = new URL("../README.md", import.meta.url);
export const PLACE = /(?<=<!-- settings: [^>]*-->\n\n).*?(?=\n\n<!-- end of settings -->)/s;

/** Renders the settings as a table in Markdown. */
export function renderMarkdown(): string {
  const rows = describeSettings()
    .map((
      { name, defaultValue, values, meaning },
    ) => [`\`${name}\``, defaultValue, values, meaning]);
  const table = [["variable", "default", "values", "meaning"], ...rows];
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  table.splice(1, 0, widths.map((width) => "-".repeat(width)));
  return table
    .map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`)
    .join("\n");
}

if (import.meta.main) {
  const before = await Deno.readTextFile(README);
  await Deno.writeTextFile(README, before.replace(PLACE, () => renderMarkdown()));
}
