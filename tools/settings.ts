/**
 * Writes the table of settings into README.md and into the documentation of `readConfig`. A test
 * fails if one of them is out of date.
 */
import { renderSettings } from "../chat/config/help.ts";
import { describeSettings } from "../chat/config/settings.ts";

/** A file that shows the settings, where it does so, and what has to stand there. */
export interface Copy {
  readonly file: URL;
  readonly place: RegExp;
  readonly text: string;
}

export const COPIES: readonly Copy[] = [
  {
    file: new URL("../README.md", import.meta.url),
    place: /(?<=<!-- settings: [^>]*-->\n\n).*?(?=\n\n<!-- end of settings -->)/s,
    text: renderMarkdown(),
  },
  {
    file: new URL("../chat/config/config.ts", import.meta.url),
    place: /(?<= \* ```text\n).*?(?=\n \* ```\n)/s,
    text: renderSettings().replaceAll(/^/gm, " * "),
  },
];

function renderMarkdown(): string {
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
  for (const { file, place, text } of COPIES) {
    const before = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, before.replace(place, () => text));
  }
}
