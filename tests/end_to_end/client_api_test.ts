import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ChatClient,
  type ChatClientOptions,
  ChatError,
  type Message,
  type Welcome,
} from "../../chat/client/client.ts";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { sendWelcome, startFakeServer } from "../support/fake_server.ts";
import { startHttpServer } from "../support/http_server.ts";
import { joinMany } from "../support/recording_client.ts";
import { TextClient } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, ChatError)).code;
}

/** Collects messages until one has a text. */
async function textsUntil(last: string, messages: AsyncIterable<Message>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of messages) {
    texts.push(text);
    if (text === last) break;
  }
  return texts;
}

Deno.test("every event is told to its property and to each of its listeners", async () => {
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket);
      const lines = [
        { type: "message", id: "1-0", prev: "0-0", user: "bar", text: "one" },
        { type: "message", id: "3-0", prev: "2-0", user: "bar", text: "three" },
        { type: "joined", user: "bar", session: "s", users: 2 },
        { type: "left", user: "bar" },
        { type: "notice", text: "ops" },
      ];
      socket.send(lines.map((line) => JSON.stringify(line)).join("\n"));
    },
  });
  const told: string[] = [];
  const client = new ChatClient(server.url, "foo");
  const note = (who: string, ...what: unknown[]) => told.push(`${who} ${JSON.stringify(what)}`);
  client.onmessage = ({ text }) => note("onmessage", text);
  client.onjoined = ({ user }) => note("onjoined", user);
  client.onleft = ({ user }) => note("onleft", user);
  client.onnotice = ({ text }) => note("onnotice", text);
  client.onwelcome = ({ room }) => note("onwelcome", room);
  client.ongap = (after) => note("ongap", after);
  client.onstate = (state, reason, error) => note("onstate", state, reason, error?.code);
  for (const who of ["one", "two"]) {
    client.addEventListener("message", ({ detail: { text } }) => note(who, text));
    client.addEventListener("joined", ({ detail: { user } }) => note(who, user));
    client.addEventListener("left", ({ detail: { user } }) => note(who, user));
    client.addEventListener("notice", ({ detail: { text } }) => note(who, text));
    client.addEventListener("welcome", ({ detail: { room } }) => note(who, room));
    client.addEventListener("gap", ({ detail: { after } }) => note(who, after));
    client.addEventListener(
      "state",
      ({ detail: { state, reason, error } }) => note(who, state, reason, error?.code),
    );
  }
  const removed = () => note("removed");
  client.addEventListener("message", removed);
  client.removeEventListener("message", removed);
  client.addEventListener("message", { handleEvent: () => note("once") }, { once: true });
  await until(() => told.some((line) => line.startsWith("two") && line.includes("ops")));
  await client.close();
  const events: [string, ...unknown[]][] = [
    ["state", "connected", "", undefined],
    ["welcome", "chat"],
    ["message", "one"],
    ["gap", "1-0"],
    ["message", "three"],
    ["joined", "bar"],
    ["left", "bar"],
    ["notice", "ops"],
    ["state", "closed", "close() was called", "closed"],
  ];
  const expected = events.flatMap(([type, ...what]) =>
    [`on${type}`, "one", "two"].map((who) => `${who} ${JSON.stringify(what)}`)
  );
  expected.splice(expected.indexOf('two ["one"]') + 1, 0, "once []");
  assertEquals(told, expected);
});

