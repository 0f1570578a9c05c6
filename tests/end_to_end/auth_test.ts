import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { startHttpServer } from "../support/http_server.ts";
import { messageOf, NOTHING_SET, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { freePort } from "../support/ports.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, secondsFromNow, SECRET } from "../support/tokens.ts";
import { TIMEOUT_MS, until } from "../support/wait.ts";

const startServer = () => startHttpServer(undefined, { AUTH_SECRET: SECRET });

/** Asks as a client does that wants to know why its handshake failed. */
async function ask(url: string, headers: HeadersInit): Promise<[number, string]> {
  const response = await fetch(url, { headers });
  return [response.status, await response.text()];
}

/** Waits until the server has closed a connection, but not for ever if it never does. */
async function ended(
  { closed }: JsonClient | TextClient,
): Promise<{ code: number; reason: string }> {
  return await deadline(closed, TIMEOUT_MS);
}

Deno.test("a token can be given in three ways, but in one of them", async () => {
  await using server = await startServer();
  const token = await makeToken();
  const url = `${server.origin}/chat/foo`;
  const inHeader = { authorization: `Bearer ${token}` };
  const inProtocol = (...names: string[]) => ({ "sec-websocket-protocol": names.join(",") });
  const upgrade = "this is the chat's WebSocket: connect with a WebSocket client, such as wscat\n";
  assertEquals(await ask(url, inHeader), [426, upgrade]);
  assertEquals(await ask(`${url}?token=${token}`, {}), [426, upgrade]);
  for (const names of [["chat.json.v1", `token.${token}`], [`token.${token}`, "chat.json.v1"]]) {
    assertEquals(await ask(url, inProtocol(...names)), [426, upgrade]);
  }
  const several: [string, HeadersInit][] = [
    [`${url}?token=${token}`, inHeader],
    [url, { ...inHeader, ...inProtocol("chat.json.v1", `token.${token}`) }],
    [`${url}?token=${token}&token=${token}`, {}],
  ];
  for (const [target, headers] of several) {
    assertEquals(await ask(target, headers), [400, "more than one token is given\n"]);
  }
  const [status, line] = await ask(url, inProtocol(`token.${token}`));
  assertEquals(status, 400);
  assert(!line.includes("token"), line);
});

Deno.test("the server never answers with the token's subprotocol", async () => {
  await using server = await startServer();
  const token = `token.${await makeToken()}`;
  for (const protocols of [["chat.json.v1", token], [token, "chat.json.v1"]]) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/chat/foo`, protocols);
    await new Promise((resolve) => socket.onmessage = resolve);
    assertEquals(socket.protocol, "chat.json.v1");
    socket.close();
    await new Promise((resolve) => socket.onclose = resolve);
  }
});

Deno.test("a user has the name in the token, and no other", async () => {
  await using server = await startServer();
  const token = await makeToken({ sub: "Zoë" });
  const headers = { authorization: `Bearer ${token}` };
  assertEquals((await ask(`${server.origin}/chat/Zoe%CC%88`, headers))[0], 426);
  assertEquals(await ask(`${server.origin}/chat/foo`, headers), [
    403,
    'the token is not for the user "foo"\n',
  ]);
  // Names that look alike are no imitations: the issuer gives them.
  const clients = await Promise.all(
    ["admin", "ADMIN", "аdmin"].map(async (sub) =>
      JsonClient.join(server.port, sub, { token: await makeToken({ sub }) })
    ),
  );
  assertEquals((await clients[0].welcome()).user, "admin");
});

Deno.test("each token that is refused gets a line that says why", async () => {
  await using server = await startServer();
  const cases: [number, string, string][] = [
    [401, "the token has expired", await makeToken({ exp: secondsFromNow(-10) })],
    [401, "the token is not valid yet", await makeToken({ nbf: secondsFromNow(60) })],
    [401, "the token's exp is missing", await makeToken({ exp: undefined })],
    [401, "the token's signature is not valid", await makeToken({}, "x".repeat(32))],
    [403, "the token does not allow the room chat", await makeToken({ rooms: ["red"] })],
    [
      401,
      "the token is longer than 8192 characters",
      await makeToken({ x: "x".repeat(32 * 1024) }),
    ],
    // Deno itself takes no head of this size.
    [400, "", await makeToken({ x: "x".repeat(64 * 1024) })],
  ];
  for (const [status, line, token] of cases) {
    const headers = { authorization: `Bearer ${token}` };
    for (const path of ["/chat/foo", "/rooms/chat/users"]) {
      assertEquals(await ask(server.origin + path, headers), [status, line && `${line}\n`]);
    }
  }
});

Deno.test("a session ends with 4401 when its token expires, in both protocols", async () => {
  await using server = await startServer();
  const exp = secondsFromNow(2);
  const clients = [
    await JsonClient.join(server.port, "foo", { token: await makeToken({ exp }) }),
    await TextClient.join(server.port, "bar", { token: await makeToken({ exp, sub: "bar" }) }),
  ];
  for (const client of clients) {
    assertEquals(await ended(client), { code: 4401, reason: CLOSE.expired.reason });
    assert(Date.now() >= exp * 1000);
  }
});

Deno.test("a later token keeps a session open, and what it allows holds", async () => {
  await using server = await startServer();
  const exp = secondsFromNow(2);
  const client = await JsonClient.join(server.port, "foo", { token: await makeToken({ exp }) });
  const welcome = await client.welcome();
  assertEquals([welcome.expires, welcome.features.includes("token")], [exp * 1000, true]);
  const later = secondsFromNow(600);
  client.send({ type: "token", token: await makeToken({ exp: later, publish: false }) });
  assertEquals((await client.find("token")).expires, later * 1000);
  client.send({ type: "message", text: "hi", ref: "1" });
  assertEquals(await client.find("error"), {
    type: "error",
    code: "forbidden",
    message: "message not delivered: you may only listen",
    ref: "1",
  });
  const other = await JsonClient.join(server.port, "bar", {
    token: await makeToken({ sub: "bar", exp }),
  });
  await ended(other);
  client.send({ type: "ping" });
  await client.find("pong");
});

Deno.test("a later token that is not valid, or of another user, changes nothing", async () => {
  await using server = await startServer();
  const exp = secondsFromNow(3);
  const client = await JsonClient.join(server.port, "foo", { token: await makeToken({ exp }) });
  const refused: [string, string][] = [
    [await makeToken({ sub: "bar" }), "the token is of another user"],
    [await makeToken({ rooms: ["red"] }), "the token does not allow the room chat"],
    [await makeToken({ exp: secondsFromNow(-60) }), "the token has expired"],
    ["x", "the token is no valid JWT"],
    ["x".repeat(65_536), "the token is longer than 8192 characters"],
  ];
  for (const [token, message] of refused) {
    client.send({ type: "token", token });
    await client.find("error", (error) => error.message === message && error.code === "bad_token");
  }
  client.send({ type: "message", text: "hi", ref: "1" });
  await client.find("ack");
  assertEquals((await ended(client)).code, 4401);
});

Deno.test("more later tokens than an address may make requests are not checked", async () => {
  const env = { AUTH_SECRET: SECRET, MAX_REQUESTS_PER_SECOND: "1" };
  await using server = await startHttpServer(undefined, env);
  const token = await makeToken();
  const client = await JsonClient.join(server.port, "foo", { token });
  const other = await JsonClient.join(server.port, "foo", { token });
  for (let i = 0; i < 10; i++) client.send({ type: "token", token });
  const { code, message } = await client.find("error");
  assertEquals([code, message], ["bad_token", "too many requests a second from your address"]);
  other.send({ type: "token", token });
  await other.find("error");
  client.send({ type: "ping" });
  await client.find("pong");
});

Deno.test("who may only listen hears everything, and is told so when speaking", async () => {
  await using server = await startServer();
  const listener = await TextClient.join(server.port, "ear", {
    token: await makeToken({ sub: "ear", publish: undefined }),
  });
  const talker = await TextClient.join(server.port, "foo", { token: await makeToken() });
  await listener.until("foo: has joined the chat!");
  listener.send("may I?");
  assertEquals(await listener.next(), "message not delivered: you may only listen");
  talker.send("hi");
  assertEquals(await listener.next(), "foo: hi");
  assertEquals(talker.frames.filter((frame) => frame.includes("may I")), []);
});

Deno.test("without authentication a token is ignored, and a later one refused", async () => {
  await using server = await startHttpServer();
  const client = await JsonClient.join(server.port, "foo", { token: "x" });
  const welcome = await client.welcome();
  assertEquals([welcome.expires, welcome.features], [undefined, ["after", "leave", "typing"]]);
  client.send({ type: "token", token: await makeToken() });
  assertEquals((await client.find("error")).code, "bad_token");
});

Deno.test("pages of other origins than ALLOWED_ORIGINS may neither connect nor read", async () => {
  await using server = await startHttpServer(undefined, {
    ALLOWED_ORIGINS: "https://chat.example,http://localhost:3000",
  });
  const request = async (origin: string | undefined, path: string, init: RequestInit = {}) => {
    const headers = origin === undefined ? undefined : { origin };
    const response = await fetch(server.origin + path, { headers, ...init });
    await response.body?.cancel();
    return [response.status, response.headers.get("access-control-allow-origin")];
  };
  for (const origin of ["https://chat.example", "http://localhost:3000"]) {
    assertEquals(await request(origin, "/chat/foo"), [426, origin]);
    assertEquals(await request(origin, "/rooms/red/users"), [200, origin]);
    assertEquals(await request(origin, "/nowhere"), [404, origin]);
  }
  for (const origin of ["https://evil.example", "https://chat.example.evil.example", "null"]) {
    assertEquals(await request(origin, "/chat/foo"), [403, null]);
    assertEquals(await request(origin, "/rooms/red/users"), [403, null]);
    assertEquals(await request(origin, "/client.js"), [200, null]);
    assertEquals(await request(origin, "/rooms/red/users", { method: "OPTIONS" }), [204, null]);
  }
  // Programs that are no browser send no origin.
  assertEquals(await request(undefined, "/chat/foo"), [426, null]);
});

Deno.test("the log says once that ALLOWED_ORIGINS lacks the server's own page", async () => {
  await using server = await startInstance({ ALLOWED_ORIGINS: "https://chat.example" });
  const own = `http://127.0.0.1:${server.port}`;
  for (const origin of ["http://evil.example", own, own]) {
    const response = await fetch(`${own}/chat/foo`, { headers: { origin } });
    assertEquals(response.status, 403);
    await response.body?.cancel();
  }
  server.signal("SIGTERM");
  assertEquals(
    (await server.output.end()).filter((line) => line.includes("ORIGIN")).map(messageOf),
    [
      `The server refuses its own page: add ${own} to ALLOWED_ORIGINS`,
    ],
  );
});

Deno.test("a token is in no line of the log, whatever is done with it", async () => {
  await using server = await startInstance({ AUTH_SECRET: SECRET, LOG_LEVEL: "debug" });
  const tokens = [await makeToken(), await makeToken({ exp: 1 }), await makeToken({ rooms: [] })];
  for (const token of tokens) {
    for (const path of ["/chat/foo", "/rooms/chat/users", "/rooms/chat/bans", "/nowhere"]) {
      const headers = { authorization: `Bearer ${token}` };
      const lines = await Promise.all([
        ask(`${server.http}${path}?token=${token}`, {}),
        ask(`${server.http}${path}`, headers),
        ask(`${server.http}${path}`, { "sec-websocket-protocol": `token.${token}` }),
      ]);
      for (const [, line] of lines) assert(!line.includes(token), line);
    }
  }
  const client = await JsonClient.join(server.port, "foo", { token: tokens[0] });
  for (const token of tokens) client.send({ type: "token", token });
  await until(() => client.all("token").length + client.all("error").length === tokens.length);
  assert(!JSON.stringify(client.events).includes(tokens[1]));
  await client.leave();
  server.signal("SIGTERM");
  const output = (await server.output.end()).join("\n");
  assertStringIncludes(output, "Stopping");
  for (const secret of [...tokens, SECRET]) assert(!output.includes(secret), output);
});

Deno.test("the log says why the key server does not answer, and shows only its host", async () => {
  const host = `127.0.0.1:${freePort()}`;
  await using server = await startInstance({ AUTH_JWKS_URL: `http://${host}/keys?secret=x#y` });
  const [line] = await server.output.find(/No keys from .*/);
  assertStringIncludes(line, `No keys from ${host} (`);
  assertStringIncludes(line, `(${host}): client error (Connect): tcp connect error: Connection`);
  assert(!line.includes("secret"), line);
  const [, withoutKeys] = rowOf("the key server is away").lines;
  await assertLogged(server, [withoutKeys]);
});

Deno.test("the start says that authentication is off, unless HOST is loopback", async () => {
  const line = "Authentication is off: anyone who reaches this server may join and read any room";
  const cases = [
    [{ HOST: "0.0.0.0" }, true],
    [{ HOST: "127.0.0.1" }, false],
    [{ HOST: "0.0.0.0", AUTH_SECRET: SECRET }, false],
  ] as const;
  for (const [env, isOff] of cases) {
    await using server = await startInstance(env);
    assertEquals(server.output.all.map(messageOf).includes(line), isOff, JSON.stringify(env));
  }
});

Deno.test("deno task token makes tokens that the server takes", async () => {
  const env = { AUTH_SECRET: SECRET, AUTH_AUDIENCE: "chat", AUTH_USER_CLAIM: "nick" };
  await using server = await startHttpServer(undefined, env);
  const make = async (...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--frozen",
        "--allow-env",
        "--allow-read",
        "tools/token.ts",
        ...args,
      ],
      env: { ...NOTHING_SET, ...env },
    }).output();
    return new TextDecoder().decode(success ? stdout : stderr).trim();
  };
  const [token, listener, badName, ...badOptions] = await Promise.all([
    make("Zoë", "--rooms=red,team-*", "--moderate"),
    make("foo", "--rooms=red", "--listen", "--seconds=60"),
    make("a:b", "--rooms=red"),
    make("foo"),
    make("foo", "--rooms=red", "--moderate=false"),
    make("foo", "--rooms=red", "--seconds=1h"),
  ]);
  const url = `${server.origin}/rooms/team-a/bans`;
  assertEquals((await ask(url, { authorization: `Bearer ${token}` }))[0], 200);
  assertEquals(await ask(url, { authorization: `Bearer ${listener}` }), [
    403,
    "the token does not allow the room team-a\n",
  ]);
  const client = await JsonClient.join(server.port, "foo", { room: "red", token: listener });
  client.send({ type: "message", text: "hi", ref: "1" });
  assertEquals((await client.find("error")).code, "forbidden");
  assertEquals(badName, 'the user name "a:b" has a ":" in it');
  for (const usage of badOptions) assertStringIncludes(usage, "Usage: deno task token USER");
});
