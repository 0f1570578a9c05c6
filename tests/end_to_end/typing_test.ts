import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { EventsClient } from "../support/events_client.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { until } from "../support/wait.ts";

const TYPING = { type: "typing" };

Deno.test("who is typing goes to all JSON clients, and is not in the log", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const bar = await JsonClient.join(chat.two, "bar");
  const texts = [await TextClient.join(chat.one, "t1"), await TextClient.join(chat.two, "t2")];
  using listener = await EventsClient.open(`http://127.0.0.1:${chat.two}/rooms/chat/events`);
  assert((await foo.welcome()).features.includes("typing"));
  await foo.publish("before");
  // More than one in three seconds is dropped.
  foo.send(TYPING, TYPING);
  foo.send(TYPING);
  await foo.publish("after");
  for (const client of [foo, bar, listener]) {
    await until(() => client.all("message").length === 2);
    const [before, typing, after, ...others] = client.events
      .filter(({ type }) => type === "message" || type === "typing");
    assertEquals([typing, others], [{ type: "typing", user: "foo" }, []]);
    assertEquals(after.prev, before.id);
  }
  for (const client of texts) {
    await client.until("foo: after");
    assertEquals(client.frames.filter((line) => !/ the chat!$|^Welcome /.test(line)), [
      "foo: before",
      "foo: after",
    ]);
  }
  assertEquals(foo.all("error"), []);
  for (const client of [foo, bar, ...texts]) await client.leave();
});

Deno.test("nobody sees a user typing who may not talk; a welcome tells what one may do", async () => {
  await using chat = await startTwoInstances({ AUTH_SECRET: SECRET });
  const join = async (port: number, sub: string, claims = {}) =>
    await JsonClient.join(port, sub, { token: await makeToken({ sub, ...claims }) });
  const ann = await join(chat.one, "ann", { moderate: true });
  const foo = await join(chat.one, "foo");
  const silent = await join(chat.one, "silent", { publish: false });
  const watcher = await join(chat.two, "watcher");
  const rights = await Promise.all([ann, foo, silent].map(async (client) => {
    const { canPublish, canModerate } = await client.welcome();
    return { canPublish, canModerate };
  }));
  assertEquals(rights, [
    { canPublish: undefined, canModerate: true },
    { canPublish: undefined, canModerate: undefined },
    { canPublish: false, canModerate: undefined },
  ]);

  silent.send(TYPING);
  const { code, message } = await silent.find("error");
  assertEquals([code, message], ["forbidden", "you may only listen"]);
  ann.send({ type: "mute", user: "foo", seconds: 60, ref: "1" });
  await ann.find("done");
  foo.send(TYPING, { type: "ping" });
  await foo.find("pong");
  ann.send(TYPING);
  await watcher.find("typing", ({ user }) => user === "ann");
  assertEquals(watcher.all("typing").length, 1);
  assertEquals(foo.all("error"), []);
  for (const client of [ann, foo, silent, watcher]) await client.leave();
});

Deno.test("who types while the store is away is told nothing, and goes on", async () => {
  const store = openMemoryStore(readConfig({}));
  const publishUnlogged = () => Promise.reject(new StoreUnavailable("away"));
  await using server = await startHttpServer({ ...store, publishUnlogged });
  const foo = await JsonClient.join(server.port, "foo");
  foo.send(TYPING, { type: "ping" });
  await foo.find("pong");
  await foo.publish("still here");
  assertEquals([foo.all("error"), foo.all("typing")], [[], []]);
  await foo.leave();
});
