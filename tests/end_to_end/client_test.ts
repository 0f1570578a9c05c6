import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ChatClient, ChatError, type ChatState, type Message } from "../../chat/client/client.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { freePort } from "../support/ports.ts";
import { startProxy } from "../support/proxy.ts";
import { startTwoInstances } from "../support/two_instances.ts";

/** The next call of one of a client's callbacks, with what it is called with. */
function next<K extends "onmessage" | "onwelcome" | "ongap" | "onstate">(
  client: ChatClient,
  callback: K,
): Promise<Parameters<ChatClient[K]>[0]> {
  return new Promise((resolve) => client[callback] = resolve as ChatClient[K]);
}

Deno.test("a client says its state, and resumes where it was", async () => {
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

Deno.test("a client begins with history, or after an id, without what was said before", async () => {
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

Deno.test("a client that was away for too long tells after which message there is a hole", async () => {
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

Deno.test("what the server will not take is rejected, and the rest goes on", async () => {
  await using instance = await startInstance({ MAX_MESSAGE_BYTES: "1000" });
  const foo = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  const sends = [foo.send("one"), foo.send("x".repeat(1001)), foo.send("three")];
  const error = await assertRejects(() => sends[1], ChatError);
  assertEquals(error.code, "too_large");
  assert(await sends[0] < await sends[2]);

  const second = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  const unsent = second.send("never");
  assertEquals(await next(second, "onstate"), "closed");
  assertEquals((await assertRejects(() => unsent, ChatError)).code, "closed");
  await assertRejects(() => second.send("too late"), ChatError);
  await Promise.all([foo.close(), second.close()]);
  await foo.close();
});

Deno.test("what is too large for the server at once is sent little by little, or rejected", async () => {
  await using instance = await startInstance({
    MAX_MESSAGE_BYTES: "1000",
    MAX_BUFFERED_BYTES: "8192",
  });
  const foo = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  const sends = Array.from({ length: 64 }, (_, i) => foo.send(`${i} `.repeat(60)));
  const tooLarge = foo.send("x".repeat(20_000));
  const after = foo.send("after it");
  await Promise.all(sends);
  assertEquals((await assertRejects(() => tooLarge, ChatError)).code, "too_large");
  await after;
  await foo.close();
});

Deno.test("a client that is cut off before it got a message misses none", async () => {
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

Deno.test("a callback that throws keeps nothing from the others", async () => {
  await using instance = await startInstance();
  const errors: string[] = [];
  const note = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.message);
  };
  addEventListener("error", note);
  const foo = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  foo.onwelcome = () => {
    throw new Error("at the welcome");
  };
  let count = 0;
  const done = new Promise<void>((resolve) =>
    foo.onmessage = () => {
      if (++count === 3) resolve();
      throw new Error("at a message");
    }
  );
  await Promise.all([1, 2, 3].map((n) => foo.send(`${n}`)));
  await done;
  await foo.close();
  removeEventListener("error", note);
  assertEquals(errors.map((message) => message.replace(/^Uncaught Error: /, "")), [
    "at the welcome",
    ...["at a message", "at a message", "at a message"],
  ]);
});

Deno.test("a server that says nothing is left for the next one, and without waiting for its goodbye", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using instance = await startInstance();
  // Its looks are ten seconds apart otherwise.
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

Deno.test("what is said while no server is there is sent when one is, in order", async () => {
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
