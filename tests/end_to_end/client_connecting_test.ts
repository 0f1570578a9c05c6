import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ChatClient,
  ChatError,
  type ChatState,
  type StateChange,
} from "../../chat/client/client.ts";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { type FakeServer, sendWelcome, startFakeServer } from "../support/fake_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { startHttpServer } from "../support/http_server.ts";
import { endOfTurn, until } from "../support/wait.ts";

/** Resolves with the change that a test waits for. */
function untilState(client: ChatClient, state: ChatState): Promise<StateChange> {
  return new Promise((resolve) =>
    client.addEventListener("state", ({ detail }) => detail.state === state && resolve(detail))
  );
}

async function assertFails(promise: Promise<unknown>, code: string, words: string): Promise<void> {
  const error = await assertRejects(() => promise, ChatError);
  assertEquals([error.code, error.message], [code, words]);
}

Deno.test("a client whose name is taken ends with name_taken and the server's words", async () => {
  await using server = await startHttpServer();
  const first = await JsonClient.join(server.port, "foo");
  const second = new ChatClient(server.origin, "foo");
  const sent = second.send("never");
  const words = "username foo is already taken. please retry with a different name";
  const { reason, error } = await untilState(second, "closed");
  assertEquals([reason, error?.code], [words, "name_taken"]);
  await assertFails(sent, "name_taken", words);
  await assertFails(second.ready, "name_taken", words);
  await assertFails(second.send("too late"), "name_taken", words);
  await assertFails(second[Symbol.asyncIterator]().next(), "name_taken", words);
  await first.leave();
});

Deno.test("an impossible name or room is refused at once, in the server's words", async () => {
  await using server = await startHttpServer();
  const cases: [user: string, room?: string][] = [
    ...[["a:b"], ["a/b"], [""], [" a"], ["x".repeat(65)], ["a\n"]] satisfies [string][],
    ...[["foo", "a b"], ["foo", ""]] satisfies [string, string][],
  ];
  for (const [user, room] of cases) {
    const url = new URL(`/chat/${encodeURIComponent(user)}`, server.origin);
    if (room !== undefined) url.searchParams.set("room", room);
    const words = (await (await fetch(url)).text()).trimEnd();
    const error = assertThrows(() => new ChatClient(server.origin, user, { room }), TypeError);
    assertEquals(error.message, words);
  }
  for (const user of [".", "..", "\ud800"]) {
    assertThrows(() => new ChatClient(server.origin, user), TypeError, "user name");
  }
  for (const url of ["nowhere", "localhost:8080", "ftp://chat.example"]) {
    assertThrows(() => new ChatClient([server.origin, url], "foo"), TypeError);
  }
  assertThrows(() => new ChatClient([], "foo"), TypeError, "no server");
});

Deno.test("a client that the server refuses before the handshake ends with its words", async () => {
  await using server = await startHttpServer();
  const client = new ChatClient(server.origin, "foo", { history: 500 });
  const words = 'history is "500": give a whole number from 0 to 200';
  assertEquals((await untilState(client, "closed")).reason, words);
  await assertFails(client.ready, "refused", words);
});

for (const status of [404, 426, 503]) {
  Deno.test(`a client goes on after a failed handshake if a request gets ${status}`, async () => {
    let isUp = false;
    let asked = 0;
    await using refusing = startFakeServer({
      onRequest: () => new Response(`${++asked}\n`, { status }),
    });
    await using other = startFakeServer({
      onSocket: (socket) => isUp ? sendWelcome(socket) : socket.close(),
    });
    await using client = new ChatClient([refusing.url, other.url], "foo");
    await until(() => asked === 1);
    isUp = true;
    await client.ready;
  });
}

Deno.test("a client tells that the server is full, and comes in when it is not", async () => {
  await using server = await startHttpServer(undefined, { MAX_CONNECTIONS: "1" });
  const first = await JsonClient.join(server.port, "foo");
  await using second = new ChatClient(server.origin, "bar");
  const change = await new Promise<StateChange>((resolve) =>
    second.addEventListener("state", ({ detail }) => /full/.test(detail.reason) && resolve(detail))
  );
  assertEquals([change.state, change.reason], ["connecting", "the server is full"]);
  // The server asks for ten seconds.
  assert(change.retryAt! > Date.now() + 9_000, `${change.retryAt! - Date.now()}`);
  await first.leave();
  await until(() => server.sessionCount() === 0);
  second.reconnect();
  await second.ready;
});

