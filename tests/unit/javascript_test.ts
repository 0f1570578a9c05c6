import { SourceMap, type SourceMapping } from "node:module";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { link, minify, toJavaScript } from "../../chat/http/javascript.ts";
import { compactCss } from "../../chat/http/make_page.ts";

Deno.test("types are taken out, and nothing moves", () => {
  const source =
    'import { a, type B } from "./a.ts";\nexport const f = (x: B): B => `${x}\n: B`;\n';
  const expected =
    'import { a,        } from "./a.ts";\nexport const f = (x   )    => `${x}\n: B`;\n';
  assertEquals(toJavaScript(source, "x.ts"), expected);
  assertThrows(() => toJavaScript("enum A { B }", "x.ts"));
});

Deno.test("a minified module does the same, and its map leads to the source", async () => {
  const source = [
    "/** Fails. */",
    "export function fail(reason: string): never {",
    "  const words = `for /* ${reason} */  // good`;",
    "  throw new Error(words);",
    "}",
  ].join("\n");
  const { code, map } = await minify(toJavaScript(source, "fail.ts"), "fail.ts", source);
  assertMatch(code, /^export function fail\(\w\)\{throw new Error\(`for /);
  const { fail } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const { message } = assertThrows(() => fail("x"), Error);
  assertEquals(message, "for /* x */  // good");
  const { sources, sourcesContent } = JSON.parse(map);
  assertEquals([sources, sourcesContent], [["fail.ts"], [source]]);
  const entry = new SourceMap(JSON.parse(map)).findEntry(0, code.indexOf("throw"));
  const { originalSource, originalLine, originalColumn } = entry as SourceMapping;
  assertEquals([originalSource, originalLine, originalColumn], ["fail.ts", 3, 2]);
});

Deno.test("a script, which exports nothing, keeps its names to itself", async () => {
  const source = [
    "globalThis.counts = [];",
    "function count(more: number): void {",
    "  globalThis.counts.push(more);",
    "}",
    "count(1);",
    "count(2);",
    "export {};",
  ].join("\n");
  const { code } = await minify(toJavaScript(source, "count.ts"), "count.ts", source);
  const before = Object.getOwnPropertyNames(globalThis);
  (0, eval)(code);
  const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.includes(name));
  assertEquals(added, ["counts"]);
});

Deno.test("a style sheet loses comments and white space, and no text in quotes", () => {
  const source = [
    "/* Of the page: { } */",
    "a > b:not(:hover, c)::before {",
    '  content: "a  :  /* x */ {";',
    "  margin: calc(1px + 2px) 0;",
    "}",
    "@media (width >= 1px) { }",
  ].join("\n");
  const expected = 'a>b:not(:hover,c)::before{content:"a  :  /* x */ {";margin:calc(1px + 2px) 0}' +
    "@media (width>= 1px){}";
  assertEquals(compactCss(source), expected);
});

Deno.test("linked modules run in the order of their imports, and export the same", async () => {
  const linked = link("client/main.ts", {
    "client/main.ts": [
      'import { log, type Log } from "../log.ts";',
      "import {",
      "  Late,",
      "  late,",
      '} from "./late.ts";',
      'export * from "./late.ts";',
      'const name: string = "main";',
      "export async function* run(): AsyncGenerator<Log> {",
      "  log.push(`${name} ${late(name)} ${new Late().name}`);",
      "  yield* log;",
      "}",
    ].join("\n"),
    "client/late.ts": [
      'import { log } from "../log.ts";',
      'log.push("late");',
      "export function late(of: string): string {",
      "  return `late/${of}`;",
      "}",
      "export class Late {",
      '  name: string = "late";',
      "}",
    ].join("\n"),
    "log.ts": "export type Log = string;\nexport const log: Log[] = [];\n",
  });
  const module = await import(`data:text/javascript,${encodeURIComponent(linked)}`);
  assertEquals(Object.keys(module), ["Late", "late", "run"]);
  assertEquals(module.late("x"), "late/x");
  assertEquals(await Array.fromAsync(module.run()), ["late", "main late/main late"]);
});

Deno.test("what no module uses is left out, but not what the result exports", async () => {
  const linked = link("a.ts", {
    "a.ts": 'import { used } from "./b.ts";\nexport * from "./c.ts";\nexport const a = used();\n',
    "b.ts": [
      "/** Calls `used`, as `unused` does. */",
      "export function unused(): void {",
      '  used("unused");',
      "}",
      "export function used(): number {",
      "  return helper();",
      "}",
      "/** Is not exported by the result. */",
      "export function helper(): number {",
      "  return 1;",
      "}",
    ].join("\n") + "\n",
    "c.ts": "export function open(): number {\n  return 2;\n}\n",
  });
  const { code } = await minify(linked, "a.js");
  assert(!code.includes("unused"), code);
  const module = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  assertEquals([Object.keys(module), module.a, module.open()], [["a", "open"], 1, 2]);
});

Deno.test("modules of other forms are not linked, and the error names them", () => {
  const other = "export const b = 1;\n";
  const cases = {
    'import { b as c } from "./b.ts";': 'a.ts cannot be linked: import { b as c } from "./b.ts";',
    'import { b } from "./b.ts";\nconst b = 2;': "a.ts declares b, as b.ts does",
    'import { c } from "./c.ts";': "c.ts is imported, and is not there",
    'import * as b from "./b.ts";': 'a.ts cannot be linked: import * as b from "./b.ts";',
    'import "./b.ts";': 'a.ts cannot be linked: import "./b.ts";',
    "export default 1;": "a.ts cannot be linked: export default 1;",
    "export let x = 1;": "a.ts cannot be linked: export let x = 1;",
    "const x = 1;\nexport { x };": "a.ts cannot be linked: export { x };",
  };
  for (const [source, message] of Object.entries(cases)) {
    const run = () => link("a.ts", { "a.ts": `${source}\n`, "b.ts": other });
    assertEquals(assertThrows(run, SyntaxError).message, message);
  }
});