/** Starts a server that sends lines to each client after the welcome, and a client of it. */
function startFeed(welcome: Partial<Welcome>, options: ChatClientOptions, ...lines: unknown[]) {
  const server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket, welcome);
      socket.send(
        [...lines, { type: "notice", text: "end" }].map((l) => JSON.stringify(l)).join("\n"),
      );
    },
  });
  const client = new ChatClient(server.url, "foo", options);
  const told: string[] = [];
  client.onmessage = ({ id }) => told.push(id);
  client.ongap = (after) => told.push(`gap after ${after}`);
  return {
    client,
    ended: new Promise<string[]>((resolve) => client.onnotice = () => resolve(told)),
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

function message(id: string, prev: string): Omit<Message, "user" | "text"> {
  return { type: "message", id, prev };
}

Deno.test("every message is delivered, and one that does not follow begins a gap", async () => {
  await using feed = startFeed(
    { last: "5-0" },
    {},
    ...[message("6-0", "5-0"), message("8-0", "7-0"), message("9-0", "8-0")],
    // After the failover of Redis, ids may be lower.
    ...[message("3-0", "2-0"), message("4-0", "3-0"), message("11-0", "3-0")],
  );
  assertEquals(await feed.ended, [
    ...["6-0", "gap after 6-0", "8-0", "9-0"],
    ...["gap after 9-0", "3-0", "4-0", "gap after 4-0", "11-0"],
  ]);
  assertEquals(feed.client.position, "11-0");
});

Deno.test("the first message after a welcome follows the room's newest one", async () => {
  await using missed = startFeed({ last: "5-0" }, {}, message("7-0", "6-0"));
  assertEquals(await missed.ended, ["gap after 5-0", "7-0"]);
  await using history = startFeed(
    { last: "5-0" },
    { history: 2 },
    ...[message("4-0", "3-0"), message("5-0", "4-0"), message("7-0", "6-0")],
  );
  assertEquals(await history.ended, ["4-0", "5-0", "gap after 5-0", "7-0"]);
  // Of a log that has expired, the server does not tell the last id.
  await using expired = startFeed({ last: "0-0" }, {}, message("7-0", "6-0"));
  assertEquals(await expired.ended, ["7-0"]);
  // Where no history is, none is awaited.
  const resync = { type: "resync", last: "7-0", gap: true };
  await using room = startFeed({ last: "0-0" }, { history: 2 }, resync, message("8-0", "7-0"));
  assertEquals(await room.ended, ["gap after 0-0", "8-0"]);
  await using empty = startFeed({ last: "5-0" }, {});
  assertEquals(await empty.ended, []);
  assertEquals(empty.client.position, "5-0");
});

Deno.test("a client that is cut off before its history asks for it again", async () => {
  const told: string[] = [];
  const missing = message("9-0", "8-0");
  await using server = startFakeServer({
    onSocket(socket, { query }) {
      told.push(query);
      const connection = told.filter((one) => one.startsWith("?")).length;
      sendWelcome(socket, { last: connection === 1 ? "5-0" : "9-0", recovered: connection > 2 });
      if (connection === 2) socket.send(JSON.stringify(missing));
      if (connection < 3) socket.close();
    },
  });
  await using client = new ChatClient(server.url, "foo", { history: 2 });
  client.onmessage = ({ id }) => told.push(id);
  client.ongap = (after) => told.push(`gap after ${after}`);
  await until(() => told.length === 4);
  assertEquals(told, [
    ...["?room=chat&history=2", "?room=chat&history=2", "9-0"],
    "?room=chat&since=9-0",
  ]);
});

Deno.test("a server corrects the position, and tells of a gap", async () => {
  await using feed = startFeed(
    { last: "5-0" },
    {},
    { type: "resync", last: "3-0", gap: false },
    message("4-0", "3-0"),
    { type: "resync", last: "8-0", gap: true },
    message("9-0", "8-0"),
    { type: "resync", last: "7-0", gap: true },
    message("10-0", "9-0"),
    message("12-0", "11-0"),
  );
  assertEquals(await feed.ended, [
    ...["4-0", "gap after 4-0", "9-0"],
    ...["gap after 9-0", "10-0", "gap after 10-0", "12-0"],
  ]);
});

Deno.test("a client that cannot resume tells of one gap", async () => {
  const lost = [message("3-0", "2-0"), message("4-0", "3-0")];
  await using older = startFeed({ last: "4-0" }, { since: "1-0" }, ...lost);
  assertEquals(await older.ended, ["gap after 1-0", "3-0", "4-0"]);
  await using newer = startFeed({ last: "2-0" }, { since: "9-0" }, ...lost);
  assertEquals(await newer.ended, ["gap after 9-0", "3-0", "4-0"]);
});

Deno.test("a signal closes a client before, while and after it connects", async () => {
  await using server = await startHttpServer();
  const early = new ChatClient(server.origin, "a", { signal: AbortSignal.abort() });
  assertEquals(early.state, "closed");
  assertEquals(await codeOf(early.ready), "closed");

  const ending = new AbortController();
  const connecting = new ChatClient(server.origin, "b", { signal: ending.signal });
  const sent = connecting.send("never");
  ending.abort();
  assertEquals(connecting.state, "closed");
  assertEquals(await codeOf(sent), "closed");

  const later = new AbortController();
  const connected = new ChatClient(server.origin, "c", { signal: later.signal });
  await connected.ready;
  assertEquals(server.sessionCount(), 1);
  later.abort();
  assertEquals(connected.state, "closed");
  await until(() => server.sessionCount() === 0);
  await connected.close();
});

Deno.test("a client is ready at its first welcome, and nobody has to wait for it", async () => {
  await using server = await startHttpServer();
  {
    await using client = new ChatClient(server.origin, "foo", { room: "red" });
    assertEquals((await client.ready).room, "red");
    assertEquals(client.state, "connected");
  }
  // The rejection that nobody handles would fail the test.
  await new ChatClient(server.origin, "foo").close();
  await until(() => server.sessionCount() === 0);
});

Deno.test("a client reads all users, and all messages page by page", async () => {
  await using server = await startHttpServer();
  const names = Array.from({ length: 450 }, (_, i) => `user-${i}`).sort();
  const others = await joinMany(
    names,
    (name) => TextClient.join(server.port, name, { room: "red" }),
  );
  const client = new ChatClient(server.origin, "foo", { room: "red" });
  const ids = await Promise.all(Array.from({ length: 70 }, (_, i) => client.send(`${i}`)));
  assertEquals((await client.users()).sort(), ["foo", ...names]);

  const newest = await client.history();
  assertEquals(newest.messages.map(({ id }) => id), ids.slice(20));
  assertEquals(newest.before, ids[20]);
  const older = await client.history({ before: ids[20], limit: 15 });
  assertEquals(older.messages.map(({ text }) => text), ids.slice(5, 20).map((_, i) => `${i + 5}`));
  assertEquals(await client.history({ before: ids[0] }), { messages: [], before: null });
  assertEquals(await codeOf(client.history({ limit: 0 })), "refused");
  await client.close();
  await Promise.all(others.map((other) => other.leave()));

  await using inDefaultRoom = new ChatClient(server.origin, "foo");
  await inDefaultRoom.ready;
  assertEquals(await inDefaultRoom.users(), ["foo"]);
});

Deno.test("what cannot be read is unavailable", async () => {
  const readBefore = () => Promise.reject(new StoreUnavailable("it is away"));
  const server = await startHttpServer({ ...openMemoryStore(readConfig({})), readBefore });
  await using client = new ChatClient(server.origin, "foo");
  await client.ready;
  const error = await assertRejects(() => client.history(), ChatError);
  assertEquals([error.code, error.message], ["unavailable", "the store does not answer"]);
  await server[Symbol.asyncDispose]();
  assertEquals(await codeOf(client.users()), "unavailable");
});

Deno.test("a loop gets each message once, in order, until the client is closed", async () => {
  await using server = await startHttpServer();
  const client = new ChatClient(server.origin, "foo");
  const loops = [textsUntil("99", client), textsUntil("never", client)];
  const all = Array.from({ length: 100 }, (_, i) => `${i}`);
  await Promise.all(all.map((text) => client.send(text)));
  assertEquals(await loops[0], all);
  await client.close();
  assertEquals(await loops[1], all);
  assertEquals(await textsUntil("never", client), []);
});

Deno.test("a loop ends with the error with which the client closes", async () => {
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket);
      const event = { type: "message", id: "1-0", prev: "0-0", user: "bar", text: "one" };
      socket.send(JSON.stringify(event));
      socket.close(4403, "put out by ann");
    },
  });
  const messages = new ChatClient(server.url, "foo")[Symbol.asyncIterator]();
  assertEquals((await messages.next()).value?.text, "one");
  const error = await assertRejects(() => messages.next(), ChatError);
  assertEquals([error.code, error.message], ["forbidden", "put out by ann"]);
});

Deno.test("a loop that is too slow gets 10,000 messages, and then an error", async () => {
  let send = (_: number) => {};
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket);
      send = (i) => {
        const event = { type: "message", id: `${i}-0`, prev: `${i - 1}-0`, user: "bar", text: "" };
        socket.send(JSON.stringify(event));
      };
    },
  });
  await using client = new ChatClient(server.url, "foo");
  await client.ready;
  const messages = client[Symbol.asyncIterator]();
  const first = messages.next();
  for (let i = 1; i <= 10_002; i++) send(i);
  assertEquals((await first).value?.id, "1-0");
  await until(() => client.position === "10002-0");
  for (let i = 2; i <= 10_001; i++) assertEquals((await messages.next()).value?.id, `${i}-0`);
  assertEquals(await codeOf(messages.next()), "too_slow");
  assertEquals((await messages.next()).done, true);
  assert(client.state === "connected");
});
