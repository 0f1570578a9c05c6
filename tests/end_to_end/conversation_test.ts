import { assertEquals } from "@std/assert";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { startTwoInstances } from "../support/two_instances.ts";

const TAKEN = "username foo is already taken. please retry with a different name";

Deno.test("the reference conversation works word for word across two instances", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  const bar = await TextClient.join(chat.one, "bar");
  await foo.until("bar: has joined the chat!");
  foo.send("hi, this is foo");
  await bar.until("foo: hi, this is foo");
  bar.send("hello foo, bar here");
  await foo.until("bar: hello foo, bar here");
  const pi = await TextClient.join(chat.two, "pi");
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
  await untilCaughtUp(chat.redis, [foo, pi]);

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

Deno.test("a taken name is refused on both instances until its owner leaves", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  for (const port of [chat.one, chat.two]) {
    const second = new TextClient(port, "foo");
    assertEquals(await second.closed, { code: 4409, reason: "the name is taken" });
    assertEquals(second.frames, [TAKEN]);
  }
  const bar = await TextClient.join(chat.two, "bar");
  await foo.leave();
  await bar.until("foo: has left the chat!");
  const next = await TextClient.join(chat.two, "foo");
  await untilCaughtUp(chat.redis, [bar, next]);
  assertEquals(bar.frames, [
    "Welcome bar!",
    "foo: has left the chat!",
    "foo: has joined the chat!",
  ]);
  await Promise.all([bar.leave(), next.leave()]);
});

Deno.test("of 50 clients that claim the same name at once, exactly one is welcomed", async () => {
  await using chat = await startTwoInstances();
  const clients = Array.from(
    { length: 50 },
    (_, i) => new TextClient([chat.one, chat.two][i % 2], "foo"),
  );
  const first = await Promise.all(clients.map((client) => client.next()));
  assertEquals(first.filter((frame) => frame === "Welcome foo!").length, 1);
  assertEquals(first.filter((frame) => frame === TAKEN).length, 49);
  assertEquals(await chat.redis.users(), ["foo"]);

  const welcomed = clients[first.indexOf("Welcome foo!")];
  await Promise.all(clients.filter((client) => client !== welcomed).map((client) => client.closed));
  assertEquals(await chat.redis.users(), ["foo"], "a refused client does not release the name");
  await untilCaughtUp(chat.redis, [welcomed]);
  assertEquals(welcomed.frames, ["Welcome foo!"]);
  await welcomed.leave();
});

/** What a terminal could take for something else is shown in another way. */
const SHOWN: Readonly<Record<string, string>> = {
  "two\nlines\r\n": "two\nfoo: lines",
  "\u0000\u007f": "\ufffd\ufffd",
};

Deno.test("texts of every kind are delivered to everyone but their sender", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  const bar = await TextClient.join(chat.two, "bar");
  const near = await TextClient.join(chat.one, "near");
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
  const expected = texts.map((text) => `foo: ${SHOWN[text] ?? text}`);
  await Promise.all([bar, near].map((client) => client.until(expected.at(-1)!)));
  await untilCaughtUp(chat.redis, [foo, bar, near]);
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

Deno.test("messages that are sent before the welcome are published after it", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  const hasty = new TextClient(chat.two, "hasty");
  await hasty.opened;
  hasty.send("one");
  hasty.send("two");
  await foo.until("hasty: two");
  await untilCaughtUp(chat.redis, [foo, hasty]);
  assertEquals(hasty.frames, ["Welcome hasty!"]);
  assertEquals(foo.frames, [
    "Welcome foo!",
    "hasty: has joined the chat!",
    "hasty: one",
    "hasty: two",
  ]);
  await Promise.all([foo.leave(), hasty.leave()]);
});

Deno.test("a line published with Redis itself reaches every text session unchanged", async () => {
  await using chat = await startTwoInstances();
  const clients = [await TextClient.join(chat.one, "foo"), await TextClient.join(chat.two, "bar")];
  await clients[0].until("bar: has joined the chat!");
  await chat.redis.command("PUBLISH", "chat", "ops: deploy at five");
  for (const client of clients) assertEquals(await client.next(), "ops: deploy at five");
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("each room has its own names, messages and channel", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  const red = await TextClient.join(chat.one, "foo", { room: "red" });
  const bar = await TextClient.join(chat.two, "bar", { room: "red" });
  await red.until("bar: has joined the chat!");
  assertEquals(await chat.redis.users(), ["foo"]);
  assertEquals(await chat.redis.users("red"), ["bar", "foo"]);
  assertEquals(await chat.redis.command("PUBSUB", "NUMSUB", "chat", "chat:red"), [
    ...["chat", 2],
    ...["chat:red", 2],
  ]);
  red.send("in red");
  assertEquals(await bar.next(), "foo: in red");
  await untilCaughtUp(chat.redis, [red, bar], "chat:red");
  await untilCaughtUp(chat.redis, [foo]);
  assertEquals(foo.frames, ["Welcome foo!"]);

  await red.leave();
  await bar.until("foo: has left the chat!");
  await bar.leave();
  await foo.leave();
  // The last user to leave a room leaves no name and no subscription behind, but the knowledge that
  // the room was shared.
  await chat.redis.untilReply("PUBSUB CHANNELS", ["chat"]);
  await chat.redis.untilReply("KEYS *chat-users*", ["{chat-users:red}:shared"]);

  // The room works again for the users who join it next.
  const [again, other] = [
    await TextClient.join(chat.one, "foo", { room: "red" }),
    await TextClient.join(chat.two, "bar", { room: "red" }),
  ];
  other.send("here again");
  await again.until("bar: here again");
  await Promise.all([again.leave(), other.leave()]);
});
