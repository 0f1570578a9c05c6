import { assertEquals } from "@std/assert";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { frame, handshake, RawClient } from "../support/raw_client.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const TEXT = 1;
const CLOSE = 8;

/**
 * Defines a test in which a client misbehaves. The body returns the frames that another client, the
 * watcher, must have received; the instance must not have printed an error.
 */
function testHostile(
  name: string,
  body: (chat: { redis: TestRedis; instance: Instance; watcher: TextClient }) => Promise<string[]>,
  env: Record<string, string> = {},
): void {
  Deno.test(name, async () => {
    await using redis = await startRedis();
    await using instance = await startInstance({ ...redis.env, ...env });
    const watcher = await TextClient.join(instance.port, "watcher");
    const expected = await body({ redis, instance, watcher });
    await untilCaughtUp(redis, [watcher]);
    assertEquals(watcher.frames, ["Welcome watcher!", ...expected]);
    assertEquals(await redis.users(), ["watcher"]);

    // The name is free again, and the instance still works.
    const next = await TextClient.join(instance.port, "foo");
    await next.leave();
    await watcher.until("foo: has left the chat!");
    await watcher.leave();
    const printed = instance.output.all.filter((line) => !line.startsWith("Redis connection"));
    assertEquals(printed.length, 2, printed.join("\n"));
  });
}

const JOINED_AND_LEFT = ["foo: has joined the chat!", "foo: has left the chat!"];

testHostile("a frame after a close frame is not published", async ({ instance, watcher }) => {
  const client = await RawClient.join(instance.port, "foo");
  await client.write(
    new Uint8Array([
      ...frame(CLOSE, new Uint8Array([0x03, 0xe8])),
      ...frame(TEXT, "too late"),
    ]),
  );
  await watcher.until("foo: has left the chat!");
  client.close();
  return JOINED_AND_LEFT;
});

testHostile(
  "a user whose connection ends in the middle of a frame leaves",
  async ({ instance, watcher }) => {
    const client = await RawClient.join(instance.port, "foo");
    await client.write(frame(TEXT, "half of this is never sent").subarray(0, 12));
    client.close();
    await watcher.until("foo: has left the chat!");
    return JOINED_AND_LEFT;
  },
);

testHostile("a user whose connection is reset leaves", async ({ instance, watcher }) => {
  const client = await RawClient.join(instance.port, "foo");
  // The kernel resets the connection on close because there is unread data.
  watcher.send("unread by foo");
  await watcher.until("foo: has joined the chat!");
  const second = await TextClient.join(instance.port, "bar");
  watcher.send("unread by foo too");
  await second.until("watcher: unread by foo too");
  await client.write(frame(TEXT, "half").subarray(0, 7));
  client.close();
  await watcher.until("foo: has left the chat!");
  await second.leave();
  await watcher.until("bar: has left the chat!");
  return [
    "foo: has joined the chat!",
    "bar: has joined the chat!",
    "foo: has left the chat!",
    "bar: has left the chat!",
  ];
});

testHostile("an incomplete handshake claims no name", async ({ instance }) => {
  const client = await RawClient.connect(instance.port);
  await client.write(handshake("/chat/foo").slice(0, 60));
  client.close();
  await (await fetch(`${instance.http}/healthz`)).body?.cancel();
  return [];
});

testHostile(
  "a frame that is not UTF-8 closes only its own session",
  async ({ instance, watcher }) => {
    const client = await RawClient.join(instance.port, "foo");
    await client.write(frame(TEXT, new Uint8Array([0xff, 0xff])));
    await watcher.until("foo: has left the chat!");
    client.close();
    return JOINED_AND_LEFT;
  },
);

testHostile("a binary frame closes its session with 1003", async ({ instance, watcher }) => {
  const foo = await TextClient.join(instance.port, "foo");
  foo.send(new Uint8Array([1, 2, 3]));
  assertEquals((await foo.closed).code, 1003);
  await watcher.until("foo: has left the chat!");
  return JOINED_AND_LEFT;
});

testHostile(
  "a message over the limit closes its session with 1009",
  async ({ instance, watcher }) => {
    const foo = await TextClient.join(instance.port, "foo");
    foo.send("ab😀c");
    await watcher.until("foo: ab😀c");
    foo.send("ab😀cd");
    assertEquals((await foo.closed).code, 1009);
    await watcher.until("foo: has left the chat!");
    return ["foo: has joined the chat!", "foo: ab😀c", "foo: has left the chat!"];
  },
  { MAX_MESSAGE_BYTES: "7" },
);

