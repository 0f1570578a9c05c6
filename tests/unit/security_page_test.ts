import { assert, assertEquals } from "@std/assert";
import { SETTINGS } from "../../chat/config/settings.ts";

const page = await Deno.readTextFile(new URL("../../docs/security.md", import.meta.url));

/** The cells of each row of the table of threats. */
const rows = page.split(/^\| --- .*\n/m)[1].split("\n\n")[0].trim().split("\n")
  .map((row) => row.replace(/^\| /, "").replace(/ ?\|$/, "").split(/ ?\| /));

/** Returns what a cell has between backticks. */
function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text);
}

/** Returns the code of all tests. */
async function readTests(folder = new URL("../", import.meta.url)): Promise<string> {
  let code = "";
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) code += await readTests(new URL(`${name}/`, folder));
    else if (name.endsWith("_test.ts")) code += await Deno.readTextFile(new URL(name, folder));
  }
  return code;
}

Deno.test("each threat on the security page names a test that exists", async () => {
  const code = await readTests();
  for (const row of rows) {
    assertEquals(row.length, 6, row.join(" | "));
    const tests = quoted(row[5]);
    assert(tests.length > 0, `no test for ${row[0]}`);
    for (const test of tests) {
      assert(code.includes(`"${test}"`) || code.includes(`\`${test}\``), `no test: ${test}`);
    }
  }
});

Deno.test("each limit of clients has a row on the security page", () => {
  const named = new Set(rows.flatMap(([, , variables]) => quoted(variables)));
  for (const [name, setting] of Object.entries(SETTINGS)) {
    assert(!("isClientLimit" in setting) || named.has(name), `no row for ${name}`);
  }
});

Deno.test("the threats on the security page name settings that exist", () => {
  for (const [threat, , variables] of rows) {
    for (const name of quoted(variables)) assert(name in SETTINGS, `${threat}: ${name}`);
  }
});
