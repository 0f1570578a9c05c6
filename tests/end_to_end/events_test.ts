import { assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { nextId } from "../../chat/protocol/ids.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { type Store, StoreUnavailable } from "../../chat/store/store.ts";
import { EventRecord, EventsClient } from "../support/events_client.ts";
import { startInstance } from "../support/instance.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { run, type Running } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { makeRandom } from "../support/random.ts";
import { RawClient } from "../support/raw_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { type Claims, makeToken, secondsFromNow, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { sleep, until } from "../support/wait.ts";

Deno.test("a listener receives what JSON clients do, and nobody sees it", async () => {
  await using chat = await startTwoInstances();
  const url = `http://127.0.0.1:${chat.two}/rooms/red/events`;
  using listener = await EventsClient.open(url);
  const { status, headers } = listener.response;
  assertEquals(
    [status, ...["content-type", "cache-control", "x-accel-buffering"].map((n) => headers.get(n))],
    [200, "text/event-stream", "no-store, no-transform", "no"],
  );
  const welcome = { type: "welcome", room: "red", last: "0-0", recovered: false };
  assertEquals(await listener.find("welcome"), welcome);
  const foo = await JsonClient.join(chat.one, "foo", { room: "red" });
  const bar = await TextClient.join(chat.two, "bar", { room: "red" });
  const id = await foo.publish("hi\u2028there");
  // Another program may write a carriage return between two fields, where JSON allows it.
  await chat.redis.command("PUBLISH", "chat:red", '\x1e{"type":"later",\r"x":1}');
  await foo.leave();
  await bar.until("foo: has left the chat!");
  assertEquals(await chat.redis.users("red"), ["bar"]);
  await bar.leave();
  await until(() => listener.all("left").length === 2, 1);
  await chat.redis.command("PUBLISH", "chat:red", "nobody is here");
  await listener.find("notice");
  assertEquals(listener.events.slice(1).map(({ type, user }) => [type, user]), [
    ["joined", "foo"],
    ["joined", "bar"],
    ["message", "foo"],
    ["later", undefined],
    ["left", "foo"],
    ["left", "bar"],
    ["notice", undefined],
  ]);
  assertEquals(listener.all("message"), foo.all("message"));
  assertEquals(listener.lastEventId, id);
  const types = foo.events.map(({ type }) => type as string).filter((type) => type !== "ack");
  assertEquals(types, ["welcome", "joined", "message", "later"]);
  assertEquals(bar.frames, [
    ...["Welcome bar!", "foo: hi\nfoo: there", "foo: has left the chat!"],
  ]);
  const head = await fetch(url, { method: "HEAD" });
  assertEquals([head.status, head.headers.get("content-type")], [200, "text/event-stream"]);
});

Deno.test("a listener resumes with Last-Event-ID, since or history", async () => {
  const store = openMemoryStore({ historyLimit: 4, historySeconds: 100 });
  await using server = await startHttpServer(store);
  const url = `${server.origin}/rooms/red/events`;
  const ids: string[] = [];
  for (let i = 0; i < 8; i++) ids.push(await store.publish("red", "foo", `${i}`));
  const kept = (await store.readAfter("red", "0-0", 100)).map(({ event }) => event.text);
  const last = ids[7];
  for (
    const { query = "", lastEventId, texts, recovered = false, error } of [
      { texts: [] },
      { query: "?history=2", texts: ["6", "7"] },
      { query: `?since=${ids[5]}`, texts: ["6", "7"], recovered: true },
      { lastEventId: ids[5], texts: ["6", "7"], recovered: true },
      { lastEventId: last, texts: [], recovered: true },
      // The last id of a browser is later than what its URL says.
      { query: `?since=${ids[5]}`, lastEventId: ids[6], texts: ["7"], recovered: true },
      { query: "?history=2", lastEventId: ids[6], texts: ["7"], recovered: true },
      { lastEventId: ids[0], texts: kept },
      { lastEventId: "x", texts: [], error: 'since is "x", which is not an id' },
      {
        query: `?since=${nextId(last)}`,
        texts: [],
        error: `since is ${nextId(last)}, but the room's newest message is ${last}`,
      },
    ]
  ) {
    const headers: HeadersInit = lastEventId ? { "last-event-id": lastEventId } : {};
    using listener = await EventsClient.open(url + query, headers);
    assertEquals(await listener.find("welcome"), { type: "welcome", room: "red", last, recovered });
    if (error) assertEquals((await listener.find("error")).message, error);
    await until(() => listener.texts.length === texts.length, 1);
    assertEquals(listener.texts, texts);
    // Where messages follow, a client that has received no more than the welcome has none of them.
    assertEquals(listener.positions[0], texts.length > 0 ? "" : last);
    assertEquals(listener.lastEventId, last);
  }
  for (const query of ["?history=201", "?history=1&since=1-0"]) {
    const response = await fetch(url + query);
    assertEquals(response.status, 400);
    await response.body!.cancel();
  }
});

Deno.test("a listener resumes on an instance that is behind", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using ahead = await startInstance(redis.env);
  await using behind = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  const foo = await JsonClient.join(ahead.port, "foo", { room: "red" });
  const bar = await JsonClient.join(behind.port, "bar", { room: "red" });
  await foo.publish("one");
  await bar.find("message");
  proxy.freeze("chat-subscriber");
  const last = await foo.publish("two");
  const opening = EventsClient.open(`${behind.http}/rooms/red/events?since=${last}`);
  proxy.disconnect("by reset", "chat-subscriber");
  using listener = await opening;
  assertEquals(await listener.find("welcome"), {
    ...{ type: "welcome", room: "red", last, recovered: true },
  });
  await foo.publish("three");
  await listener.find("message");
  assertEquals(listener.texts, ["three"]);
  await foo.leave();
  await bar.leave();
});

