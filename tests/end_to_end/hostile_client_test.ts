import { assertEquals } from "@std/assert";
import { Client, settle } from "../support/client.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { frame, handshake, RawPeer } from "../support/raw.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const TEXT = 1;
const CLOSE = 8;

/** Runs a test beside an instance with a watcher, who must see just these frames and nothing printed as an error. */
function hostile(
  statement: string,
  body: (chat: { redis: TestRedis; instance: Instance; watcher: Client }) => Promise<string[]>,
  env: Record<string, string> = {},
): void {
  Deno.test(statement, async () => {
    await using redis = await startRedis();
    await using instance = await startInstance({ ...redis.env, ...env });
    const watcher = await Client.join(instance.port, "watcher");
    const expected = await body({ redis, instance, watcher });
    await settle(redis, [watcher]);
    assertEquals(watcher.frames, ["Welcome watcher!", ...expected]);
    assertEquals(await redis.users(), ["watcher"]);

    // The name is free again, and the instance as good as new.
    const next = await Client.join(instance.port, "foo");
    await next.leave();
    await watcher.until("foo: has left the chat!");
    await watcher.leave();
    const printed = instance.output.all.filter((line) => !line.startsWith("Redis connection"));
    assertEquals(printed.length, 2, printed.join("\n"));
  });
}

const CAME_AND_WENT = ["foo: has joined the chat!", "foo: has left the chat!"];

hostile("a frame after a close frame is not said", async ({ instance, watcher }) => {
  const peer = await RawPeer.join(instance.port, "foo");
  await peer.write(
    new Uint8Array([
      ...frame(CLOSE, new Uint8Array([0x03, 0xe8])),
      ...frame(TEXT, "too late"),
    ]),
  );
  await watcher.until("foo: has left the chat!");
  peer.close();
  return CAME_AND_WENT;
});

hostile("a connection cut in the middle of a frame leaves", async ({ instance, watcher }) => {
  const peer = await RawPeer.join(instance.port, "foo");
  await peer.write(frame(TEXT, "half of this is never sent").subarray(0, 12));
  peer.close();
  await watcher.until("foo: has left the chat!");
  return CAME_AND_WENT;
});

