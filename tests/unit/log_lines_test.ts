import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** What a template, or the strings of a call, always have: `"Room {room}: "` and the like. */
const LOGS = /logger\.(?:info|warn|error|fatal)(?:`([^`]+)`|\(\s*((?:"[^"]*"[\s+]*)+),)/g;

async function* sourcesIn(folder: URL): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* sourcesIn(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield await Deno.readTextFile(new URL(name, folder));
  }
}

Deno.test("the pages for operators have every line of the log", async () => {
  const pages = await Promise.all(
    ["README.md", "docs/operations.md"].map((name) => Deno.readTextFile(new URL(name, ROOT))),
  );
  const words = pages.join("\n").replaceAll(/\s+/g, " ");
  const lines: string[] = [];
  for await (const source of sourcesIn(new URL("chat/", ROOT))) {
    for (const [, template, strings] of source.matchAll(LOGS)) {
      lines.push(template ?? strings.replaceAll(/"[\s+]*"|"/g, ""));
    }
  }
  assert(lines.length > 20, `${lines.length} lines`);
  const missing = lines.filter((line) =>
    !line.split(/\$?\{[^}]*\}/).every((part) => words.includes(part.trim()))
  );
  assertEquals(missing, []);
});
