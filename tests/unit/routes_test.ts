import { assertEquals, assertRejects } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { makeAdmission } from "../../chat/http/admission.ts";
import type { Route } from "../../chat/http/route.ts";
import { respond } from "../../chat/http/routes.ts";
import { AddressBudgets } from "../../chat/limits/address_budgets.ts";
import { BadRequest } from "../../chat/protocol/bad_request.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";

function fail(error: Error): () => Response {
  return () => {
    throw error;
  };
}

const ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: /^\/a\/([^/]+)$/,
    needs: "nothing",
    handle: ({ url, segments: [id] }) => new Response(id + url.search),
  },
  {
    method: "POST",
    path: /^\/a\/([^/]+)$/,
    needs: "nothing",
    handle: ({ request }) => new Response(request.body),
  },
  { method: "POST", path: /^\/b$/, needs: "nothing", handle: () => new Response("b") },
  {
    method: "GET",
    path: /^\/bad$/,
    needs: "nothing",
    handle: fail(new BadRequest("say it better")),
  },
  { method: "GET", path: /^\/away$/, needs: "nothing", handle: fail(new StoreUnavailable("down")) },
  {
    method: "GET",
    path: /^\/probe$/,
    needs: "nothing",
    isProbe: true,
    handle: () => new Response("ok"),
  },
  {
    method: "GET",
    path: /^\/two$/,
    needs: "nothing",
    isFor: ({ headers }) => headers.get("accept") === "text/html",
    handle: () => new Response("<p>"),
  },
  { method: "GET", path: /^\/two$/, needs: "nothing", handle: () => new Response("text") },
  { method: "GET", path: /^\/broken$/, needs: "nothing", handle: fail(new TypeError("a bug")) },
];

const ROUTER = {
  routes: ROUTES,
  admit: makeAdmission(undefined, undefined, () => Promise.resolve(false)),
};

const PEER = "192.0.2.1:50000";
const CLIENT = new AddressBudgets(readConfig({ LIMITS: "off" })).of("192.0.2.1");

async function ask(path: string, init?: RequestInit): Promise<[number, string, string | null]> {
  const request = new Request(`http://chat.example${path}`, init);
  const response = await respond(ROUTER, request, PEER, CLIENT, () => undefined);
  return [response.status, await response.text(), response.headers.get("allow")];
}

Deno.test("a request gets the route of its path and method", async () => {
  assertEquals(await ask("/a/x%20y?q=1"), [200, "x%20y?q=1", null]);
  assertEquals(await ask("/a/x", { method: "POST", body: "hi" }), [200, "hi", null]);
  assertEquals((await ask("/a/x", { method: "HEAD" }))[0], 200);
});

Deno.test("of two routes of a path and method, the first that fits responds", async () => {
  assertEquals(await ask("/two"), [200, "text", null]);
  assertEquals(await ask("/two", { headers: { accept: "text/html" } }), [200, "<p>", null]);
  assertEquals(await ask("/two", { method: "PUT" }), [
    405,
    "PUT is not understood, use GET\n",
    "GET, HEAD",
  ]);
});

Deno.test("a path without the method is refused with the methods that it has", async () => {
  assertEquals(await ask("/a/x", { method: "PUT" }), [
    405,
    "PUT is not understood, use GET or POST\n",
    "GET, HEAD, POST",
  ]);
  assertEquals(await ask("/b"), [405, "GET is not understood, use POST\n", "POST"]);
  assertEquals(await ask("/b", { method: "HEAD" }), [
    405,
    "HEAD is not understood, use POST\n",
    "POST",
  ]);
  assertEquals((await ask("/b/", { method: "POST" }))[0], 404);
});

Deno.test("a handler that throws is answered by the kind of its error", async () => {
  assertEquals(await ask("/bad"), [400, "say it better\n", null]);
  assertEquals(await ask("/away"), [503, "the store does not answer\n", null]);
  await assertRejects(() => ask("/broken"), TypeError, "a bug");
});

Deno.test("an address above its limits gets 429 and Retry-After, but for probes", async () => {
  const refusal = { line: "too many", retryAfterSeconds: 3 };
  const get = (path: string) =>
    respond(ROUTER, new Request(`http://chat.example${path}`), PEER, CLIENT, () => refusal);
  for (const path of ["/a/x", "/nowhere", "/b"]) {
    const response = await get(path);
    assertEquals([response.status, await response.text()], [429, "too many\n"]);
    assertEquals(response.headers.get("retry-after"), "3");
    assertEquals(response.headers.get("access-control-allow-origin"), "*");
  }
  assertEquals(await (await get("/probe")).text(), "ok");
});

Deno.test("a long URL, or a long list in a header, is refused before it is parsed", async () => {
  for (
    const [header, max] of [
      ...["accept", "accept-encoding", "if-none-match"].map((name) => [name, 1_024] as const),
      ["sec-websocket-protocol", 10_240] as const,
    ]
  ) {
    const long = ",".repeat(max + 1);
    const line = `the header ${header} is longer than ${max} characters\n`;
    assertEquals(await ask("/a/x", { headers: { [header]: long } }), [400, line, null]);
    assertEquals((await ask("/a/x", { headers: { [header]: long.slice(1) } }))[0], 200);
  }
  const line = "the URL is longer than 10240 characters\n";
  assertEquals(await ask(`/a/x?${"a".repeat(10_240)}`), [400, line, null]);
  assertEquals((await ask(`/a/x?${"a".repeat(10_000)}`))[0], 200);
  // Before it is charged, too: a host of very many labels takes tens of milliseconds.
  const { parse } = URL;
  try {
    URL.parse = () => {
      throw new Error("it was parsed");
    };
    const request = new Request(`http://chat.example/a/x?${"a".repeat(10_240)}`);
    const refused = () => ({ line: "too many", retryAfterSeconds: 3 });
    assertEquals((await respond(ROUTER, request, PEER, CLIENT, refused)).status, 429);
  } finally {
    URL.parse = parse;
  }
});
