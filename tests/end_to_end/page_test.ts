import { SourceMap, type SourceMapping } from "node:module";
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { makeClientModule } from "../../chat/http/client_module.ts";
import { makePage } from "../../chat/http/make_page.ts";
import { loadPage } from "../../chat/http/page.ts";
import { PAGE_FILES } from "../../chat/http/page_files.ts";
import { startHttpServer } from "../support/http_server.ts";

/** What browsers prefer when somebody opens an address. */
const HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

const GREETING = "you are good to go!";

Deno.test("who prefers HTML gets the page, and everyone else what was there before", async () => {
  await using server = await startHttpServer();
  const page = "<!doctype html>";
  const upgrade = "this is the chat's WebSocket";
  const room = "browsers join here, WebSocket clients at /chat/{user}?room=red";
  const cases: [path: string, accept: string, status: number, beginning: string][] = [
    ["/", HTML, 200, page],
    ["/", "text/html", 200, page],
    ["/", "text/plain;q=0.5, text/html;q=0.6", 200, page],
    ["/", "*/*", 200, GREETING],
    ["/", "", 200, GREETING],
    ["/", "text/*", 200, GREETING],
    ["/", "application/json", 200, GREETING],
    ["/", "text/html;q=0.5, */*", 200, GREETING],
    ["/r/red", HTML, 200, page],
    ["/r/red", "*/*", 200, room],
    ["/r/a%20b", HTML, 200, page],
    ["/r/a%20b", "*/*", 400, 'the room name "a%20b" is not'],
    ["/r/", HTML, 200, page],
    ["/chat/foo", HTML, 200, page],
    ["/chat/foo?room=red", HTML, 200, page],
    ["/chat/a%3Ab", HTML, 200, page],
    ["/chat", HTML, 200, page],
    ["/chat/foo", "*/*", 426, upgrade],
    ["/chat/a%3Ab", "*/*", 400, 'the user name "a:b"'],
    ["/rooms/red/users", HTML, 200, '{"users":[]'],
    ["/healthz", HTML, 200, "ok"],
    ["/red", HTML, 404, "/red is not here"],
    ["/r", "*/*", 404, "/r is not here"],
    ["/r", HTML, 404, "/r is not here"],
    ["/r/", "*/*", 400, 'the room name "" is not'],
    ["/chats", HTML, 404, "/chats is not here"],
  ];
  for (const [path, accept, status, beginning] of cases) {
    const response = await fetch(server.origin + path, { headers: { accept } });
    const found = (await response.text()).slice(0, beginning.length);
    assertEquals([response.status, found], [status, beginning], `${path} ${accept}`);
    if (/^\/(r\/red)?$/.test(path)) assertMatch(response.headers.get("vary")!, /^accept(,|$)/);
  }
});

