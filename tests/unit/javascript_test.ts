import { assert, assertEquals, assertThrows } from "@std/assert";
import { link, toJavaScript } from "../../chat/http/javascript.ts";

Deno.test("types, comments and blank lines are taken out, and nothing else", () => {
  const source = [
    "/**",
    " * Of a `module`.",
    " * @module */",
    'import { a, type B } from "./a.ts";',
    'import type { C } from "./c.ts";',
    "",
    "/** A doc comment. */",
    "export interface D {",
    "  readonly d: string;",
    "}",
    "// Of one line.",
    'const url: string = "http://x/*"; // stays',
    "  /* a block",
    "     of two lines */",
    "export const f = (x: string): string => `/* ${x} // */   `;",
  ].join("\n");
  const expected = [
    'import { a, } from "./a.ts";',
    'const url = "http://x/*"; // stays',
    "export const f = (x ) => `/* ${x} // */   `;",
    "",
  ];
  assertEquals(toJavaScript(source, "x.ts"), expected.join("\n"));
});

Deno.test("a module is refused if a line may not be what it looks like", () => {
  const cases = {
    "const a = `x\n// of the text`;": "x.ts: a template has several lines: const a = `x",
    "/* a */ f();": "x.ts: there is code after a comment: /* a */ f();",
    "/*\n*/ f();": "x.ts: there is code after a comment: */ f();",
  };
  for (const [source, message] of Object.entries(cases)) {
    const { message: found } = assertThrows(() => toJavaScript(source, "x.ts"), SyntaxError);
    assertEquals(found, message);
  }
  assertThrows(() => toJavaScript("enum A { B }", "x.ts"));
});

Deno.test("linked modules run in the order of their imports, their names apart", async () => {
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
      'const name = "late";',
      "log.push(name);",
      "export function late(of: string): string {",
      "  return `${name}/${of}`;",
      "}",
      "export class Late {",
      "  name: string = name;",
      "}",
    ].join("\n"),
    "log.ts": "export type Log = string;\nexport const log: Log[] = [];\n",
  });
  const module = await import(`data:text/javascript,${encodeURIComponent(linked)}`);
  assertEquals(Object.keys(module), ["Late", "late", "run"]);
  assertEquals(module.late("x"), "late/x");
  assertEquals(await Array.fromAsync(module.run()), ["late", "main late/main late"]);
});

Deno.test("functions that no module uses are not linked, but those of the result are", async () => {
  const linked = link("a.ts", {
    "a.ts": 'import { used } from "./b.ts";\nexport * from "./c.ts";\nexport const a = used();\n',
    "b.ts": [
      "/** Calls `used`, as `unused` does. */",
      "export function unused(): void {",
      "  used();",
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
  assert(!linked.includes("unused"), linked);
  const module = await import(`data:text/javascript,${encodeURIComponent(linked)}`);
  assertEquals([Object.keys(module), module.a, module.open()], [["a", "open"], 1, 2]);
});

Deno.test("modules of other forms are not linked, and the error names them", () => {
  const other = "export const b = 1;\n";
  const cases = {
    'import { c } from "./b.ts";': "a.ts: b.ts exports no c",
    'import { b as c } from "./b.ts";': "a.ts: b.ts exports no b as c",
    'import { c } from "./c.ts";': "c.ts is imported, and is not there",
    'import * as b from "./b.ts";': 'a.ts cannot be linked: import * as b from "./b.ts";',
    'import "./b.ts";': 'a.ts cannot be linked: import "./b.ts";',
    "export default 1;": "a.ts cannot be linked: export default 1;",
    "export let x = 1;": "a.ts cannot be linked: export let x = 1;",
    "const x = 1;\nexport { x };": "a.ts cannot be linked: export { x };",
    'import { a } from "./a.ts";\nexport const a = 1;': "a.ts: a.ts exports no a",
  };
  for (const [source, message] of Object.entries(cases)) {
    const run = () => link("a.ts", { "a.ts": `${source}\n`, "b.ts": other });
    assertEquals(assertThrows(run, SyntaxError).message, message);
  }
});