testHostile(
  "a client that sends too much before the welcome is disconnected",
  async ({ redis, instance, watcher }) => {
    redis.process.signal("SIGSTOP");
    const client = await RawClient.connect(instance.port);
    await client.write(handshake("/chat/foo"));
    for (let i = 0; i < 20; i++) await client.write(frame(TEXT, "x".repeat(60_000)));
    // The client may not see a close frame: Deno resets a peer that keeps sending after one.
    await client.ended();
    redis.process.signal("SIGCONT");
    await watcher.until("foo: has left the chat!");
    client.close();
    return JOINED_AND_LEFT;
  },
);

testHostile(
  "a client that sends faster than the store appends is disconnected",
  async ({ redis, instance, watcher }) => {
    const client = await RawClient.join(instance.port, "foo");
    await watcher.until("foo: has joined the chat!");
    redis.process.signal("SIGSTOP");
    for (let i = 0; i < 20; i++) await client.write(frame(TEXT, "x".repeat(60_000)));
    await client.ended();
    redis.process.signal("SIGCONT");
    await watcher.until("foo: has left the chat!");
    client.close();
    return watcher.frames.slice(1);
  },
);

testHostile(
  "clients that leave during a flood of messages do not disturb the others",
  async (chat) => {
    const { instance, watcher } = chat;
    const talker = await TextClient.join(instance.port, "talker");
    const users = Array.from({ length: 50 }, (_, i) => `leaving-${i}`);
    const leaving = await Promise.all(users.map((user) => RawClient.join(instance.port, user)));
    const closeFrame = frame(CLOSE, new Uint8Array([0x03, 0xe8]));
    const texts = Array.from({ length: 2_000 }, (_, i) => `talker: ${i}`);
    for (const [i, text] of texts.entries()) {
      talker.send(text.slice("talker: ".length));
      // One client leaves after every 40 messages.
      if (i % 40 === 0) {
        await watcher.until(text);
        await leaving[i / 40].write(closeFrame);
      }
    }
    await watcher.until(texts.at(-1)!);
    for (const client of leaving) client.close();
    await talker.leave();
    await watcher.until("talker: has left the chat!");
    const expected = watcher.frames.slice(1);
    assertEquals(expected.filter((text) => /^talker: \d/.test(text)), texts);
    assertEquals(expected.filter((text) => /^leaving.*left/.test(text)).length, users.length);
    return expected;
  },
);

testHostile(
  "a client that stops reading is disconnected and delays nobody",
  async ({ instance, watcher }) => {
    const stuck = await RawClient.join(instance.port, "foo");
    const talker = await TextClient.join(instance.port, "talker");
    await watcher.until("talker: has joined the chat!");
    const text = "x".repeat(16 * 1024);
    let sent = 0;
    const left = watcher.until("foo: has left the chat!");
    let isConnected = true;
    left.then(() => isConnected = false);
    // The watcher receives each message before the next is sent: a delay would stop this loop.
    for (; isConnected; sent++) {
      talker.send(text);
      await watcher.received(3 + sent + 1);
    }
    await left;
    stuck.close();
    await talker.leave();
    await watcher.until("talker: has left the chat!");
    const expected = watcher.frames.slice(1);
    assertEquals(expected.filter((f) => f === `talker: ${text}`).length, sent);
    return expected;
  },
);

testHostile(
  "a client that does not answer pings is disconnected",
  async ({ instance, watcher }) => {
    const silent = await RawClient.join(instance.port, "foo");
    await watcher.until("foo: has left the chat!");
    silent.close();
    return JOINED_AND_LEFT;
  },
  { IDLE_SECONDS: "1" },
);

testHostile(
  "a client that reads nothing is disconnected even if its outbound queue is short",
  async (chat) => {
    const { instance, watcher } = chat;
    const stuck = await RawClient.join(instance.port, "foo");
    const talker = await TextClient.join(instance.port, "talker");
    // More than the kernel buffers hold, and far less than MAX_BUFFERED_BYTES.
    const text = "x".repeat(64 * 1024);
    for (let i = 0; i < 256; i++) talker.send(text);
    await watcher.until("foo: has left the chat!");
    stuck.close();
    await talker.leave();
    await watcher.until("talker: has left the chat!");
    const expected = watcher.frames.slice(1);
    assertEquals(expected.filter((f) => f === `talker: ${text}`).length, 256);
    return expected;
  },
  { MAX_STALL_SECONDS: "1", MAX_BUFFERED_BYTES: "1073741824" },
);