Deno.test("a WebSocket opens, whatever its handshake accepts", async () => {
  await using server = await startHttpServer();
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/chat/foo`, {
    headers: { accept: HTML },
  });
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.close();
  await new Promise((resolve) => socket.onclose = resolve);
});

Deno.test("the page is served without a token, whatever the address names", async () => {
  const env = { AUTH_SECRET: "x".repeat(32), ALLOWED_ORIGINS: "https://chat.example" };
  await using server = await startHttpServer(undefined, env);
  const pages = await Promise.all(["/", "/r/red", "/chat/foo?room=red"].map(async (path) => {
    const response = await fetch(server.origin + path, { headers: { accept: HTML } });
    assertEquals(response.status, 200);
    return await response.text();
  }));
  assertEquals(new Set(pages).size, 1);
});

Deno.test("the page may load and do only what it needs", async () => {
  await using server = await startHttpServer();
  const { hash } = await loadPage();
  for (const path of ["/", `/web/${hash}/index.html`]) {
    const { headers, body } = await fetch(server.origin + path, { headers: { accept: HTML } });
    await body?.cancel();
    assertEquals(headers.get("content-security-policy")!.split("; "), [
      "default-src 'none'",
      "connect-src 'self'",
      "img-src 'self'",
      "manifest-src 'self'",
      "script-src 'self'",
      "style-src 'self'",
      "worker-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types service-worker",
    ]);
    assertEquals(headers.get("referrer-policy"), "no-referrer");
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cross-origin-opener-policy"), "same-origin");
    assertMatch(headers.get("permissions-policy")!, /^camera=\(\), .*microphone=\(\)/);
  }
});

Deno.test("index.html names every file by its version, and nothing from elsewhere", async () => {
  await using server = await startHttpServer();
  const { hash, files } = await loadPage();
  const html = await (await fetch(server.origin, { headers: { accept: HTML } })).text();
  const named = [...html.matchAll(/\b(?:href|src)="([^"]+)"/g)].map(([, url]) => url)
    .filter((url) => !url.startsWith("#"));
  for (const name of ["main.js", "client.js", "style.css", "icon.svg", "manifest.webmanifest"]) {
    assert(named.includes(`/web/${hash}/${name}`), name);
  }
  for (const url of named) assertMatch(url, new RegExp(`^/web/${hash}/[\\w./]+$`));
  assertEquals(html.match(/<script(?!( type="module")? src=)|<style| style=| on\w+=/), null);
  const types = {
    css: "text/css; charset=utf-8",
    html: "text/html; charset=utf-8",
    js: "text/javascript; charset=utf-8",
    svg: "image/svg+xml",
    webmanifest: "application/manifest+json",
  };
  for (const path of files.keys()) {
    const response = await fetch(`${server.origin}/web/${hash}/${path}`);
    await response.body?.cancel();
    const { headers } = response;
    assertEquals(response.status, 200, path);
    assertEquals(headers.get("content-type"), types[path.split(".")[1] as keyof typeof types]);
    assertEquals(headers.get("cache-control"), "public, max-age=31536000, immutable", path);
    assertEquals(headers.get("x-content-type-options"), "nosniff", path);
  }
});

Deno.test("what the modules import at once is preloaded", async () => {
  const { hash, index, files } = await loadPage();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const preloaded = [...text(index.bytes).matchAll(/rel="modulepreload" href="([^"]+)"/g)]
    .map(([, url]) => url.replace(`/web/${hash}/`, ""));
  const imported = new Set(["main.js"]);
  for (const path of imported) {
    const { bytes } = files.get(path)!;
    for (const [, from] of text(bytes).matchAll(/\bfrom"([^"]+)"/g)) {
      imported.add(new URL(from, `file:///${path}`).pathname.slice(1));
    }
  }
  assertEquals(preloaded.toSorted(), [...imported].sort());
});

Deno.test("the page and its service worker are asked for each time, and sent if new", async () => {
  await using server = await startHttpServer();
  for (const path of ["/", "/r/red", "/sw.js"]) {
    const headers = { accept: HTML };
    const first = await fetch(server.origin + path, { headers });
    await first.body?.cancel();
    assertEquals([first.status, first.headers.get("cache-control")], [200, "no-cache"], path);
    const etag = first.headers.get("etag")!;
    const again = await fetch(server.origin + path, {
      headers: { ...headers, "if-none-match": etag },
    });
    assertEquals([again.status, await again.text()], [304, ""], path);
    assertEquals(again.headers.get("cache-control"), "no-cache", path);
    assertEquals(again.headers.has("content-security-policy"), path !== "/sw.js", path);
  }
});

Deno.test("HEAD gets the headers of GET", async () => {
  await using server = await startHttpServer();
  const { hash } = await loadPage();
  for (const path of ["/", "/client.js", `/web/${hash}/client.js`, `/web/${hash}/style.css`]) {
    const headers = { accept: HTML, "accept-encoding": "identity" };
    const [got, head] = await Promise.all(["GET", "HEAD"].map(async (method) => {
      const response = await fetch(server.origin + path, { method, headers });
      const shown = [...response.headers].filter(([name]) => name !== "date");
      return [(await response.text()).length, response.status, ...shown];
    }));
    assertEquals([head[0], head.slice(1)], [0, got.slice(1)], path);
    assert(got[0] as number > 0);
  }
});

Deno.test("files are sent compressed to those who can take that", async () => {
  await using server = await startHttpServer();
  const cases = [["gzip, deflate, br", "gzip"], ["gzip", "gzip"], ["br, *;q=0.1", "gzip"]];
  for (const [accepted, encoding] of [...cases, ["identity", null], ["gzip;q=0", null]]) {
    const client = await Deno.connect({ port: server.port, hostname: "127.0.0.1" });
    const head = ["GET /client.js HTTP/1.1", "host: x", "connection: close"];
    const lines = [...head, `accept-encoding: ${accepted}`, "", ""].join("\r\n");
    await client.write(new TextEncoder().encode(lines));
    const found = (await new Response(client.readable).text()).split("\r\n\r\n")[0];
    assertEquals(/content-encoding: (\w+)/.exec(found)?.[1] ?? null, encoding, `${accepted}`);
    assertMatch(found, /vary: accept-encoding/);
  }
});

