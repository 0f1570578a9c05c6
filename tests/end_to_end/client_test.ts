import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { deadline } from "../../chat/store/deadline.ts";
import { ChatClient, ChatError, type ChatState, type Message } from "../../chat/client/client.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { freePort } from "../support/ports.ts";
import { startProxy } from "../support/proxy.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { TIMEOUT_MS } from "../support/wait.ts";

/** Resolves with the first argument of the next call to a callback. */
function next<K extends "onmessage" | "onwelcome" | "ongap" | "onstate">(
  client: ChatClient,
  callback: K,
): Promise<Parameters<ChatClient[K]>[0]> {
  return new Promise((resolve) => client[callback] = resolve as ChatClient[K]);
}

/** Starts a server that welcomes each client and states no limits. */
function serveWelcome(onJoined: (socket: WebSocket) => void): Deno.HttpServer<Deno.NetAddr> {
  const welcome = { user: "foo", room: "chat", last: "0-0", recovered: false, users: 1 };
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol: "chat.json.v1" });
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "welcome", ...welcome }));
      onJoined(socket);
    };
    return response;
  });
}

Deno.test("a client reports its state, and resumes after a lost connection", async () => {
  await using chat = await startTwoInstances();
  await using proxy = await startProxy(chat.one);
  const states: ChatState[] = [];
  const foo = new ChatClient(`http://127.0.0.1:${proxy.port}`, "foo", { room: "red" });
  assertEquals(foo.state, "connecting");
  foo.onstate = (state) => states.push(state);
  await next(foo, "onwelcome");
  const bar = await JsonClient.join(chat.two, "bar", { room: "red" });
  await bar.publish("before");
  proxy.disconnect("by reset");
  const missed = await bar.publish("while it was away");
  const texts: string[] = [];
  const done = new Promise<void>((resolve) =>
    foo.onmessage = ({ id, text }) => {
      texts.push(text);
      if (id === missed) resolve();
    }
  );
  await done;
  assertEquals(texts.at(-1), "while it was away");
  assertEquals(foo.position, missed);
  await foo.close();
  assertEquals(states, ["connected", "reconnecting", "connected", "closed"]);
  await bar.leave();
});

Deno.test("a client starts with history, or after an id, or with new messages", async () => {
  await using chat = await startTwoInstances();
  const url = `ws://127.0.0.1:${chat.one}`;
  const foo = await JsonClient.join(chat.two, "foo");
  const ids = [await foo.publish("one"), await foo.publish("two"), await foo.publish("three")];
  async function textsOf(user: string, options: { history?: number; since?: string }) {
    const client = new ChatClient(url, user, options);
    const texts: string[] = [];
    const done = new Promise<void>((resolve) =>
      client.onmessage = ({ text }) => {
        texts.push(text);
        if (text === `hello ${user}`) resolve();
      }
    );
    await client.send(`hello ${user}`);
    await done;
    await client.close();
    return texts;
  }
  assertEquals(await textsOf("a", {}), ["hello a"]);
  assertEquals(await textsOf("b", { history: 2 }), ["three", "hello a", "hello b"]);
  assertEquals(await textsOf("c", { since: ids[1] }), ["three", "hello a", "hello b", "hello c"]);
  assertThrows(() => new ChatClient(url, "d", { since: "yesterday" }), TypeError, "yesterday");
  assertThrows(() => new ChatClient(url, "d", { since: ids[0], history: 1 }), TypeError, "both");
  assertThrows(() => new ChatClient("nowhere", "d"), TypeError);
  assertThrows(() => new ChatClient([url, "nowhere"], "d"), TypeError);
  assertThrows(() => new ChatClient(url, ".."), TypeError, "..");
  await foo.leave();
});

