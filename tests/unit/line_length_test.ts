import { assertEquals } from "@std/assert";
import { findLongLines } from "../../tools/line_length.ts";

Deno.test("findLongLines() finds lines over 100 bytes, comments included", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/chat/scripts`, { recursive: true });
  await Deno.mkdir(`${folder}/vendor`);
  await Deno.writeTextFile(`${folder}/a.ts`, `// ${"é".repeat(48)}\n// ${"é".repeat(49)}\n`);
  await Deno.writeTextFile(`${folder}/chat/scripts/b.lua`, `-- ${"x".repeat(98)}\n`);
  await Deno.writeTextFile(`${folder}/c.md`, "x".repeat(101));
  await Deno.writeTextFile(`${folder}/vendor/d.ts`, "x".repeat(101));
  assertEquals(await findLongLines(folder), [`${folder}/a.ts:2`, `${folder}/chat/scripts/b.lua:1`]);
  await Deno.remove(folder, { recursive: true });
});
