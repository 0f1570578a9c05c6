import { stripTypeScriptTypes } from "node:module";
import { assert, assertEquals } from "@std/assert";
import { en, type Texts } from "../../web/texts/en.ts";

const WEB = new URL("../../web/", import.meta.url);
const KEYS = Object.keys(en) as (keyof Texts)[];

/** The names of the values in a text, or in all its plurals. */
function valuesOf(text: unknown): string[] {
  return [...new Set(JSON.stringify(text).match(/\{\w+\}/g))].sort();
}

Deno.test("the page uses each of its texts", async () => {
  const files = [...Deno.readDirSync(WEB)].filter(({ isFile }) => isFile);
  const sources = files.map(({ name }) => Deno.readTextFile(new URL(name, WEB)));
  const code = (await Promise.all(sources)).join();
  assertEquals(KEYS.filter((key) => !code.includes(`"${key}"`)), []);
});

for (const { name } of Deno.readDirSync(new URL("texts", WEB))) {
  const [language] = name.split(".");
  Deno.test(`the texts in ${language} have the values of the English ones`, async () => {
    // Where a server has imported the file as a text, import() would run it with its types.
    const source = await Deno.readTextFile(new URL(`texts/${name}`, WEB));
    const javaScript = encodeURIComponent(stripTypeScriptTypes(source));
    const { [language]: texts } = await import(`data:text/javascript,${javaScript}`);
    const { pluralCategories } = new Intl.PluralRules(language).resolvedOptions();
    for (const key of KEYS) {
      assertEquals(valuesOf(texts[key]), valuesOf(en[key]), key);
      if (typeof texts[key] === "string") continue;
      const unknown = new Set(Object.keys(texts[key])).difference(new Set(pluralCategories));
      assertEquals([...unknown], [], key);
    }
    const loader = await Deno.readTextFile(new URL("texts.ts", WEB));
    assert(loader.includes(`import("./texts/${name}")`) || language === "en");
  });
}