Deno.test("a listener waits for an instance that hears nothing for seconds", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using ahead = await startInstance(redis.env);
  await using deaf = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  const foo = await JsonClient.join(ahead.port, "foo", { room: "red" });
  const bar = await JsonClient.join(deaf.port, "bar", { room: "red" });
  proxy.freeze("chat-subscriber");
  const last = await foo.publish("one");
  using listener = await EventsClient.open(`${deaf.http}/rooms/red/events?since=${last}`);
  assertEquals(await listener.find("welcome"), {
    ...{ type: "welcome", room: "red", last, recovered: true },
  });
  await foo.publish("two");
  await listener.find("message");
  assertEquals(listener.texts, ["two"]);
  await foo.leave();
  await bar.leave();
});

Deno.test("curl that is cut off at random gets each message once", async () => {
  const store = openMemoryStore({ historyLimit: 10_000, historySeconds: 100 });
  await using server = await startHttpServer(store);
  await using proxy = await startProxy(server.port);
  const random = makeRandom(22);
  const [published, received]: string[][] = [[], []];
  let isOver = false;
  async function publish(): Promise<void> {
    for (; !isOver; await sleep(1)) {
      const text = `${published.length} ${"x".repeat(20_000 * random() ** 4)}`;
      published.push(text);
      await store.publish("red", "foo", text);
    }
  }
  let lastEventId = "";
  /** Receives what comes until `end` resolves. */
  async function receive(end: (curl: Running) => Promise<void>): Promise<void> {
    const url = `http://127.0.0.1:${proxy.port}/rooms/red/events?since=0-0`;
    await using curl = run("curl", ["-sN", "-H", `Last-Event-ID: ${lastEventId}`, url]);
    await curl.output.find(/"welcome"/);
    await end(curl);
    const record = new EventRecord();
    record.add((await curl.output.end()).map((line) => `${line}\n`).join(""));
    assertEquals(record.events[0].recovered, true);
    received.push(...record.texts);
    lastEventId = record.lastEventId;
  }
  const publishing = publish();
  for (const how of ["by reset", "in order", "by reset", "in order", "by reset"] as const) {
    await receive(async () => {
      const count = published.length + Math.floor(20 * random());
      await until(() => published.length > count);
      proxy.disconnect(how);
    });
  }
  isOver = true;
  await publishing;
  await receive(async (curl) => {
    await curl.output.find(new RegExp(`"text":"${published.length - 1} `));
    curl.signal("SIGTERM");
  });
  assertEquals(received, published);
});