Deno.test("a client that was away for too long reports the gap", async () => {
  await using chat = await startTwoInstances({ HISTORY_LIMIT: "10" });
  const foo = await JsonClient.join(chat.two, "foo");
  const since = await foo.publish("seen");
  await Promise.all(Array.from({ length: 300 }, (_, i) => foo.publish(`message ${i}`)));
  const happened: string[] = [];
  const late = new ChatClient(`ws://127.0.0.1:${chat.one}`, "late", { since });
  late.ongap = (after) => happened.push(`gap after ${after}`);
  const done = new Promise<Message>((resolve) =>
    late.onmessage = (message) => {
      happened.push(message.text);
      if (message.text === "message 299") resolve(message);
    }
  );
  await done;
  assertEquals(happened[0], `gap after ${since}`);
  assertEquals(happened.filter((one) => one.startsWith("gap")).length, 1);
  const left = happened.slice(1);
  assertEquals(left, Array.from({ length: 300 }, (_, i) => `message ${i}`).slice(-left.length));
  await late.close();
  await foo.leave();
});

Deno.test("a message that the server refuses is rejected, and the others are sent", async () => {
  await using instance = await startInstance({ MAX_MESSAGE_BYTES: "1000" });
  const foo = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  const sends = [foo.send("one"), foo.send("x".repeat(1001)), foo.send("three")];
  const error = await assertRejects(() => sends[1], ChatError);
  assertEquals(error.code, "too_large");
  assert(await sends[0] < await sends[2]);

  const bar = await JsonClient.join(instance.port, "bar");
  const second = new ChatClient(`ws://127.0.0.1:${instance.port}`, "bar");
  const pending = second.send("never");
  assertEquals(await next(second, "onstate"), "closed");
  assertEquals((await assertRejects(() => pending, ChatError)).code, "name_taken");
  await assertRejects(() => second.send("too late"), ChatError);
  await Promise.all([foo.close(), second.close(), bar.leave()]);
  await foo.close();
});

Deno.test("a client keeps to the server's limits, and is never disconnected", async () => {
  await using instance = await startInstance({
    MAX_MESSAGE_BYTES: "4000",
    MAX_BUFFERED_BYTES: "8192",
  });
  const states: ChatState[] = [];
  const foo = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  foo.onstate = (state) => {
    states.push(state);
    if (state === "reconnecting") foo.close();
  };
  const sendMany = () => Array.from({ length: 64 }, (_, i) => foo.send(`${i} `.repeat(60)));
  const early = sendMany();
  const tooLarge = [foo.send("x".repeat(20_000)), foo.send("\0".repeat(2_000))];
  const after = foo.send("after it");
  for (const send of tooLarge) {
    assertEquals((await assertRejects(() => send, ChatError)).code, "too_large");
  }
  await Promise.all([...early, after, ...sendMany(), foo.send("\0".repeat(660))]);
  await foo.close();
  assertEquals(states, ["connected", "closed"]);
});

Deno.test("the server may state no limits, and may send unknown events", async () => {
  await using server = serveWelcome((socket) => {
    socket.send('{"type":"reacted","user":"bar"}');
    socket.onmessage = ({ data }) => {
      const { text, ref } = JSON.parse(data);
      const ack = { type: "ack", ref, id: "1-0" };
      const message = { type: "message", id: "1-0", prev: "0-0", user: "foo", text, ref };
      socket.send(`${JSON.stringify(ack)}\n${JSON.stringify(message)}`);
    };
  });
  const foo = new ChatClient(`ws://127.0.0.1:${server.addr.port}`, "foo");
  const received = next(foo, "onmessage");
  assertEquals(await foo.send("x".repeat(65_536)), "1-0");
  assertEquals((await received).text.length, 65_536);
  const error = await assertRejects(() => foo.send("x".repeat(65_537)), ChatError);
  assertEquals(error.code, "too_large");
  await foo.close();
});

Deno.test("a client that is closed after a lost connection does not come back", {
  // The test fails if the timer of a reconnect is left.
  sanitizeOps: true,
}, async () => {
  await using server = serveWelcome((socket) => socket.close(1001));
  const foo = new ChatClient(`ws://127.0.0.1:${server.addr.port}`, "foo");
  const states: ChatState[] = [];
  await new Promise<void>((resolve) =>
    foo.onstate = (state) => {
      states.push(state);
      if (state === "reconnecting") foo.close().then(resolve);
    }
  );
  assertEquals(states, ["connected", "reconnecting", "closed"]);
});