hostile("a connection that is reset leaves", async ({ instance, watcher }) => {
  const peer = await RawPeer.join(instance.port, "foo");
  // Unread data makes the kernel answer the close with a reset.
  watcher.send("unread by foo");
  await watcher.until("foo: has joined the chat!");
  const second = await Client.join(instance.port, "bar");
  watcher.send("unread by foo too");
  await second.until("watcher: unread by foo too");
  await peer.write(frame(TEXT, "half").subarray(0, 7));
  peer.close();
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

hostile("a handshake that stops half way claims nothing", async ({ instance }) => {
  const peer = await RawPeer.connect(instance.port);
  await peer.write(handshake("/chat/foo").slice(0, 60));
  peer.close();
  await (await fetch(`${instance.http}/healthz`)).body?.cancel();
  return [];
});

hostile("a frame that is not UTF-8 ends its session alone", async ({ instance, watcher }) => {
  const peer = await RawPeer.join(instance.port, "foo");
  await peer.write(frame(TEXT, new Uint8Array([0xff, 0xff])));
  await watcher.until("foo: has left the chat!");
  peer.close();
  return CAME_AND_WENT;
});

hostile("a binary frame closes its session with 1003", async ({ instance, watcher }) => {
  const foo = await Client.join(instance.port, "foo");
  foo.send(new Uint8Array([1, 2, 3]));
  assertEquals((await foo.closed).code, 1003);
  await watcher.until("foo: has left the chat!");
  return CAME_AND_WENT;
});

hostile("a message over the limit closes its session with 1009", async ({ instance, watcher }) => {
  const foo = await Client.join(instance.port, "foo");
  foo.send("ab😀c");
  await watcher.until("foo: ab😀c");
  foo.send("ab😀cd");
  assertEquals((await foo.closed).code, 1009);
  await watcher.until("foo: has left the chat!");
  return ["foo: has joined the chat!", "foo: ab😀c", "foo: has left the chat!"];
}, { MAX_MESSAGE_BYTES: "7" });

hostile("a flood before the welcome is not kept", async ({ redis, instance, watcher }) => {
  redis.process.signal("SIGSTOP");
  const peer = await RawPeer.connect(instance.port);
  await peer.write(handshake("/chat/foo"));
  for (let i = 0; i < 20; i++) await peer.write(frame(TEXT, "x".repeat(60_000)));
  // Not by a close frame that it could read: Deno drops a peer that goes on sending after it.
  await peer.ended();
  redis.process.signal("SIGCONT");
  await watcher.until("foo: has left the chat!");
  peer.close();
  return CAME_AND_WENT;
});

hostile(
  "a flood faster than the store takes it is not kept",
  async ({ redis, instance, watcher }) => {
    const peer = await RawPeer.join(instance.port, "foo");
    await watcher.until("foo: has joined the chat!");
    redis.process.signal("SIGSTOP");
    for (let i = 0; i < 20; i++) await peer.write(frame(TEXT, "x".repeat(60_000)));
    await peer.ended();
    redis.process.signal("SIGCONT");
    await watcher.until("foo: has left the chat!");
    peer.close();
    return watcher.frames.slice(1);
  },
);

hostile("peers that say goodbye in the middle of a flood disturb nobody", async (chat) => {
  const { instance, watcher } = chat;
  const talker = await Client.join(instance.port, "talker");
  const users = Array.from({ length: 50 }, (_, i) => `peer-${i}`);
  const peers = await Promise.all(users.map((user) => RawPeer.join(instance.port, user)));
  const goodbye = frame(CLOSE, new Uint8Array([0x03, 0xe8]));
  const said = Array.from({ length: 2_000 }, (_, i) => `talker: ${i}`);
  for (const [i, text] of said.entries()) {
    talker.send(text.slice("talker: ".length));
    // Between two of them, so that all come while the flood is on.
    if (i % 40 === 0) {
      await watcher.until(text);
      await peers[i / 40].write(goodbye);
    }
  }
  await watcher.until(said.at(-1)!);
  for (const peer of peers) peer.close();
  await talker.leave();
  await watcher.until("talker: has left the chat!");
  const expected = watcher.frames.slice(1);
  assertEquals(expected.filter((text) => /^talker: \d/.test(text)), said);
  assertEquals(expected.filter((text) => /^peer.*left/.test(text)).length, users.length);
  return expected;
});

hostile("a client that stops reading delays nobody, and leaves", async ({ instance, watcher }) => {
  const stuck = await RawPeer.join(instance.port, "foo");
  const talker = await Client.join(instance.port, "talker");
  await watcher.until("talker: has joined the chat!");
  const text = "x".repeat(16 * 1024);
  let said = 0;
  const left = watcher.until("foo: has left the chat!");
  let isThere = true;
  left.then(() => isThere = false);
  // Each round is heard while foo hangs: if foo held anyone up, this would not come to its end.
  for (; isThere; said++) {
    talker.send(text);
    await watcher.received(3 + said + 1);
  }
  await left;
  stuck.close();
  await talker.leave();
  await watcher.until("talker: has left the chat!");
  const expected = watcher.frames.slice(1);
  assertEquals(expected.filter((f) => f === `talker: ${text}`).length, said);
  return expected;
});

hostile("a client that answers no ping leaves", async ({ instance, watcher }) => {
  const silent = await RawPeer.join(instance.port, "foo");
  await watcher.until("foo: has left the chat!");
  silent.close();
  return CAME_AND_WENT;
}, { IDLE_SECONDS: "1" });

hostile("a client that takes nothing leaves, however little waits", async (chat) => {
  const { instance, watcher } = chat;
  const stuck = await RawPeer.join(instance.port, "foo");
  const talker = await Client.join(instance.port, "talker");
  // More than the kernels on the way hold, and far less than the bound.
  const text = "x".repeat(64 * 1024);
  for (let i = 0; i < 256; i++) talker.send(text);
  await watcher.until("foo: has left the chat!");
  stuck.close();
  await talker.leave();
  await watcher.until("talker: has left the chat!");
  const expected = watcher.frames.slice(1);
  assertEquals(expected.filter((f) => f === `talker: ${text}`).length, 256);
  return expected;
}, { MAX_STALL_SECONDS: "1", MAX_BUFFERED_BYTES: "1073741824" });
