import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { startHttpServer } from "../support/http_server.ts";
import { run } from "../support/process.ts";

Deno.test("a program imports /client.js, and sends a message with it", async () => {
  await using server = await startHttpServer();
  await using program = run(Deno.execPath(), [
    ...["run", "--no-config", "--no-lock", "--reload", "--allow-import", "--allow-net"],
    `data:text/javascript,${
      encodeURIComponent(`
        import { ChatClient } from "${server.origin}/client.js";
        const chat = new ChatClient("${server.origin}", "foo");
        chat.onmessage = ({ user, text }) => {
          console.log(user + ": " + text);
          chat.close();
        };
        await chat.send("hi");
      `)
    }`,
  ]);
  await program.output.find(/^foo: hi$/);
  assert((await program.exit).success);
});

Deno.test("the server's modules can be loaded over HTTP, such as from JSR", async () => {
  const root = new URL("../../", import.meta.url);
  await using files = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async ({ url }) => {
      const source = await Deno.readFile(new URL(new URL(url).pathname.slice(1), root));
      return new Response(source, { headers: { "content-type": "application/typescript" } });
    },
  );
  const logtape = "data:text/javascript,export const getLogger = () => {}";
  const importMap = JSON.stringify({ imports: { "@logtape/logtape": logtape } });
  const module = `http://127.0.0.1:${files.addr.port}/chat/limits/connection_limit.ts`;
  await using program = run(Deno.execPath(), [
    ...["run", "--no-config", "--no-lock", "--allow-import", "--allow-read"],
    `--import-map=data:application/json,${encodeURIComponent(importMap)}`,
    `data:text/javascript,${
      encodeURIComponent(`
        import { ConnectionLimit } from "${module}";
        console.log("admitted:", new ConnectionLimit(1).admits(0));
      `)
    }`,
  ]);
  await program.output.find(/^admitted: true$/);
  assert((await program.exit).success);
});

Deno.test("the client's module is served once to those who ask again", async () => {
  await using server = await startHttpServer();
  const url = `${server.origin}/client.js`;
  const first = await fetch(url);
  assertEquals(first.status, 200);
  assertEquals(first.headers.get("content-type"), "text/javascript; charset=utf-8");
  assertEquals(first.headers.get("cache-control"), "no-cache");
  const etag = first.headers.get("etag")!;
  await first.text();
  const strong = etag.replace("W/", "");
  const cases = { [etag]: 304, [`"other", ${strong}`]: 304, '"other"': 200 };
  for (const [known, status] of Object.entries(cases)) {
    const again = await fetch(url, { headers: { "if-none-match": known } });
    assertEquals([again.status, again.headers.get("etag")], [status, etag], known);
    assertEquals((await again.text()).length === 0, status === 304);
  }
});

Deno.test("a page of any origin may read every response, and send a token", async () => {
  const readBefore = () => Promise.reject(new StoreUnavailable("it is away"));
  const listUsers = () => Promise.reject(new TypeError("a bug"));
  const store = { ...openMemoryStore(readConfig({})), readBefore, listUsers };
  await using server = await startHttpServer(store);
  const statuses = {
    "/": 200,
    "/healthz": 200,
    "/readyz": 200,
    "/client.js": 200,
    "/sw.js": 200,
    "/web/0/main.js": 404,
    "/chat/foo": 426,
    "/chat/a:b": 400,
    "/rooms/red/messages": 503,
    "/rooms/red/users": 500,
    "/rooms/red/users?limit=0": 400,
    "/nowhere": 404,
  };
  for (const [path, status] of Object.entries(statuses)) {
    const response = await fetch(server.origin + path, { headers: { origin: "http://page" } });
    assertEquals(response.status, status, path);
    assertEquals(response.headers.get("access-control-allow-origin"), "*", path);
    await response.body?.cancel();
  }
  const response = await fetch(`${server.origin}/rooms/red/users`, { method: "OPTIONS" });
  assertEquals(response.status, 204);
  const { headers } = response;
  assertEquals(headers.get("access-control-allow-origin"), "*");
  assertEquals(headers.get("access-control-allow-methods"), "GET, HEAD");
  assertEquals(
    headers.get("access-control-allow-headers"),
    "authorization, content-type, idempotency-key, last-event-id",
  );
  const nowhere = await fetch(`${server.origin}/nowhere`, { method: "OPTIONS" });
  assertEquals(nowhere.status, 404);
  await nowhere.body?.cancel();
});
