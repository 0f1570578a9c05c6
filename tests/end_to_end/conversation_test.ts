import { assertEquals } from "@std/assert";
import { Client, settle } from "../support/client.ts";
import { startTwo } from "../support/two.ts";

const TAKEN = "username foo is already taken. please retry with a different name";

Deno.test("the reference conversation goes word for word over two instances", async () => {
  await using chat = await startTwo();
  const foo = await Client.join(chat.one, "foo");
  const bar = await Client.join(chat.one, "bar");
  await foo.until("bar: has joined the chat!");
  foo.send("hi, this is foo");
  await bar.until("foo: hi, this is foo");
  bar.send("hello foo, bar here");
  await foo.until("bar: hello foo, bar here");
  const pi = await Client.join(chat.two, "pi");
  await foo.until("pi: has joined the chat!");
  await bar.until("pi: has joined the chat!");
  pi.send("hi all, I am on the other instance");
  await foo.until("pi: hi all, I am on the other instance");
  await bar.until("pi: hi all, I am on the other instance");
  foo.send("welcome pi");
  await pi.until("foo: welcome pi");
  await bar.until("foo: welcome pi");
  bar.send("have to go");
  await foo.until("bar: have to go");
  await pi.until("bar: have to go");
  assertEquals(await chat.redis.users(), ["bar", "foo", "pi"]);
  assertEquals(await chat.redis.command("PUBSUB", "CHANNELS"), ["chat"]);
  await bar.leave();
  await foo.until("bar: has left the chat!");
  await pi.until("bar: has left the chat!");
  assertEquals(await chat.redis.users(), ["foo", "pi"]);
  await settle(chat.redis, [foo, pi]);

  assertEquals(foo.frames, [
    "Welcome foo!",
    "bar: has joined the chat!",
    "bar: hello foo, bar here",
    "pi: has joined the chat!",
    "pi: hi all, I am on the other instance",
    "bar: have to go",
    "bar: has left the chat!",
  ]);
  assertEquals(bar.frames, [
    "Welcome bar!",
    "foo: hi, this is foo",
    "pi: has joined the chat!",
    "pi: hi all, I am on the other instance",
    "foo: welcome pi",
  ]);
  assertEquals(pi.frames, [
    "Welcome pi!",
    "foo: welcome pi",
    "bar: have to go",
    "bar: has left the chat!",
  ]);
  await Promise.all([foo.leave(), pi.leave()]);
});

Deno.test("a taken name is refused on either instance, and free after its holder left", async () => {
  await using chat = await startTwo();
  const foo = await Client.join(chat.one, "foo");
  for (const port of [chat.one, chat.two]) {
    const second = new Client(port, "foo");
    assertEquals(await second.closed, { code: 4409, reason: "the name is taken" });
    assertEquals(second.frames, [TAKEN]);
  }
  const bar = await Client.join(chat.two, "bar");
  await foo.leave();
  await bar.until("foo: has left the chat!");
  const next = await Client.join(chat.two, "foo");
  await settle(chat.redis, [bar, next]);
  assertEquals(bar.frames, [
    "Welcome bar!",
    "foo: has left the chat!",
    "foo: has joined the chat!",
  ]);
  await Promise.all([bar.leave(), next.leave()]);
});

Deno.test("of 50 who claim one name at once over two instances one is welcomed", async () => {
  await using chat = await startTwo();
  const clients = Array.from(
    { length: 50 },
    (_, i) => new Client([chat.one, chat.two][i % 2], "foo"),
  );
  const first = await Promise.all(clients.map((client) => client.next()));
  assertEquals(first.filter((frame) => frame === "Welcome foo!").length, 1);
  assertEquals(first.filter((frame) => frame === TAKEN).length, 49);
  assertEquals(await chat.redis.users(), ["foo"]);

  const welcomed = clients[first.indexOf("Welcome foo!")];
  await Promise.all(clients.filter((client) => client !== welcomed).map((client) => client.closed));
  assertEquals(await chat.redis.users(), ["foo"], "those who were refused free nothing");
  await settle(chat.redis, [welcomed]);
  assertEquals(welcomed.frames, ["Welcome foo!"]);
  await welcomed.leave();
});