Deno.test("a client that is cut off before its first message misses none", async () => {
  await using chat = await startTwoInstances();
  await using proxy = await startProxy(chat.one);
  const foo = new ChatClient(`ws://127.0.0.1:${proxy.port}`, "foo", { history: 5 });
  await next(foo, "onwelcome");
  const texts: string[] = [];
  const done = new Promise<void>((resolve) =>
    foo.onmessage = ({ text }) => {
      texts.push(text);
      if (texts.length === 20) resolve();
    }
  );
  foo.ongap = (after) => texts.push(`gap after ${after}`);
  proxy.block();
  const bar = await JsonClient.join(chat.two, "bar");
  for (let i = 0; i < 20; i++) await bar.publish(`message ${i}`);
  proxy.unblock();
  await done;
  assertEquals(texts, Array.from({ length: 20 }, (_, i) => `message ${i}`));
  await foo.close();
  await bar.leave();
});

Deno.test("a callback that throws stops nothing else", async () => {
  await using instance = await startInstance();
  await using proxy = await startProxy(instance.port);
  const errors: string[] = [];
  const note = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.message.replace(/^Uncaught Error: /, ""));
  };
  addEventListener("error", note);
  const foo = new ChatClient(`ws://127.0.0.1:${proxy.port}`, "foo", { since: "1-0" });
  function throwAt(what: string): never {
    throw new Error(what);
  }
  foo.onwelcome = () => throwAt("at the welcome");
  foo.ongap = () => throwAt("at the gap");
  foo.addEventListener("gap", () => throwAt("in a listener"));
  let count = 0;
  const done = new Promise<void>((resolve) =>
    foo.onmessage = () => {
      if (++count === 3) resolve();
      throwAt("at a message");
    }
  );
  await Promise.all([1, 2, 3].map((n) => foo.send(`${n}`)));
  await done;
  foo.onstate = (state) => throwAt(state);
  const back = new Promise((resolve) =>
    foo.onwelcome = (welcome) => {
      resolve(welcome);
      throwAt("at the second welcome");
    }
  );
  proxy.disconnect("by reset");
  await deadline(back, TIMEOUT_MS);
  await foo.close();
  await foo.close();
  removeEventListener("error", note);
  assertEquals(errors, [
    ...["in a listener", "at the welcome", "at the gap"],
    ...["at a message", "at a message", "at a message"],
    ...["reconnecting", "connected", "at the second welcome", "closed"],
  ]);
});

Deno.test("a client leaves a silent server for the next one, without its goodbye", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using instance = await startInstance();
  // The heartbeats are ten seconds apart otherwise.
  const { setInterval } = globalThis;
  globalThis.setInterval = ((run: () => void) => setInterval(run, 200)) as typeof setInterval;
  const urls = [`ws://127.0.0.1:${silent.addr.port}`, `ws://127.0.0.1:${instance.port}`];
  const foo = new ChatClient(urls, "foo");
  const bar = new ChatClient(urls[0], "bar");
  globalThis.setInterval = setInterval;
  await foo.send("hello");
  await bar.close();
  assertEquals(bar.state, "closed");
  await foo.close();
});

Deno.test("messages are kept in order until there is a server", async () => {
  const port = freePort();
  const foo = new ChatClient([`ws://127.0.0.1:${port}`], "foo");
  const sends = Array.from({ length: 200 }, (_, i) => foo.send(`message ${i}`));
  await using _instance = await startInstance({ PORT: `${port}` });
  const texts: string[] = [];
  const done = new Promise<void>((resolve) =>
    foo.onmessage = ({ text }) => {
      texts.push(text);
      if (text === "end") resolve();
    }
  );
  await Promise.all([...sends, foo.send("end"), done]);
  assertEquals(texts, [...Array.from({ length: 200 }, (_, i) => `message ${i}`), "end"]);
  await foo.close();
});
