import { assert, assertEquals } from "@std/assert";
import { renderSettings } from "../../chat/config/help.ts";
import { SETTINGS } from "../../chat/config/settings.ts";
import { PLACE, README, renderMarkdown } from "../../tools/settings.ts";

Deno.test("README.md shows the settings as they are; if not, run: deno task settings", async () => {
  const [shown] = PLACE.exec(await Deno.readTextFile(README)) ?? [];
  assertEquals(shown, renderMarkdown());
});

Deno.test("the server reads no variable that is not in the table of settings", async () => {
  for (const file of ["auth_settings.ts", "config.ts", "redis_settings.ts"]) {
    const code = await Deno.readTextFile(new URL(`../../chat/config/${file}`, import.meta.url));
    for (const [, name] of code.matchAll(/\benv\.([A-Z_]+)/g)) assert(name in SETTINGS, name);
  }
});

Deno.test("renderSettings() lists each setting in two columns of at most 100 characters", () => {
  const lines = renderSettings().split("\n");
  const names = lines.map((line) => line.slice(0, 32).trim()).filter((name) => name !== "");
  assertEquals(names, Object.keys(SETTINGS));
  for (const line of lines) assert(line.length <= 100 && /^.{30} {2}\S/.test(line), line);
  assert(lines.includes(`${" ".repeat(32)}values: 0 to 65535; default: 8080`), lines.join("\n"));
});