Deno.test("a listener that does not read is dropped, and hurts nobody", async () => {
  for (const limits of [{}, { MAX_STALL_SECONDS: "1", MAX_BUFFERED_BYTES: "100000000" }]) {
    const store = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
    await using server = await startHttpServer(store, limits);
    using reads = await EventsClient.open(`${server.origin}/rooms/red/events`);
    const text = await TextClient.join(server.port, "foo", { room: "red" });
    const hangs = await RawClient.connect(server.port);
    await hangs.write("GET /rooms/red/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await hangs.readUntil('"welcome"');
    assertEquals(server.connectionCount(), 3);
    // More than the kernel buffers for a connection.
    for (let i = 0; i < 200; i++) {
      await store.publish("red", "bar", `${i}`.padEnd(60_000, "x"));
      await until(() => reads.texts.length === i + 1);
    }
    await until(() => server.connectionCount() === 2, 10);
    await store.publish("red", "bar", "the end");
    await text.until("bar: the end");
    assertEquals(reads.texts.length, 201);
    assertEquals(text.frames.length, 202);
    // What waits at the server is forgotten, and the response ends after what is on its way.
    await hangs.readUntil("\r\n0\r\n\r\n");
    hangs.close();
    await text.leave();
  }
});

Deno.test("listeners count as connections of the server and of their address", async () => {
  for (const limit of ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS"]) {
    await using server = await startHttpServer(undefined, { [limit]: "2" });
    const url = `${server.origin}/rooms/red/events`;
    const foo = await TextClient.join(server.port, "foo");
    const listener = await EventsClient.open(url);
    await listener.find("welcome");
    using refused = await EventsClient.open(url);
    assertEquals(refused.response.status, limit === "MAX_CONNECTIONS" ? 503 : 429);
    assertEquals(refused.response.headers.get("retry-after"), "10");
    listener[Symbol.dispose]();
    await until(async () => {
      using again = await EventsClient.open(url);
      return again.response.status === 200;
    }, 10);
    await foo.leave();
  }
});

Deno.test("a stream ends with the reason when the server shuts down", async () => {
  const server = await startHttpServer();
  using listener = await EventsClient.open(`${server.origin}/rooms/red/events`);
  await listener.find("welcome");
  await server[Symbol.asyncDispose]();
  await listener.closed;
  assertEquals(listener.comments, ["the server is shutting down"]);
});

Deno.test("a listener gets 503 while the store is away, and leaves nothing behind", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
  const rooms: string[] = [];
  const store: Store = Object.assign(Object.create(memory), {
    async readAfter() {
      await sleep(0);
      throw new StoreUnavailable("down");
    },
    unsubscribe(room: string) {
      rooms.push(room);
      return memory.unsubscribe(room);
    },
  });
  await using server = await startHttpServer(store);
  await store.publish("red", "foo", "hi");
  const response = await fetch(`${server.origin}/rooms/red/events?since=0-0`);
  assertEquals([response.status, await response.text()], [503, "the store does not answer\n"]);
  assertEquals([server.connectionCount(), rooms], [0, ["red"]]);
});

Deno.test("a stream ends when its token expires, or its user is banned", async () => {
  await using server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  const url = `${server.origin}/rooms/red`;
  async function open(claims: Claims): Promise<EventsClient> {
    const client = await EventsClient.open(`${url}/events?token=${await makeToken(claims)}`);
    await client.find("welcome");
    return client;
  }
  using expires = await open({ exp: secondsFromNow(2) });
  using banned = await open({ sub: "bar" });
  using stays = await open({ sub: "pi" });
  // Nobody knows that eve moderates, who only listens.
  using moderates = await open({ sub: "eve", moderate: true });
  for (const user of ["eve", "bar"]) {
    const response = await fetch(`${url}/bans/${user}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${await makeToken({ sub: "ann", moderate: true })}` },
      body: '{"seconds":60,"address":true}',
    });
    assertEquals(response.status, 204);
  }
  await banned.closed;
  assertEquals((await banned.find("error")).message, "you were banned by ann");
  assertEquals(banned.comments, [CLOSE.forbidden.reason]);
  await expires.closed;
  assertEquals(expires.comments, [CLOSE.expired.reason]);
  // The address of the user is banned too, but nobody there is put out.
  for (const [sub, status] of [["bar", 403], ["qux", 403]] as const) {
    using refused = await EventsClient.open(`${url}/events?token=${await makeToken({ sub })}`);
    assertEquals(refused.response.status, status);
  }
  assertEquals(server.connectionCount(), 2);
  assertEquals([stays, moderates].map(({ comments }) => comments), [[], []]);
});

Deno.test("a ban that comes while a stream opens is not missed", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 100 });
  const answers = [false, true];
  const moderation = Object.assign(Object.create(memory.moderation), {
    isBanned: () => Promise.resolve(answers.shift()),
  });
  const store: Store = Object.assign(Object.create(memory), { moderation });
  await using server = await startHttpServer(store, { AUTH_SECRET: SECRET });
  const url = `${server.origin}/rooms/red/events?token=${await makeToken()}`;
  using refused = await EventsClient.open(url);
  assertEquals([refused.response.status, server.connectionCount()], [403, 0]);
});