Deno.test("texts of every kind arrive unchanged, at everyone but their sender", async () => {
  await using chat = await startTwo();
  const foo = await Client.join(chat.one, "foo");
  const bar = await Client.join(chat.two, "bar");
  const near = await Client.join(chat.one, "near");
  await foo.until("near: has joined the chat!");
  await bar.until("near: has joined the chat!");
  const texts = [
    "",
    "bar: I only quote you",
    "foo: and me",
    "foo: has left the chat!",
    "a:b:c: d",
    "two\nlines\r\n",
    "👩‍👩‍👧 😀 e\u0301",
    "\u0000\u007f",
    '{"type":"left","user":"bar"}',
    "x".repeat(16 * 1024),
    "😀".repeat(16 * 1024),
  ];
  for (const text of texts) foo.send(text);
  bar.send("done");
  const expected = texts.map((text) => `foo: ${text}`);
  await Promise.all([bar, near].map((client) => client.until(expected.at(-1)!)));
  await settle(chat.redis, [foo, bar, near]);
  assertEquals(bar.frames, ["Welcome bar!", "near: has joined the chat!", ...expected]);
  assertEquals(near.frames.filter((frame) => frame !== "bar: done"), [
    "Welcome near!",
    ...expected,
  ]);
  assertEquals(foo.frames, [
    "Welcome foo!",
    "bar: has joined the chat!",
    "near: has joined the chat!",
    "bar: done",
  ]);
  await Promise.all([foo, bar, near].map((client) => client.leave()));
});

Deno.test("what comes before the welcome is said after it", async () => {
  await using chat = await startTwo();
  const foo = await Client.join(chat.one, "foo");
  const hasty = new Client(chat.two, "hasty");
  await hasty.opened;
  hasty.send("one");
  hasty.send("two");
  await foo.until("hasty: two");
  await settle(chat.redis, [foo, hasty]);
  assertEquals(hasty.frames, ["Welcome hasty!"]);
  assertEquals(foo.frames, [
    "Welcome foo!",
    "hasty: has joined the chat!",
    "hasty: one",
    "hasty: two",
  ]);
  await Promise.all([foo.leave(), hasty.leave()]);
});

Deno.test("a line published with Redis itself reaches every text session as it is", async () => {
  await using chat = await startTwo();
  const clients = [await Client.join(chat.one, "foo"), await Client.join(chat.two, "bar")];
  await clients[0].until("bar: has joined the chat!");
  await chat.redis.command("PUBLISH", "chat", "ops: deploy at five");
  for (const client of clients) assertEquals(await client.next(), "ops: deploy at five");
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("rooms are apart: names, messages, channels", async () => {
  await using chat = await startTwo();
  const foo = await Client.join(chat.one, "foo");
  const red = await Client.join(chat.one, "foo", "red");
  const bar = await Client.join(chat.two, "bar", "red");
  await red.until("bar: has joined the chat!");
  assertEquals(await chat.redis.users(), ["foo"]);
  assertEquals(await chat.redis.users("red"), ["bar", "foo"]);
  assertEquals(await chat.redis.command("PUBSUB", "NUMSUB", "chat", "chat:red"), [
    ...["chat", 2],
    ...["chat:red", 2],
  ]);
  red.send("in red");
  assertEquals(await bar.next(), "foo: in red");
  await settle(chat.redis, [red, bar], "chat:red");
  await settle(chat.redis, [foo]);
  assertEquals(foo.frames, ["Welcome foo!"]);

  await red.leave();
  await bar.until("foo: has left the chat!");
  await bar.leave();
  await foo.leave();
  // The last one out frees the last name and unsubscribes its instance: nothing is left behind.
  await chat.redis.becomes("PUBSUB CHANNELS", ["chat"]);
  await chat.redis.becomes("KEYS *chat-users*", []);

  // And whoever comes then finds the room as good as new.
  const [again, other] = [
    await Client.join(chat.one, "foo", "red"),
    await Client.join(chat.two, "bar", "red"),
  ];
  other.send("here again");
  await again.until("bar: here again");
  await Promise.all([again.leave(), other.leave()]);
});

Deno.test("200 users on two instances get each other's 20 messages in one order", async () => {
  await using chat = await startTwo();
  const [users, messages] = [200, 20];
  const clients = await Promise.all(
    Array.from({ length: users }, (_, i) => Client.join([chat.one, chat.two][i % 2], `user-${i}`)),
  );
  await settle(chat.redis, clients);
  for (const client of clients) client.forgetAll();
  for (let n = 0; n < messages; n++) {
    clients.forEach((client, i) => client.send(`message ${n} of ${i}`));
  }
  await Promise.all(clients.map((client) => client.received((users - 1) * messages)));
  await settle(chat.redis, clients);

  // With one's own put in where everyone else has them, all orders are the same.
  const order = clients[0].frames;
  const withOwn = new Set([...clients[1].frames, ...order]);
  assertEquals(withOwn.size, users * messages);
  for (const [i, client] of clients.entries()) {
    assertEquals(client.frames.length, (users - 1) * messages);
    const theirs = client.frames.filter((frame) => !frame.startsWith("user-0: "));
    const others = order.filter((frame) => !frame.startsWith(`user-${i}: `));
    assertEquals(theirs, others);
  }
  const [last, ...leaving] = clients;
  last.forgetAll();
  await Promise.all(leaving.map((client) => client.leave()));
  await last.received(users - 1);
  assertEquals(await chat.redis.users(), ["user-0"]);
  await last.leave();
});