Deno.test("a file of another version, or that there is not, is not found", async () => {
  await using server = await startHttpServer();
  const { hash } = await loadPage();
  const paths = [
    ...["/web/0123456789abcdef/main.js", `/web/${hash}x/main.js`, "/web/main.js", "/web/"],
    ...[`/web/${hash}/`, `/web/${hash}/main.ts`, `/web/${hash}/service_worker.js`],
    ...[`/web/${hash}/../../chats/mod.ts`, `/web/${hash}/..%2f..%2fmain.ts`, "/main.js"],
    ...["/client/client.js", "/client.ts", "/web/../main.ts", `/web/${hash}/texts`],
  ];
  for (const path of paths) {
    const response = await fetch(server.origin + path);
    assertEquals(response.status, 404, path);
    await response.body?.cancel();
  }
});

Deno.test("the page is small, and begins with few requests", async () => {
  const { index, files, serviceWorker } = await loadPage();
  const { "index.html": _, ...others } = Object.fromEntries(files);
  const all = [index, serviceWorker, ...Object.values(others)];
  const sum = (sizes: number[]) => sizes.reduce((a, b) => a + b);
  const plainKiB = sum(all.map(({ bytes }) => bytes.length)) / 1024;
  const gzippedKiB = sum(all.map(({ gzipped }) => gzipped.length)) / 1024;
  const preloaded = new TextDecoder().decode(index.bytes).match(/rel="modulepreload"/g)!.length;
  // Besides: the page itself, a script, the style sheet, icon, manifest and service worker.
  const requests = preloaded + 6;
  const found = `${plainKiB} KiB, ${gzippedKiB} KiB gzipped, ${requests} requests`;
  assert(plainKiB <= 105 && gzippedKiB <= 40 && requests <= 24, found);
  assert(plainKiB > 60, found);
});

Deno.test("developers get the source of each module", async () => {
  await using server = await startHttpServer();
  const { hash, files } = await loadPage();
  for (const path of files.keys()) {
    if (!path.endsWith(".js")) continue;
    const { headers, body } = await fetch(`${server.origin}/web/${hash}/${path}`);
    await body?.cancel();
    const map = await (await fetch(server.origin + headers.get("sourcemap"))).json();
    const source = PAGE_FILES[path.replace(/js$/, "ts")] ?? makeClientModule();
    assertEquals(map.sourcesContent, [source], path);
  }
  // This one imports a module whose name is longer in the source.
  const asset = files.get("conversation.js")!;
  const code = new TextDecoder().decode(asset.bytes);
  const map = await (await fetch(server.origin + asset.headers.sourcemap)).json();
  const { originalLine, originalColumn } = new SourceMap(map)
    .findEntry(0, code.indexOf(".reconnect()")) as SourceMapping;
  const line = PAGE_FILES["conversation.ts"].split("\n")[originalLine];
  assertMatch(line.slice(originalColumn), /^[\w.#]*reconnect\(\)/);
});

Deno.test("the version changes with each file, and with nothing else", async () => {
  const sources = {
    "index.html": '<link href="style.css"><script type="module" src="main.ts"></script>',
    "main.ts": 'import "./other.ts";',
    "other.ts": "",
    "service_worker.ts": "",
    "style.css": "",
  };
  const { hash } = await makePage(sources);
  assertEquals((await makePage({ ...sources })).hash, hash);
  for (const [path, source] of Object.entries(sources)) {
    const more = { ts: "export const more = 1;", css: ".more {}" }[path.split(".")[1]] ?? "";
    const changed = `${source}\n${more}\n`;
    assertNotEquals((await makePage({ ...sources, [path]: changed })).hash, hash, path);
  }
});

Deno.test("each file in web/ is served", async () => {
  const paths: string[] = [];
  const read = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory) await read(path);
      else paths.push(path.replace(/^.*\/web\//, ""));
    }
  };
  await read(new URL("../../web", import.meta.url).pathname);
  const served = paths.filter((path) => path !== "deno.json");
  assertEquals(Object.keys(PAGE_FILES).toSorted(), served.toSorted());
});

Deno.test("a page that lacks a file is not made, and the error names it", async () => {
  const cases: [path: string, source: string, message: string][] = [
    [
      "dom.ts",
      'import { x } from "./x.ts";',
      "dom.ts imports ./x.ts, which the page does not have",
    ],
    ["texts/en.ts", 'import("../x.ts");', "texts/en.ts imports ../x.ts, which the page"],
    [
      "dom.ts",
      'import { CLOSE } from "../chat/protocol/close_codes.ts";',
      "dom.ts imports ../chat",
    ],
    [
      "index.html",
      '<script type="module" src="x.ts">',
      "index.html refers to x.ts, which the page",
    ],
    ["dom.ts", "enum A { B }", ""],
  ];
  for (const [path, source, message] of cases) {
    await assertRejects(() => makePage({ ...PAGE_FILES, [path]: source }), Error, message);
  }
});
