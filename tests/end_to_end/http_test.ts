import { assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { shareRunning } from "../../chat/http/health.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { startHttpServer } from "../support/http_server.ts";
import { RawClient } from "../support/raw_client.ts";
import { TextClient } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

async function get(url: string, init?: RequestInit): Promise<[number, string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

Deno.test("GET / returns a greeting", async () => {
  await using server = await startHttpServer();
  const response = await fetch(server.origin);
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/plain; charset=utf-8");
  assertEquals(await response.text(), "you are good to go!");
});

Deno.test("GET /healthz and /readyz return 200 while the store responds", async () => {
  await using server = await startHttpServer();
  assertEquals(await get(`${server.origin}/healthz`), [200, "ok\n"]);
  assertEquals(await get(`${server.origin}/readyz`), [200, "ready\n"]);
});

Deno.test("while the store does not respond, /readyz returns 503 and /healthz 200", async () => {
  const ping = () => Promise.reject(new StoreUnavailable("it is away"));
  await using server = await startHttpServer({ ...openMemoryStore(readConfig({})), ping });
  assertEquals(await get(`${server.origin}/readyz`), [503, "not ready: it is away\n"]);
  assertEquals(await get(`${server.origin}/healthz`), [200, "ok\n"]);
});

Deno.test("requests for /readyz share the check that runs", async () => {
  let pings = 0;
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ping = () => gates[pings++].promise;
  const ready = shareRunning(ping);
  const first = [ready(), ready(), ready()];
  gates[0].resolve();
  await Promise.all(first);
  const second = [ready(), ready()];
  gates[1].reject(new StoreUnavailable("it is away"));
  const outcomes = await Promise.allSettled(second);
  assertEquals([pings, ...outcomes.map(({ status }) => status)], [2, "rejected", "rejected"]);
});

Deno.test("a plain GET of a chat path returns 426", async () => {
  await using server = await startHttpServer();
  const response = await fetch(`${server.origin}/chat/foo`);
  assertEquals(response.status, 426);
  assertEquals(response.headers.get("upgrade"), "websocket");
  await response.body?.cancel();
});

Deno.test("an invalid name or room is refused with 400 and a line that says why", async () => {
  await using server = await startHttpServer();
  const cases = {
    "/chat/": "the user name is empty: ask for /chat/{user}\n",
    "/chat": "the user name is empty: ask for /chat/{user}\n",
    "/chat/a%3Ab": 'the user name "a:b" has a ":" in it\n',
    "/chat/a/b": 'the user name "a/b" has a "/" in it\n',
    "/chat/foo?room=a%20b":
      'the room name "a b" is not 1 to 64 of the characters A-Z a-z 0-9 . _ -\n',
    "/chat/foo?room=a&room=b": "more than one room is given: one connection joins one\n",
  };
  for (const [path, line] of Object.entries(cases)) {
    assertEquals(await get(server.origin + path), [400, line]);
  }
});

Deno.test("an invalid handshake is refused with 400", async () => {
  await using server = await startHttpServer();
  const client = await RawClient.connect(server.port);
  await client.write(
    "GET /chat/foo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  const response = await client.readUntil("no WebSocket handshake");
  assertEquals(response.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
  client.close();
});

Deno.test("a handshake at the address of the page is refused with 404", async () => {
  await using server = await startHttpServer();
  for (const path of ["/", "/r/red"]) {
    const client = await RawClient.connect(server.port);
    await client.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    const response = await client.readUntil("\r\n\r\n");
    assertEquals(response.split("\r\n")[0], "HTTP/1.1 404 Not Found");
    client.close();
  }
});

Deno.test("an invalid Host header is refused with 400", async () => {
  await using server = await startHttpServer();
  const client = await RawClient.connect(server.port);
  await client.write("GET /chat/foo HTTP/1.1\r\nHost: a b\r\n\r\n");
  const response = await client.readUntil("the Host header names no host");
  assertEquals(response.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
  client.close();
});

Deno.test("an unknown path or method is refused with a line that says why", async () => {
  await using server = await startHttpServer();
  assertEquals(await get(`${server.origin}/chats`), [
    404,
    "/chats is not here, the chat is at /chat/{user}\n",
  ]);
  assertEquals(await get(`${server.origin}/chat/foo`, { method: "POST" }), [
    405,
    "POST is not understood, use GET\n",
  ]);
});

Deno.test("a server counts its open sessions", async () => {
  await using server = await startHttpServer();
  assertEquals(server.sessionCount(), 0);
  const clients = await Promise.all(
    ["foo", "bar"].map((user) => TextClient.join(server.port, user)),
  );
  assertEquals(server.sessionCount(), 2);
  await clients[0].leave();
  await until(() => server.sessionCount() === 1);
  await clients[1].leave();
  await until(() => server.sessionCount() === 0);
});
