import { assertEquals, assertMatch } from "@std/assert";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { type Store, StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";
import { startHttpServer } from "../support/http_server.ts";
import { countSockets, messageOf, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { RawClient } from "../support/raw_client.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { until } from "../support/wait.ts";

const AUTH = { AUTH_SECRET: SECRET };
const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";

/** Posts a message; returns the status, and the id or the line that says why there is none. */
async function post(
  origin: string,
  body: BodyInit,
  { room = "red", token, type = JSON_TYPE, headers = {} }: {
    room?: string;
    token?: string;
    type?: string;
    headers?: Record<string, string>;
  } = {},
): Promise<[number, string]> {
  const bearer = `Bearer ${token ?? await makeToken()}`;
  const response = await fetch(`${origin}/rooms/${room}/messages`, {
    method: "POST",
    headers: { authorization: bearer, ...(type && { "content-type": type }), ...headers },
    body,
  });
  const text = await response.text();
  return [response.status, response.status === 201 ? JSON.parse(text).id : text];
}

Deno.test("a service publishes, and all of the user's own devices get the message", async () => {
  await using chat = await startTwoInstances(AUTH);
  const origin = `http://127.0.0.1:${chat.one}`;
  const token = await makeToken();
  const text = await TextClient.join(chat.two, "foo", { room: "red", token });
  const bar = await JsonClient.join(chat.one, "bar", {
    room: "red",
    token: await makeToken({ sub: "bar" }),
  });
  const options = { headers: { "idempotency-key": "a" } };
  const ids = [
    await post(origin, '{"text":"hi","ref":"1"}'),
    await post(origin, '{"text":"hi","ref":"1"}'),
    await post(origin, "text=more+%C3%A9&ref=2", { type: FORM_TYPE }),
    await post(origin, '{"text":"key"}', options),
    await post(origin, '{"text":"key"}', options),
    await post(origin, '{"text":"plain"}', { type: "Application/JSON; charset=utf-8" }),
  ];
  await bar.receivedMessages(4);
  await text.until("foo: plain");
  assertEquals(text.frames, [
    ...["Welcome foo!", "bar: has joined the chat!"],
    ...["foo: hi", "foo: more é", "foo: key", "foo: plain"],
  ]);
  const messages = bar.all("message");
  assertEquals(messages.map(({ user, text, ref }) => [user, text, ref]), [
    ["foo", "hi", "1"],
    ["foo", "more é", "2"],
    ["foo", "key", "a"],
    ["foo", "plain", undefined],
  ]);
  const [hi, more, key, plain] = messages.map(({ id }) => [201, id]);
  assertEquals(ids as unknown[], [hi, hi, more, key, key, plain]);
  // Nobody is in this room.
  const [status, id] = await post(origin, '{"text":"hi"}', { room: "blue" });
  assertEquals([status, await chat.redis.command("XLEN", "{chat:blue}:log")], [201, 1]);
  assertEquals(typeof id, "string");
  await Promise.all([text.leave(), bar.leave()]);
});

Deno.test("a user's only terminal receives what the user publishes over HTTP", async () => {
  await using chat = await startTwoInstances({ ...AUTH, MAX_DEVICES: "1" });
  const token = await makeToken();
  for (const port of [chat.one, chat.two]) {
    const text = await TextClient.join(port, "foo", { room: "red", token });
    text.send("typed");
    const [status] = await post(`http://127.0.0.1:${chat.one}`, '{"text":"posted"}');
    assertEquals(status, 201);
    await text.until("foo: posted");
    assertEquals(text.frames, ["Welcome foo!", "foo: posted"]);
    await text.leave();
  }
});

Deno.test("a message that a service may not publish is refused with one line", async () => {
  const store = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
  await using server = await startHttpServer(store, {
    ...AUTH,
    MAX_MESSAGE_BYTES: "1000",
    MAX_BUFFERED_BYTES: "4000",
  });
  const longer = JSON.stringify({ text: "x".repeat(1001) });
  const huge = JSON.stringify({ text: "x".repeat(4000) });
  const listener = await makeToken({ publish: false });
  const elsewhere = await makeToken({ rooms: ["blue"] });
  const noObject = 'the body is no JSON object: give one such as {"text":"hi"}';
  const types = "give application/json or application/x-www-form-urlencoded";
  const needsType = "the body is JSON, so the content type must be application/json";
  const twoRefs = "ref and Idempotency-Key are both given: give one of them";
  for (
    const [body, options, status, line] of [
      ['{"text":"hi"}', { token: listener }, 403, "the token does not allow to publish"],
      ['{"text":"hi"}', { token: elsewhere }, 403, "the token does not allow the room red"],
      ['{"text":"hi"', {}, 400, noObject],
      ['["hi"]', {}, 400, noObject],
      ["", {}, 400, noObject],
      ["{}", {}, 400, "text: this field is missing"],
      ['{"text":"hi","to":"bar"}', {}, 400, "to: there is no such field here"],
      ['{"text":"hi","ref":""}', {}, 400, "ref: not 1 to 64 characters long"],
      ['{"text":"hi","ref":"1"}', { headers: { "idempotency-key": "1" } }, 400, twoRefs],
      ["text=a&text=b", { type: FORM_TYPE }, 400, "a field of the form is given twice"],
      // What `curl -d` sends by default.
      ['{"text":"hi"}', { type: FORM_TYPE }, 400, needsType],
      [new Uint8Array([0xff]), {}, 400, "the body is not UTF-8"],
      ["hi", { type: "text/plain" }, 415, `the content type is "text/plain": ${types}`],
      [new Uint8Array([32]), { type: "" }, 415, `the content type is "": ${types}`],
      [longer, {}, 413, "the text is too large: at most 1000 bytes are allowed"],
      [huge, {}, 413, "the body is too long: at most 4000 bytes are allowed"],
      ['{"text":"hi","after":"0"}', {}, 503, "message not delivered. please try again"],
    ] as const
  ) {
    assertEquals(await post(server.origin, body, options), [status, `${line}\n`]);
  }
  assertEquals(await store.readAfter("red", "0-0", 10), []);
  await using open = await startHttpServer(store);
  assertEquals(await post(open.origin, '{"text":"hi"}'), [
    403,
    "this needs authentication: start the server with AUTH_SECRET or AUTH_JWKS_URL\n",
  ]);
});

Deno.test("a service that publishes too much gets 429 and Retry-After", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
  const store = Object.assign(Object.create(memory) as Store, {
    reads: 0,
    readBefore(...given: Parameters<Store["readBefore"]>) {
      store.reads++;
      return memory.readBefore(...given);
    },
  });
  await using server = await startHttpServer(store, {
    ...AUTH,
    MAX_MESSAGES_PER_SECOND: "1",
    MAX_BYTES_PER_SECOND: "1000",
    MAX_NEW_ROOMS_PER_SECOND: "1",
  });
  async function statusOf(sub: string, text: string, room = "red"): Promise<[number, boolean]> {
    return await request(sub, "POST", `${room}/messages`, JSON.stringify({ text }));
  }
  async function request(sub: string, method: string, path: string, body?: string) {
    const response = await fetch(`${server.origin}/rooms/${path}`, {
      method,
      headers: { authorization: `Bearer ${await makeToken({ sub })}`, "content-type": JSON_TYPE },
      body,
    });
    await response.body?.cancel();
    return [response.status, Number(response.headers.get("retry-after")) >= 1] as [number, boolean];
  }
  const taken = [201, false], refused = [429, true];
  // A burst is two messages, and 8,000 bytes.
  assertEquals(await statusOf("foo", "1"), taken);
  assertEquals(await statusOf("foo", "2"), taken);
  const { reads } = store;
  assertEquals(await statusOf("foo", "3"), refused);
  assertEquals(await statusOf("foo", "3", "another"), refused);
  assertEquals(store.reads, reads, "what is refused costs the store nothing");
  assertEquals(await request("foo", "DELETE", "red/messages/1-0"), refused);
  assertEquals(await request("pi", "DELETE", "red/messages/1-0"), [204, false]);
  assertEquals(await statusOf("bar", "x".repeat(9000)), taken);
  assertEquals(await statusOf("bar", ""), refused);
  // 20 new rooms, of which red is one.
  for (let i = 1; i < 20; i++) assertEquals(await statusOf(`user${i}`, "", `room${i}`), taken);
  assertEquals(await statusOf("baz", "", "another"), refused);
  assertEquals(await statusOf("qux", "", "room1"), taken);
});

Deno.test("a service learns whether the store may have taken its message", async () => {
  for (
    const [error, line] of [
      [new StoreUnavailable("down"), "message not delivered. please try again\n"],
      [new StoreOutcomeUnknown("lost"), "message may not have been delivered\n"],
    ] as const
  ) {
    const memory = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
    const store: Store = Object.assign(Object.create(memory), {
      publish: () => Promise.reject(error),
    });
    await using server = await startHttpServer(store, AUTH);
    assertEquals(await post(server.origin, '{"text":"hi"}'), [503, line]);
  }
});

Deno.test("a muted user cannot publish over HTTP either", async () => {
  await using server = await startHttpServer(undefined, AUTH);
  const { status } = await fetch(`${server.origin}/rooms/red/mutes/foo`, {
    method: "PUT",
    headers: { authorization: `Bearer ${await makeToken({ sub: "ann", moderate: true })}` },
    body: '{"seconds":60}',
  });
  assertEquals(status, 204);
  assertEquals(await post(server.origin, '{"text":"hi"}'), [
    403,
    "message not delivered: you are muted\n",
  ]);
  const token = await makeToken({ sub: "bar" });
  assertEquals((await post(server.origin, '{"text":"hi"}', { token }))[0], 201);
});

/** Begins to post a message, whose body is not complete. */
async function beginPost(port: number): Promise<RawClient> {
  const client = await RawClient.connect(port);
  await client.write(
    "POST /rooms/red/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n" +
      `Content-Type: ${JSON_TYPE}\r\nAuthorization: Bearer ${await makeToken()}\r\n` +
      'Expect: 100-continue\r\n\r\n{"text"',
  );
  // The server has admitted the request, and waits for the body.
  await client.readUntil("100 Continue");
  return client;
}

/** Writes the same again and again, until the server has ended the connection. */
async function writeUntilError(client: RawClient, data: string): Promise<void> {
  const bytes = new TextEncoder().encode(data);
  try {
    for (;;) await client.write(bytes);
  } catch {
    // It has.
  }
}

Deno.test("a user who is banned while the body comes publishes nothing", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
  const answers = [false, true];
  const moderation = Object.assign(Object.create(memory.moderation), {
    isBanned: () => Promise.resolve(answers.shift()),
  });
  const store: Store = Object.assign(Object.create(memory), { moderation });
  await using server = await startHttpServer(store, AUTH);
  assertEquals(await post(server.origin, '{"text":"hi"}'), [
    403,
    "you are banned from this room\n",
  ]);
  assertEquals(await store.readAfter("red", "0-0", 10), []);
});