for (const [retryAfter, seconds] of [["3", 3], ["86400", 600], ["soon", 0]] as const) {
  Deno.test(`after 429 and Retry-After: ${retryAfter} a client waits ${seconds} s`, async () => {
    const headers = { "retry-after": retryAfter };
    await using server = startFakeServer({
      onRequest: () => new Response("too many joins\n", { status: 429, headers }),
    });
    await using client = new ChatClient(server.url, "foo");
    const waitSeconds = await new Promise<number>((resolve) => {
      client.addEventListener("state", ({ detail: { reason, retryAt } }) => {
        if (reason === "too many joins") resolve((retryAt! - Date.now()) / 1000);
      });
    });
    assert(waitSeconds > seconds && waitSeconds < seconds + 1, `${waitSeconds} s`);
  });
}

Deno.test("a client whose server is full tries the other ones at once", async () => {
  const headers = { "retry-after": "600" };
  const onRequest = () => new Response("the server is full\n", { status: 503, headers });
  await using full = startFakeServer({ onRequest });
  await using other = startFakeServer({ onSocket: (socket) => sendWelcome(socket) });
  const clients = Array.from(Array(24), (_, i) => new ChatClient([full.url, other.url], `${i}`));
  await Promise.all(clients.map((client) => client.ready));
  assert(full.handshakes > 0);
  await Promise.all(clients.map((client) => client.close()));
});

for (const { code, reason, mayReconnect } of Object.values(CLOSE)) {
  Deno.test(`a client ${mayReconnect ? "returns" : "ends"} after ${code}, ${reason}`, async () => {
    await using server = startFakeServer({ onSocket: (socket) => socket.close(code, reason) });
    await using client = new ChatClient(server.url, "foo");
    if (mayReconnect) return await until(() => server.handshakes === 2);
    const error = {
      4403: "forbidden",
      4409: "name_taken",
      4410: "replaced",
      4411: "too_many_devices",
    }[code as number] ?? "refused";
    await assertFails(client.ready, error, reason);
    assertEquals(server.handshakes, 1);
  });
}

Deno.test("a client takes its own name back, which its lost connection still holds", async () => {
  let count = 0;
  await using server = startFakeServer({
    onSocket(socket) {
      if (++count === 2) return socket.close(4409, "the name is taken");
      sendWelcome(socket);
      if (count === 1) socket.close(1001);
    },
  });
  await using client = new ChatClient(server.url, "foo");
  await until(() => count === 3 && client.state === "connected");
});

