import { assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { startServer } from "../../chat/http/server.ts";
import { type Store, StoreUnavailable } from "../../chat/store/store.ts";
import { RawPeer } from "../support/raw.ts";

async function serve(body: (origin: string, port: number) => Promise<void>, store?: Store) {
  const options = readConfig({ HOST: "127.0.0.1", PORT: "0" });
  const server = await startServer(options, store ?? openMemoryStore(options));
  try {
    await body(`http://127.0.0.1:${server.port}`, server.port);
  } finally {
    await server.stop();
  }
}

async function get(url: string, init?: RequestInit): Promise<[number, string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

Deno.test("GET / says that all is well", () =>
  serve(async (origin) => {
    const response = await fetch(origin);
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assertEquals(await response.text(), "you are good to go!");
  }));

Deno.test("GET /healthz and /readyz answer 200 while the store answers", () =>
  serve(async (origin) => {
    assertEquals(await get(`${origin}/healthz`), [200, "ok\n"]);
    assertEquals(await get(`${origin}/readyz`), [200, "ready\n"]);
  }));

Deno.test("GET /readyz answers 503 while the store does not, /healthz 200", () => {
  const ping = () => Promise.reject(new StoreUnavailable("it is away"));
  return serve(async (origin) => {
    assertEquals(await get(`${origin}/readyz`), [503, "the store does not answer\n"]);
    assertEquals(await get(`${origin}/healthz`), [200, "ok\n"]);
  }, { ...openMemoryStore(readConfig({})), ping });
});

Deno.test("a plain GET of a chat path is told to upgrade", () =>
  serve(async (origin) => {
    const response = await fetch(`${origin}/chat/foo`);
    assertEquals(response.status, 426);
    assertEquals(response.headers.get("upgrade"), "websocket");
    await response.body?.cancel();
  }));

Deno.test("a name or room that cannot be is refused with 400 and a line that says why", () =>
  serve(async (origin) => {
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
      assertEquals(await get(origin + path), [400, line]);
    }
  }));

Deno.test("a handshake that is none is refused with 400", () =>
  serve(async (_, port) => {
    const peer = await RawPeer.connect(port);
    await peer.write(
      "GET /chat/foo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    const answer = await peer.readUntil("no WebSocket handshake");
    assertEquals(answer.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
    peer.close();
  }));

Deno.test("a Host header that names no host is refused with 400", () =>
  serve(async (_, port) => {
    const peer = await RawPeer.connect(port);
    await peer.write("GET /chat/foo HTTP/1.1\r\nHost: a b\r\n\r\n");
    const answer = await peer.readUntil("the Host header names no host");
    assertEquals(answer.split("\r\n")[0], "HTTP/1.1 400 Bad Request");
    peer.close();
  }));

Deno.test("other paths and methods are refused in words", () =>
  serve(async (origin) => {
    assertEquals(await get(`${origin}/chats`), [
      404,
      "/chats is not here, the chat is at /chat/{user}\n",
    ]);
    assertEquals(await get(`${origin}/chat/foo`, { method: "POST" }), [
      405,
      "POST is not understood, use GET\n",
    ]);
  }));
