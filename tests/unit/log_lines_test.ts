import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** What a template, or the strings of a call, always have: `"Room {room}: "` and the like. */
const LOGS = /logger\.(?:info|warn|error|fatal)(?:`([^`]+)`|\(\s*((?:"[^"]*"[\s+]*)+),)/g;

/** A text or a number that has a name, because it is long or used elsewhere. */
const NAMED = /^const ([A-Z_]+) =\s+((?:"[^"]*"[\s+]*)+|[\d_]+);/gm;

/** Puts the strings of a sum together. */
function join(strings: string): string {
  return strings.replaceAll(/"[\s+]*"|"|(?<=^\d+)_/g, "");
}

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
  const sources = await Array.fromAsync(sourcesIn(new URL("chat/", ROOT)));
  sources.push(await Deno.readTextFile(new URL("main.ts", ROOT)));
  for (const source of sources) {
    const named = new Map([...source.matchAll(NAMED)].map(([, name, text]) => [name, join(text)]));
    for (const [, template, strings] of source.matchAll(LOGS)) {
      const line = template ?? join(strings);
      lines.push(line.replaceAll(/\$\{([A-Z_]+)\}/g, (all, name) => named.get(name) ?? all));
    }
  }
  assert(lines.length > 20, `${lines.length} lines`);
  const missing = lines.filter((line) =>
    !line.split(/\$?\{[^}]*\}/).every((part) => words.includes(part.trim()))
  );
  assertEquals(missing, []);
});