/** Starts servers that note in one list who was asked, and makes the pauses of clients short. */
function startServers(count: number, onSocket?: (socket: WebSocket) => void) {
  const asked: number[] = [];
  /** The same for each path, and so for each user. */
  const askedBy = new Map<string, number[]>();
  const pauses: number[] = [];
  const servers: FakeServer[] = Array.from({ length: count }, (_, i) =>
    startFakeServer({
      onSocket(socket, { path }) {
        asked.push(i);
        askedBy.set(path, [...askedBy.get(path) ?? [], i]);
        onSocket ? onSocket(socket) : socket.close(1013);
      },
    }));
  const { setTimeout } = globalThis;
  globalThis.setTimeout = ((run: () => void, ms: number) => {
    pauses.push(ms);
    return setTimeout(run, 1);
  }) as typeof setTimeout;
  return {
    asked,
    askedBy,
    pauses,
    urls: servers.map(({ url }) => url),
    async [Symbol.asyncDispose]() {
      globalThis.setTimeout = setTimeout;
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

Deno.test("each server has its turn, and none is tried twice in a row", async () => {
  await using servers = startServers(3);
  await using client = new ChatClient(servers.urls, "foo");
  await until(() => servers.asked.length >= 12);
  for (let i = 0; i + 3 <= 12; i++) {
    assertEquals(new Set(servers.asked.slice(i, i + 3)).size, 3, `${servers.asked}`);
  }
  await client.close();
});

Deno.test("a server that is given twice has one turn", async () => {
  await using servers = startServers(2);
  const [one, two] = servers.urls;
  await using client = new ChatClient([one, `${one}/`, two], "foo");
  await until(() => servers.asked.length >= 8);
  for (let i = 0; i < 7; i++) assert(servers.asked[i] !== servers.asked[i + 1]);
  await client.close();
});

Deno.test("pauses grow to ten seconds, and differ from client to client", async () => {
  await using servers = startServers(1);
  await using client = new ChatClient(servers.urls, "foo");
  await until(() => servers.pauses.length >= 9);
  const longest = [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000];
  for (const [i, ms] of longest.entries()) {
    assert(servers.pauses[i] >= ms / 2 && servers.pauses[i] <= ms, `${servers.pauses}`);
  }
  assert(new Set(servers.pauses).size > 8, `${servers.pauses}`);
  await client.close();
});

Deno.test("clients spread over all servers, and those of a lost one over all others", async () => {
  await using servers = startServers(3, (socket) => {
    sendWelcome(socket);
    socket.close(1001);
  });
  const clients = Array.from({ length: 120 }, (_, i) => new ChatClient(servers.urls, `${i}`));
  const { askedBy } = servers;
  await until(() =>
    askedBy.size === 120 && [...askedBy.values()].every(({ length }) => length > 1)
  );
  const counts = new Map<string, number>();
  for (const [first, second] of askedBy.values()) {
    const way = `${first} to ${second}`;
    counts.set(way, (counts.get(way) ?? 0) + 1);
  }
  const rare = [...counts].filter(([, count]) => count < 3);
  assertEquals([counts.size, rare], [6, []]);
  await Promise.all(clients.map((client) => client.close()));
});

Deno.test("a client shows its token at each attempt, and with each request", async () => {
  const seen: (string | null | undefined)[] = [];
  await using server = startFakeServer({
    onSocket(socket, { headers }) {
      seen.push(headers.get("sec-websocket-protocol")?.replace(/secret\.\S+/, "SECRET"));
      sendWelcome(socket);
      if (seen.length === 1) socket.close(1001);
    },
    onRequest({ headers }) {
      seen.push(headers.get("authorization"));
      return Response.json({ messages: [], before: null });
    },
  });
  let count = 0;
  const token = async () => await `token-${++count}.x`;
  await using client = new ChatClient(server.url, "foo", { token });
  await until(() => seen.length === 2 && client.state === "connected");
  await client.history();
  assertEquals(seen, [
    "chat.json.v1, SECRET token.token-1.x",
    "chat.json.v1, SECRET token.token-2.x",
    "Bearer token-3.x",
  ]);
});

Deno.test({
  name: "a client that may not connect ends with the reason",
  // As a page that was loaded over HTTPS must not connect to a ws: URL.
  permissions: { net: false },
  async fn() {
    const client = new ChatClient("ws://127.0.0.1:1", "foo");
    const error = await assertRejects(() => client.ready, ChatError, "net access");
    assertEquals([error.code, client.state], ["refused", "closed"]);
  },
});

Deno.test("a client that is closed asks for no token any more", async () => {
  const token = Promise.withResolvers<string>();
  const client = new ChatClient("ws://127.0.0.1:1", "foo", { token: () => token.promise });
  const states: string[] = [];
  client.onstate = (state, reason) => states.push(`${state}: ${reason}`);
  await client.close();
  token.reject(new Error("no network"));
  await endOfTurn();
  assertEquals(states, ["closed: close() was called"]);
});

Deno.test("a client asks again for a token that it did not get", async () => {
  await using server = await startHttpServer();
  let count = 0;
  const reasons: string[] = [];
  const client = new ChatClient(server.origin, "foo", {
    token: () => ++count === 1 ? Promise.reject(new Error("no network")) : "a.b.c",
  });
  client.onstate = (state, reason) => reasons.push(`${state}: ${reason}`);
  await client.ready;
  await client.close();
  assertEquals(reasons, [
    "connecting: there is no token: Error: no network",
    "connected: ",
    "closed: close() was called",
  ]);
  const other = new ChatClient(server.origin, "foo", { token: "a b" });
  await assertFails(other.ready, "refused", "the token is no JWT");
});
