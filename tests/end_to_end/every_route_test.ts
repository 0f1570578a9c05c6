import { assert, assertEquals } from "@std/assert";
import { loadPage } from "../../chat/http/page.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";

/** A request for every route that gives nothing of a room. */
const OPEN = [
  "GET /",
  "GET /r/red",
  "GET /client.js",
  "GET /sw.js",
  `GET /web/${(await loadPage()).hash}/main.js`,
  "GET /healthz",
  "GET /readyz",
];

/** Requests for the page, which has the addresses of other routes too. */
const PAGE = ["GET /", "GET /r/red", "GET /chat/foo?room=red"];

/** A request for every other route, and the claim that it needs beside the room. */
const IN_ROOM: Readonly<Record<string, "read" | "publish" | "moderate">> = {
  "GET /chat/foo?room=red": "read",
  "GET /rooms/red/messages": "read",
  "GET /rooms/red/events": "read",
  "GET /rooms/red/users": "read",
  "POST /rooms/red/messages": "publish",
  "DELETE /rooms/red/messages/1-0": "read",
  "DELETE /rooms/red/users/bar": "moderate",
  "GET /rooms/red/bans": "moderate",
  "PUT /rooms/red/bans/bar": "moderate",
  "DELETE /rooms/red/bans/bar": "moderate",
  "GET /rooms/red/mutes": "moderate",
  "PUT /rooms/red/mutes/bar": "moderate",
  "DELETE /rooms/red/mutes/bar": "moderate",
};

/** Other ways to ask for something of a room. */
const MORE = [
  "HEAD /rooms/red/messages",
  "HEAD /rooms/red/users",
  "HEAD /rooms/red/events",
  "GET /rooms/red/events?since=0-0",
  "GET /rooms/red/events?history=200",
  "GET /rooms/red/messages?before=9999999999999-0&limit=200",
  "GET /rooms/red/users?from=0",
  "GET /chat/foo?room=red&history=200",
  "GET /chat/foo?room=red&since=0-0",
];

/** What is in the room: nobody without a token for it may see this. */
const [USER, TEXT] = ["agent", "classified"];

async function startRoom() {
  const server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  const token = await makeToken({ sub: USER });
  const agent = await JsonClient.join(server.port, USER, { room: "red", token });
  agent.send({ type: "message", text: TEXT, ref: "1" });
  await agent.find("ack");
  return server;
}

function split(request: string): [method: string, path: string] {
  return request.split(" ") as [string, string];
}

Deno.test("each route stands in one of the two tables here, as what it needs says", async () => {
  await using server = await startHttpServer();
  const requests = [...OPEN, ...Object.keys(IN_ROOM)];
  const [page, ...others] = server.routes;
  assertEquals(page.needs, "nothing");
  for (const request of PAGE) assert(page.path.test(split(request)[1].split("?")[0]), request);
  for (const route of others) {
    const name = `${route.method} ${route.path}`;
    const fitting = requests.filter((request) => {
      const [method, path] = split(request);
      return method === route.method && route.path.test(path.split("?")[0]);
    });
    assert(fitting.length > 0, `${name} is in no table of this test: add a request to one of them`);
    for (const request of fitting) assertEquals(IN_ROOM[request] ?? "nothing", route.needs, name);
  }
  assertEquals(others.length, requests.length);
});

Deno.test("without a token for the room, no route gives anything of it", async () => {
  await using server = await startRoom();
  const tokens: [number, string, string | undefined][] = [
    [401, "Bearer", undefined],
    [401, 'Bearer error="invalid_token"', await makeToken({}, "x".repeat(32))],
    [401, 'Bearer error="invalid_token"', await makeToken({ exp: 1_000 })],
    [
      403,
      'Bearer error="insufficient_scope"',
      await makeToken({ rooms: ["blue"], moderate: true }),
    ],
    [403, 'Bearer error="insufficient_scope"', await makeToken({ rooms: undefined })],
  ];
  for (const [status, challenge, token] of tokens) {
    const headers: HeadersInit = token === undefined ? {} : { authorization: `Bearer ${token}` };
    for (const request of [...Object.keys(IN_ROOM), ...MORE]) {
      const [method, path] = split(request);
      const response = await fetch(server.origin + path, { method, headers });
      assertEquals(response.status, status, request);
      const shown = response.headers.get("www-authenticate")!;
      assertEquals(shown.split(", error_description")[0], challenge, request);
      assertSilent(await response.text() + shown, token);
    }
    for (const request of OPEN) {
      const [method, path] = split(request);
      const response = await fetch(server.origin + path, { method, headers });
      assertEquals(response.status, 200, request);
      assertSilent(await response.text(), token);
    }
    for (const request of PAGE) {
      const [method, path] = split(request);
      const wanted = { ...headers, accept: "text/html" };
      const response = await fetch(server.origin + path, { method, headers: wanted });
      assertEquals([response.status, response.headers.get("content-type")], [
        200,
        "text/html; charset=utf-8",
      ]);
      assertSilent(await response.text(), token);
    }
  }
});

Deno.test("without a token for the room, no handshake opens, whatever it asks for", async () => {
  await using server = await startRoom();
  const other = await makeToken({ rooms: ["blue"] });
  const secret = `secret.${"x".repeat(20)}.1`;
  for (const protocols of [[], ["chat.json.v1"], ["chat.json.v1", secret]]) {
    for (const token of [undefined, other, "x"]) {
      const given = token === undefined || protocols.length === 0 ? [] : [`token.${token}`];
      for (const query of ["", "&history=200", "&since=0-0", `&token=${token ?? ""}`]) {
        const url = `ws://127.0.0.1:${server.port}/chat/foo?room=red${query}`;
        const socket = new WebSocket(url, [...protocols, ...given]);
        const events: string[] = [];
        await new Promise<void>((resolve) => {
          socket.onclose = socket.onerror = () => resolve();
          socket.onopen = ({ type }) => resolve(void events.push(type));
        });
        assertEquals(events, [], `${url} ${protocols}`);
      }
    }
  }
  assertEquals(server.sessionCount(), 1);
});

Deno.test("a token for the room and with the claim is admitted, and no other", async () => {
  await using server = await startRoom();
  for (const [request, need] of Object.entries(IN_ROOM)) {
    const [method, path] = split(request);
    for (const moderate of [false, true]) {
      for (const publish of [false, true]) {
        const token = await makeToken({ rooms: ["r*"], publish, moderate });
        const response = await fetch(server.origin + path, {
          method,
          headers: { authorization: `bearer ${token}` },
          body: method === "PUT" ? '{"seconds":1}' : undefined,
        });
        await response.body?.cancel();
        const isAllowed = { read: true, publish, moderate }[need];
        const isRefused = response.status === 401 || response.status === 403;
        assertEquals(isRefused, !isAllowed, `${request} ${response.status}`);
      }
    }
  }
});

function assertSilent(text: string, token: string | undefined): void {
  for (const secret of [USER, TEXT, token ?? USER]) assert(!text.includes(secret), text);
}
