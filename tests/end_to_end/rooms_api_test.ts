import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import type { Message } from "../../chat/protocol/events.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { RawClient } from "../support/raw_client.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { startTwoInstances } from "../support/two_instances.ts";

// deno-lint-ignore no-explicit-any -- the tests compare it with what they expect
async function get(url: string): Promise<any> {
  const response = await fetch(url);
  assertEquals(response.status, 200, url);
  assertEquals(response.headers.get("content-type"), "application/json");
  // A message may be removed later.
  assertEquals(response.headers.get("cache-control"), "no-store");
  return await response.json();
}

async function rssMiB({ pid }: Instance): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

Deno.test("GET /rooms/{room}/messages pages backwards through all messages", async () => {
  await using chat = await startTwoInstances();
  const url = `http://127.0.0.1:${chat.two}/rooms/red/messages`;
  assertEquals(await get(url), { messages: [], before: null });
  const foo = await JsonClient.join(chat.one, "foo", { room: "red" });
  for (let i = 0; i < 70; i++) await foo.publish(`message ${i}`, `${i}`);
  await foo.receivedMessages(70);
  const all = foo.all("message");

  const first = await get(url);
  assertEquals(first, { messages: all.slice(20), before: all[20].id });
  const second = await get(`${url}?before=${first.before}`);
  assertEquals(second, { messages: all.slice(0, 20), before: null });
  assertEquals(await get(`${url}?limit=200`), { messages: all, before: null });
  assertEquals(await get(`${url}?limit=1&before=${all[5].id}`), {
    messages: [all[4]],
    before: all[4].id,
  });
  const pages: Message[][] = [];
  for (let before = ""; before !== null;) {
    const page = await get(`${url}?limit=10${before && `&before=${before}`}`);
    pages.unshift(page.messages);
    before = page.before;
  }
  assertEquals(pages.flat(), all);
  assertEquals(await get(`http://127.0.0.1:${chat.two}/rooms/chat/messages`), {
    messages: [],
    before: null,
  });
  await foo.leave();
});

Deno.test("a page has at most 1 MiB of messages, or a single one", async () => {
  const store = openMemoryStore(readConfig({ LIMITS: "off" }));
  await using server = await startHttpServer(store);
  const sizes = [300_000, 300_000, 10, 900_000, 2_000_000, 500_000, 500_000, 10];
  const texts = sizes.map((size, i) => `${i}`.repeat(size));
  const ids: string[] = [];
  for (const text of texts) ids.push(await store.publish("red", "foo", text));
  const pages: Message[][] = [];
  for (let before = ""; before !== null;) {
    const page = await get(`${server.origin}/rooms/red/messages?limit=200${before}`);
    pages.unshift(page.messages);
    if (page.before !== null) assertEquals(page.before, page.messages[0].id);
    before = page.before && `&before=${page.before}`;
  }
  assertEquals(pages.map((page) => page.map(({ id }) => ids.indexOf(id))), [
    [0, 1],
    [2, 3],
    [4],
    [5, 6, 7],
  ]);
  assertEquals(pages.flat().map(({ text }) => text), texts);
  // The history of a join is such a page.
  const foo = await JsonClient.join(server.port, "foo", { room: "red", history: 200 });
  await foo.receivedMessages(3);
  assertEquals(foo.texts, texts.slice(5));
  await foo.leave();
});

Deno.test("HEAD of a listing reads nothing from the store", async () => {
  const fail = () => Promise.reject(new StoreUnavailable("it must not be asked"));
  const store = { ...openMemoryStore(readConfig({})), readBefore: fail, listUsers: fail };
  await using server = await startHttpServer(store);
  for (const list of ["users", "messages"]) {
    const head = (query: string) =>
      fetch(`${server.origin}/rooms/chat/${list}?${query}`, { method: "HEAD" });
    const response = await head("");
    assertEquals([response.status, await response.text()], [200, ""]);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals((await head("limit=x")).status, 400);
  }
});

