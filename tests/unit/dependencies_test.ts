import { assertEquals } from "@std/assert";
import { findViolations, readImports } from "../../tools/dependencies.ts";

function violations(imports: Record<string, string[]>): string[] {
  return findViolations(new Map(Object.entries(imports)));
}

Deno.test("the imports of this project break no rule", async () => {
  assertEquals(findViolations(await readImports()), []);
});

Deno.test("a module may import from its own layer and from those below", () => {
  assertEquals(
    violations({
      "main.ts": ["chat/mod.ts", "chat/config/help.ts", "deno.json"],
      "chat/mod.ts": ["chat/workers/a.ts", "chat/store/redis/a.ts", "chat/store/memory/a.ts"],
      "chat/workers/a.ts": ["chat/instance.ts", "chat/workers/b.ts"],
      "chat/instance.ts": ["chat/http/a.ts", "chat/store/redis/a.ts", "chat/auth/a.ts"],
      "chat/session/a.ts": ["chat/rooms/a.ts", "chat/protocol/a.ts", "npm:valibot@1.5.0"],
      "chat/store/redis/a.ts": ["chat/store/a.ts", "chat/protocol/a.ts", "chat/config/a.ts"],
      "chat/store/redis/connections.ts": ["npm:ioredis@6.0.0"],
      "chat/client/a.ts": ["chat/protocol/a.ts"],
      "chat/http/page_files.ts": ["web/a.ts"],
      "web/a.ts": ["chat/client/client.ts", "chat/protocol/a.ts"],
    }),
    [],
  );
});

for (
  const [from, to, fromPart, toPart] of [
    ["chat/rooms/a.ts", "chat/session/b.ts", "chat/rooms/", "chat/session/"],
    ["chat/protocol/a.ts", "chat/store/b.ts", "chat/protocol/", "chat/store/"],
    ["chat/workers/a.ts", "chat/mod.ts", "chat/workers/", "chat/mod.ts"],
    ["chat/http/a.ts", "chat/store/redis/b.ts", "chat/http/", "chat/store/redis/"],
    ["chat/store/a.ts", "chat/store/memory/b.ts", "chat/store/", "chat/store/memory/"],
    ["chat/store/redis/a.ts", "chat/store/memory/b.ts", "chat/store/redis/", "chat/store/memory/"],
    ["chat/store/redis/a.ts", "chat/rooms/b.ts", "chat/store/redis/", "chat/rooms/"],
    ["chat/config/a.ts", "chat/protocol/b.ts", "chat/config/", "chat/protocol/"],
    ["chat/http/a.ts", "chat/config/b.ts", "chat/http/", "chat/config/"],
    ["chat/client/a.ts", "chat/store/b.ts", "chat/client/", "chat/store/"],
    ["chat/instance.ts", "chat/client/b.ts", "chat/instance.ts", "chat/client/"],
    ["chat/auth/a.ts", "chat/http/b.ts", "chat/auth/", "chat/http/"],
    ["chat/store/a.ts", "chat/limits/b.ts", "chat/store/", "chat/limits/"],
    ["chat/http/a.ts", "deno.json", "chat/http/", "deno.json"],
    ["web/a.ts", "chat/http/b.ts", "web/", "chat/http/"],
    ["chat/session/a.ts", "web/b.ts", "chat/session/", "web/"],
    ["chat/client/a.ts", "web/b.ts", "chat/client/", "web/"],
  ]
) {
  Deno.test(`${fromPart} may not import ${toPart}`, () => {
    assertEquals(violations({ [from]: [to] }), [
      `${from} imports ${to}: ${fromPart} may not import ${toPart}`,
    ]);
  });
}

Deno.test("only one module may import ioredis", () => {
  assertEquals(violations({ "chat/store/redis/log.ts": ["npm:ioredis@6.0.0"] }), [
    "chat/store/redis/log.ts imports npm:ioredis@6.0.0: only chat/store/redis/connections.ts may",
  ]);
});

Deno.test("a module must be in a folder that the tables name", () => {
  assertEquals(violations({ "chat/utils.ts": [], "tests/support/a.ts": [] }), [
    "chat/utils.ts is in no layer: add its folder to the table",
    "tests/support/a.ts is in no layer: add its folder to the table",
  ]);
});

Deno.test("modules may not import each other, not even within a layer", () => {
  const circle = {
    "chat/rooms/a.ts": ["chat/rooms/b.ts"],
    "chat/rooms/b.ts": ["chat/rooms/c.ts"],
    "chat/rooms/c.ts": ["chat/rooms/b.ts"],
  };
  assertEquals(violations(circle), [
    "modules import each other: chat/rooms/b.ts → chat/rooms/c.ts → chat/rooms/b.ts",
  ]);
});
