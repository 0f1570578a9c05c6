import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChatClient, ChatError } from "../../chat/client/client.ts";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { sendWelcome, startFakeServer } from "../support/fake_server.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { sleep, until } from "../support/wait.ts";

/** Collects a client's states; of a state with a reason, also the reason. */
function statesOf(client: ChatClient): string[] {
  const states: string[] = [];
  client.addEventListener("state", ({ detail: { state, reason } }) => {
    states.push(reason ? `${state}: ${reason}` : state);
  });
  return states;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, ChatError)).code;
}

/** Makes clients that notice within 400 ms that nothing arrives. */
function withShortHeartbeats<T>(make: () => T): T {
  const { setInterval } = globalThis;
  globalThis.setInterval = ((run: () => void) => setInterval(run, 200)) as typeof setInterval;
  try {
    return make();
  } finally {
    globalThis.setInterval = setInterval;
  }
}

for (const where of ["the same instance", "another instance"]) {
  Deno.test(`a client takes its name over from its lost connection on ${where}`, async () => {
    await using chat = await startTwoInstances();
    await using proxy = await startProxy(chat.one);
    const watchers = [
      await JsonClient.join(chat.one, "watcher-1"),
      await JsonClient.join(chat.two, "watcher-2"),
    ];
    const foo = withShortHeartbeats(() => new ChatClient(`ws://127.0.0.1:${proxy.port}`, "foo"));
    const states = statesOf(foo);
    await foo.send("before");
    if (where === "another instance") proxy.redirect(chat.two);
    assertEquals(proxy.freeze("/chat/foo"), 1);
    await until(() => states.length === 3, 10);
    await foo.send("after");
    assertEquals(states, ["connected", "reconnecting: the server does not answer", "connected"]);
    await foo.close();
    for (const watcher of watchers) {
      await watcher.find("left");
      const events = watcher.events.filter((e) => "user" in e && e.user === "foo")
        .map((e) => e.type === "message" ? e.text : e.type);
      assertEquals(events, ["joined", "before", "after", "left"]);
      await watcher.leave();
    }
  });
}

Deno.test("a client takes the place of another one of its page, which stays away", async () => {
  await using server = await startHttpServer();
  const watcher = await JsonClient.join(server.port, "watcher");
  const first = new ChatClient(server.origin, "foo");
  await first.ready;
  const states = statesOf(first);
  const second = new ChatClient(server.origin, "foo");
  await second.ready;
  await until(() => first.state === "closed");
  assertEquals(states, ["closed: replaced by another connection"]);
  assertEquals(await codeOf(first.send("too late")), "replaced");
  assertEquals(await codeOf(first[Symbol.asyncIterator]().next()), "replaced");
  await first.close();
  await second.send("here I am");
  await second.close();
  await watcher.find("left");
  const types = watcher.events.slice(1).map(({ type }) => type);
  assertEquals(types, ["joined", "message", "left"]);
  await watcher.leave();
});

Deno.test("of two clients that lost their server, the newer one comes back", async () => {
  await using server = await startHttpServer();
  await using proxy = await startProxy(server.port);
  const url = `ws://127.0.0.1:${proxy.port}`;
  const first = new ChatClient(url, "foo");
  await first.ready;
  proxy.block();
  const second = new ChatClient(url, "foo");
  await until(() => first.state === "closed", 10);
  assertEquals(await codeOf(first.send("too late")), "replaced");
  proxy.unblock();
  await second.ready;
  proxy.block();
  await until(() => second.state === "reconnecting", 10);
  await new ChatClient(url, "foo").close();
  proxy.unblock();
  await until(() => second.state === "connected", 10);
  await second.close();
});

Deno.test("a client gets in that is made at once after another one was closed", async () => {
  await using chat = await startTwoInstances();
  const urls = [chat.one, chat.two].map((port) => `ws://127.0.0.1:${port}`);
  for (let i = 0; i < 60; i++) {
    const first = new ChatClient(urls, "foo");
    // At first in the same tick, then while the first one connects, joins, or is there.
    if (i >= 20) await sleep(Math.floor((i - 20) / 5));
    const closed = first.close();
    const second = new ChatClient(urls, "foo");
    await second.send(`message ${i}`);
    assertEquals(second.state, "connected");
    await Promise.all([closed, second.close()]);
  }
  assertEquals(await chat.redis.users(), []);
});

Deno.test("close() resolves when the store has freed the name", async () => {
  const store = openMemoryStore(readConfig({}));
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  await using server = await startHttpServer({
    ...store,
    async release(...args) {
      asked.resolve();
      await answered.promise;
      await store.release(...args);
    },
  });
  const foo = new ChatClient(server.origin, "foo");
  await foo.ready;
  let isClosed = false;
  const closed = foo.close().then(() => isClosed = true);
  try {
    await asked.promise;
    await sleep(50);
    assert(!isClosed);
  } finally {
    answered.resolve();
  }
  await closed;
  const next = await JsonClient.join(server.port, "foo");
  await next.leave();
});

Deno.test("close() waits no longer than two seconds", async () => {
  const lines: string[] = [];
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket, { features: ["leave"] });
      socket.onmessage = ({ data }) => lines.push(data);
    },
  });
  const foo = new ChatClient(server.url, "foo");
  await foo.ready;
  await foo.close();
  assertEquals(lines, ['{"type":"leave"}']);
});

Deno.test("a server from before 0.3 is not asked to free the name", async () => {
  const lines: string[] = [];
  const code = Promise.withResolvers<number>();
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket);
      socket.onmessage = ({ data }) => lines.push(data);
      socket.onclose = (event) => code.resolve(event.code);
    },
  });
  const foo = new ChatClient(server.url, "foo");
  await foo.ready;
  await foo.close();
  assertEquals([lines, await code.promise], [[], 1000]);
});

Deno.test("a client is closed that was never welcomed", async () => {
  const opened = Promise.withResolvers<void>();
  await using server = startFakeServer({ onSocket: () => opened.resolve() });
  const foo = new ChatClient(server.url, "foo");
  await opened.promise;
  await foo.close();
  assertEquals(await codeOf(foo.ready), "closed");
});

Deno.test("a client is closed that is not welcomed again", async () => {
  let count = 0;
  const lines: string[] = [];
  const code = Promise.withResolvers<number>();
  await using server = startFakeServer({
    onSocket(socket) {
      if (++count === 1) {
        sendWelcome(socket, { features: ["leave"] });
        return socket.close(1001);
      }
      socket.onmessage = ({ data }) => lines.push(data);
      socket.onclose = (event) => code.resolve(event.code);
    },
  });
  const foo = new ChatClient(server.url, "foo");
  await until(() => count === 2, 10);
  await foo.close();
  assertEquals([lines, await code.promise], [[], 1000]);
});

Deno.test("a name that another user has taken meanwhile is lost after two minutes", async () => {
  let count = 0;
  await using server = startFakeServer({
    onSocket(socket) {
      if (++count > 1) return socket.close(4409, "the name is taken");
      sendWelcome(socket);
      socket.close(1001);
    },
  });
  const { now } = Date;
  const foo = new ChatClient(server.url, "foo");
  const ended = codeOf(foo[Symbol.asyncIterator]().next());
  await until(() => count === 3, 10);
  assertEquals(foo.state, "reconnecting");
  Date.now = () => now() + 120_000;
  try {
    await until(() => foo.state === "closed", 10);
  } finally {
    Date.now = now;
  }
  assertEquals(await ended, "name_taken");
  await foo.close();
});