Deno.test("20 pages that nobody reads silence no room", async () => {
  await using redis = await startRedis();
  const env = { ...redis.env, MAX_MESSAGE_BYTES: "1048576" };
  await using instance = await startInstance(env);
  const foo = await JsonClient.join(instance.port, "foo", { room: "red" });
  const bar = await JsonClient.join(instance.port, "bar", { room: "red" });
  const text = "x".repeat(390_000);
  for (let i = 0; i < 200; i++) await foo.publish(text);
  const readers = await Promise.all(
    Array.from({ length: 20 }, () => RawClient.connect(instance.port)),
  );
  const path = "/rooms/red/messages?limit=200";
  await Promise.all(
    readers.map((client) => client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)),
  );
  for (let i = 0; i < 50; i++) await foo.publish(`message ${i}`, `${i}`);
  await bar.find("message", (message) => message.text === "message 49");
  assertEquals(foo.all("error"), []);
  // The log has 74 MiB, so 20 whole pages would take more than a gigabyte.
  assert(await rssMiB(instance) < 800, `${await rssMiB(instance)} MiB`);
  for (const client of readers) client.close();
  await foo.leave();
  await bar.leave();
});

Deno.test("GET /rooms/{room}/users lists the users in a room on all instances", async () => {
  await using chat = await startTwoInstances();
  const names = Array.from({ length: 300 }, (_, i) => `user-${i}`);
  const clients = await joinMany(
    names,
    (name, i) => TextClient.join([chat.one, chat.two][i % 2], name),
  );
  const url = `http://127.0.0.1:${chat.one}/rooms/chat/users`;
  const seen: string[] = [];
  let count = 0;
  for (let from = ""; from !== null; count++) {
    const page = await get(`${url}?limit=30${from && `&from=${from}`}`);
    assertEquals(page.total, 300);
    seen.push(...page.users);
    from = page.from;
  }
  assert(count > 3, `${count} pages`);
  assertEquals([...new Set(seen)].sort(), names.sort());
  assertEquals(await get(`http://127.0.0.1:${chat.one}/rooms/red/users`), {
    users: [],
    total: 0,
    from: null,
  });
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("an invalid listing request is refused with a line that says why", async () => {
  await using server = await startHttpServer();
  const cases = {
    "/rooms/a%20b/users":
      '400 the room name "a%20b" is not 1 to 64 of the characters A-Z a-z 0-9 . _ -',
    "/rooms/chat/users?limit=0": '400 limit is "0": give a whole number from 1 to 200',
    "/rooms/chat/messages?limit=201": '400 limit is "201": give a whole number from 1 to 200',
    "/rooms/chat/messages?limit=1&limit=2": "400 limit is given more than once",
    "/rooms/chat/events?since=1-0&since=2-0": "400 since is given more than once",
    "/rooms/chat/messages?before=now": '400 before is "now": give the id of a message',
    "/rooms/chat/users?from=x": '400 from is "x": give what the page before has in it',
    "/rooms/chat": "404 /rooms/chat is not here, the chat is at /chat/{user}",
    "/rooms/chat/others": "404 /rooms/chat/others is not here, the chat is at /chat/{user}",
  };
  for (const [path, expected] of Object.entries(cases)) {
    const response = await fetch(server.origin + path);
    assertEquals(`${response.status} ${await response.text()}`, `${expected}\n`);
  }
});

Deno.test("while the store is unavailable, a listing request is refused with 503", async () => {
  const fail = () => Promise.reject(new StoreUnavailable("it is away"));
  const store = { ...openMemoryStore(readConfig({})), readBefore: fail, listUsers: fail };
  await using server = await startHttpServer(store);
  for (const path of ["/rooms/chat/users", "/rooms/chat/messages"]) {
    const response = await fetch(server.origin + path);
    assertEquals(
      `${response.status} ${await response.text()}`,
      "503 the store does not answer\n",
    );
  }
});