Deno.test("a client that goes before its body has come is no line of the log", async () => {
  await using server = await startInstance(AUTH);
  const sockets = countSockets(server);
  const client = await beginPost(server.port);
  client.close();
  await until(() => countSockets(server) <= sockets, 10);
  server.signal("SIGTERM");
  const lines = (await server.output.end()).map(messageOf);
  assertEquals(lines.filter((line) => line.includes("failed")), []);
  assertEquals(lines.at(-1), "Stopping; a second signal ends at once");
});

Deno.test("a body that comes in very many pieces is refused, and delays nobody", async () => {
  await using instance = await startInstance(AUTH);
  const token = await makeToken();
  const hostile = await Promise.all(Array.from({ length: 5 }, async () => {
    const client = await RawClient.connect(instance.port);
    await client.write(
      "POST /rooms/red/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" +
        `Content-Type: application/json\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    // Until the server ends the connection: Deno would take minutes for all that has come then.
    const written = writeUntilError(client, "1\r\n \r\n".repeat(5_000));
    return { client, written };
  }));
  assertEquals((await post(instance.http, '{"text":"hi"}'))[0], 201);
  for (const { client, written } of hostile) {
    assertMatch(await client.readUntil("pieces"), /^HTTP\/1.1 413 /);
    await written;
    client.close();
  }
  assertEquals((await post(instance.http, '{"text":"hi"}'))[0], 201);
});

Deno.test("the connection of a body that is not read ends", async () => {
  await using instance = await startInstance(AUTH);
  for (
    const [length, token, status] of [
      ["Content-Length: 1000000000", await makeToken(), 413],
      ["Content-Length: 1000000000", "none", 401],
      ["Transfer-Encoding: chunked", "none", 401],
    ] as const
  ) {
    const client = await RawClient.connect(instance.port);
    await client.write(
      `POST /rooms/red/messages HTTP/1.1\r\nHost: localhost\r\n${length}\r\n` +
        `Content-Type: application/json\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    const written = writeUntilError(client, `10000\r\n${" ".repeat(65_536)}\r\n`);
    assertMatch(await client.readUntil("\r\n\r\n"), new RegExp(`^HTTP/1.1 ${status} `));
    await written;
    client.close();
  }
});

Deno.test("a service may send its message in chunks", async () => {
  await using server = await startHttpServer(undefined, AUTH);
  const body = new ReadableStream({
    start(controller) {
      for (const text of ['{"te', 'xt":"', "x".repeat(50_000), '"}']) {
        controller.enqueue(new TextEncoder().encode(text));
      }
      controller.close();
    },
  });
  const { status } = await fetch(`${server.origin}/rooms/red/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${await makeToken()}`, "content-type": JSON_TYPE },
    body,
  });
  assertEquals(status, 201);
});

Deno.test("each further piece of a body costs its address more than its bytes", async () => {
  await using instance = await startInstance({ ...AUTH, MAX_ADDRESS_BYTES_PER_SECOND: "1000" });
  const client = await RawClient.connect(instance.port);
  await client.write(
    "POST /rooms/red/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" +
      `Content-Type: application/json\r\nAuthorization: Bearer ${await makeToken()}\r\n\r\n` +
      `${"1\r\n \r\n".repeat(500)}0\r\n\r\n`,
  );
  assertMatch(await client.readUntil("\r\n\r\n"), /^HTTP\/1.1 429 /);
  client.close();
});

Deno.test("bodies over the bytes of their address are not read", async () => {
  await using instance = await startInstance({ ...AUTH, MAX_ADDRESS_BYTES_PER_SECOND: "1000" });
  const body = "x".repeat(5_000);
  const responses = [];
  for (let i = 0; i < 4; i++) responses.push(await post(instance.http, body));
  assertEquals([responses[0][0], responses[3][0]], [400, 429]);
  assertMatch(responses[3][1], /^not done: too many. please try again in [456] s\n$/);
  await instance.output.find(/ 127\.0\.0\.1 exceeds MAX_ADDRESS_BYTES_PER_SECOND/);
});

Deno.test("what a service publishes is charged before it is parsed", async () => {
  await using instance = await startInstance({ ...AUTH, MAX_MESSAGES_PER_SECOND: "1" });
  const responses = [];
  for (let i = 0; i < 3; i++) responses.push(await post(instance.http, "no JSON"));
  assertEquals(responses.map(([status]) => status), [400, 400, 429]);
  const token = await makeToken({ sub: "bar" });
  assertEquals(await post(instance.http, "a=&".repeat(10), { type: FORM_TYPE, token }), [
    400,
    "the form has too many fields\n",
  ]);
});
