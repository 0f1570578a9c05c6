import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Notice, RoomEvent } from "../../chat/protocol/events.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import {
  type RoomListener,
  type Store,
  StoreOutcomeUnknown,
  StoreUnavailable,
} from "../../chat/store/store.ts";
import { testStore } from "./store_contract.ts";
import { startProxy } from "../support/proxy.ts";
import { freePort } from "../support/ports.ts";
import { PASSWORD, startRedis } from "../support/redis.ts";
import { sleep } from "../support/wait.ts";

function settings(port: number) {
  return { host: "127.0.0.1", port, password: PASSWORD, database: 0, tls: false };
}

const LIMITS = { historyLimit: 1_000, historySeconds: 60 };

const NOBODY: RoomListener = { onEvent() {}, onNameLost() {} };

testStore("redis", async (limits) => {
  const redis = await startRedis();
  return {
    here: await openRedisStore(settings(redis.port), limits),
    there: await openRedisStore(settings(redis.port), limits),
    end: () => redis[Symbol.asyncDispose](),
  };
});

Deno.test("redis: names, their owners and channels stand where the protocol says", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  await store.subscribe("chat", NOBODY);
  await store.subscribe("R", NOBODY);
  await store.claim("chat", "foo", "s1");
  await store.claim("R", "bar", "s2");
  assertEquals(await redis.users(), ["foo"]);
  assertEquals(await redis.users("R"), ["bar"]);
  assertEquals(await redis.command("HKEYS", "{chat-users}:owners"), ["foo"]);
  assertEquals(await redis.command("HKEYS", "{chat-users:R}:owners"), ["bar"]);
  assertEquals((await redis.command("PUBSUB", "CHANNELS") as string[]).sort(), ["chat", "chat:R"]);

  await store.release("R", "bar");
  await store.unsubscribe("R");
  assertEquals(await redis.command("PUBSUB", "CHANNELS"), ["chat"]);
  await store.release("chat", "foo");
  assertEquals(await redis.command("KEYS", "*chat-users*"), []);
  assertEquals((await redis.command("KEYS", "chat-instance:*") as string[]).length, 1);
  await store.close();
  assertEquals(
    await redis.command("KEYS", "*"),
    [],
    "an instance that ended leaves nothing behind",
  );
});

Deno.test("redis: what is said in one turn goes there together, in its order, each ref once", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const heard: string[] = [];
  await store.subscribe("R", {
    onEvent: (event) => event.type === "message" && heard.push(`${event.prev} ${event.id}`),
    onNameLost() {},
  });
  await store.publish("R", "foo", "before", "ref-0");
  await redis.command("CONFIG", "RESETSTAT");
  const said = Array.from({ length: 250 }, (_, i) => ({ text: `${i}`, ref: `ref-${i % 100}` }));
  const ids = await Promise.all([
    ...said.map(({ text, ref }, i) => store.publish("R", "foo", text, i % 2 ? ref : undefined)),
    store.publish("other", "foo", "elsewhere"),
  ]);
  // Of those with a ref each was new in the first hundred, or said before.
  for (let i = 101; i < 250; i += 2) assertEquals(ids[i], ids[i - 100]);
  const log = await store.readAfter("R", "0-0", 1_000);
  const once = said.filter((_, i) => i % 2 === 0 || i < 100).map(({ text }) => text);
  assertEquals(log.map(({ event }) => event.text), ["before", ...once]);
  assertEquals(heard, log.map(({ event }) => `${event.prev} ${event.id}`));
  const stats = await redis.command("INFO", "commandstats") as string;
  // 250 messages at most 100 at a time, and the other room.
  assertEquals(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1], "4");
  // What is new of each of these is published together.
  assertEquals(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1], "4");

  await redis.command("CONFIG", "RESETSTAT");
  const long = "x".repeat(30_000);
  await Promise.all(Array.from({ length: 4 }, () => store.publish("R", "foo", long)));
  const statsOfLong = await redis.command("INFO", "commandstats") as string;
  assertEquals(/cmdstat_evalsha:calls=(\d+)/.exec(statsOfLong)?.[1], "2", "64 KiB at a time");
  await store.close();
});

Deno.test("redis: of what goes there together nothing is taken where something cannot be", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  await redis.command("LPUSH", "{chat:R}:ref:foo:broken", "not a ref");
  const answers = await Promise.allSettled([
    store.publish("R", "foo", "one", "fine"),
    store.publish("R", "foo", "two", "broken"),
  ]);
  for (const answer of answers) {
    assert(answer.status === "rejected" && answer.reason instanceof StoreUnavailable);
  }
  assertEquals(await redis.command("KEYS", "{chat:R}:*"), ["{chat:R}:ref:foo:broken"]);
  await store.close();
});

Deno.test("redis: a ref is known for longer than its message is kept", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const id = await store.publish("R", "foo", "one", "ref");
  await redis.command("DEL", "{chat:R}:log");
  assertEquals(await store.publish("R", "foo", "one", "ref"), id);
  await store.close();
});

Deno.test("redis: one connection commands and one hears, however many rooms there are", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  for (let i = 0; i < 20; i++) await store.subscribe(`room-${i}`, NOBODY);
  const clients = (await redis.command("CLIENT", "LIST") as string).match(/name=chat-\S+/g);
  assertEquals(clients?.sort(), ["name=chat-commands", "name=chat-subscriber"]);
  await store.close();
});

Deno.test("redis: what it refuses to take was not taken", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  await store.subscribe("chat", NOBODY);
  await redis.command("SET", "chat-users", "not a set");
  await assertRejects(() => store.claim("chat", "foo", "s1"), StoreUnavailable, "WRONGTYPE");
  await store.close();
});

Deno.test("redis: a name that is released before its claim is answered is free", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  await store.subscribe("r", NOBODY);
  const claimed = store.claim("r", "foo", "s1");
  const released = store.release("r", "foo");
  assertEquals(await claimed, false);
  await released;
  assertEquals(await redis.users("r"), []);
  const [first, second] = [store.claim("r", "foo", "s2"), store.release("r", "foo")];
  assertEquals(await store.claim("r", "foo", "s3"), true);
  await Promise.all([first, second]);
  assertEquals(await redis.users("r"), ["foo"]);
  await store.close();
});

Deno.test("redis: while it is away every call is refused, and when it is back its rooms are heard", async () => {
  const redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const { promise: heard, resolve } = Promise.withResolvers<RoomEvent | Notice>();
  await store.subscribe("r", { ...NOBODY, onEvent: resolve });
  redis.process.signal("SIGKILL");
  await redis.process.exit;
  // The first call may meet a connection of which nobody has said yet that it is gone.
  await assertRejects(() => store.ping(), Error);
  await assertRejects(() => store.publish("r", "foo", "a"), StoreUnavailable);
  await assertRejects(() => store.claim("r", "foo", "s1"), StoreUnavailable);
  await assertRejects(() => store.subscribe("q", NOBODY), StoreUnavailable);

  await using again = await startRedis({ port: redis.port });
  await again.untilReply("PUBSUB NUMSUB chat:r", ["chat:r", 1]);
  await again.command("PUBLISH", "chat:r", "hello again");
  assertEquals(await heard, { type: "notice", text: "hello again" });
  await store.close();
  await redis[Symbol.asyncDispose]();
});

Deno.test("redis: an answer that does not come is lost after two seconds, not refused", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  redis.process.signal("SIGSTOP");
  await assertRejects(() => store.publish("r", "foo", "a"), StoreOutcomeUnknown);
  redis.process.signal("SIGCONT");
  await store.close();
});

Deno.test("redis: an answer that was lost is learned by the message's ref, and it is said once", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  await store.publish("r", "foo", "before", "1");
  redis.process.signal("SIGSTOP");
  const said = store.publish("r", "foo", "a", "2");
  // Without a ref nobody can ask again: by then the connection is broken, and the first attempt too.
  await assertRejects(() => store.publish("r", "foo", "b"), StoreOutcomeUnknown);
  redis.process.signal("SIGCONT");
  const id = await said;
  const log = await store.readAfter("r", "0-0", 10);
  assertEquals(log.filter(({ event }) => event.text === "a").map(({ event }) => event.id), [id]);
  await store.close();
});

Deno.test("redis: what a sender says after a message whose answer was lost comes after it", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(settings(proxy.port), LIMITS);
  assertEquals(proxy.freeze("chat-commands"), 1);
  const lost = ["a", "b"].map((text) => store.publish("r", "foo", text, text));
  await assertRejects(() => store.publish("r", "foo", "without a ref"), StoreOutcomeUnknown);
  // The first that could be taken once the connection is back.
  const next = await sayOnceItCan(store, "c");
  const log = await store.readAfter("r", "0-0", 10);
  assertEquals(log.map(({ event }) => event.text), ["a", "b", "c"]);
  assertEquals(log.map(({ event }) => event.id), [...await Promise.all(lost), next]);
  await store.close();
});

Deno.test("redis: after a lost answer nothing waits while it is away, nor for a sender who leaves", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(settings(proxy.port), LIMITS);
  await store.subscribe("r", NOBODY);
  assert(await store.claim("r", "foo", "s1"));
  assertEquals(proxy.freeze("chat-commands"), 1);
  const lost = store.publish("r", "foo", "a", "a");
  await assertRejects(() => store.publish("r", "foo", "without a ref"), StoreOutcomeUnknown);
  proxy.block();
  await assertRejects(() => store.publish("r", "foo", "b"), StoreUnavailable, "connection is away");
  proxy.unblock();

  let waiting: Promise<string>;
  for (let isRefused = true; isRefused;) {
    // So often that nothing can be settled between the connection's return and the next look.
    await new Promise((resolve) => setImmediate(resolve));
    isRefused = false;
    waiting = store.publish("r", "foo", "c");
    waiting.catch(() => isRefused = true);
    await Promise.resolve();
  }
  await Promise.all([
    assertRejects(() => waiting, StoreUnavailable, "its sender has left"),
    store.release("r", "foo"),
  ]);
  await lost;
  const log = await store.readAfter("r", "0-0", 10);
  assertEquals(log.map(({ event }) => event.text), ["a"]);
  await store.close();
});

/** Says something as soon as it is not refused any more. */
async function sayOnceItCan(store: Store, text: string): Promise<string> {
  for (;;) {
    try {
      return await store.publish("r", "foo", text, text);
    } catch (error) {
      assert(error instanceof StoreUnavailable, `${error}`);
      await sleep(1);
    }
  }
}

Deno.test("redis: logs and refs stand where the protocol says, and go away", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const id = await store.publish("chat", "foo", "a", "1");
  await store.publish("R", "foo", "a");
  assertEquals(await redis.command("GET", "{chat}:ref:foo:1"), id);
  assertEquals(await redis.command("XLEN", "{chat}:log"), 1);
  assertEquals(await redis.command("XLEN", "{chat:R}:log"), 1);
  const lives = await Promise.all(
    ["{chat}:ref:foo:1", "{chat}:log"].map((key) => redis.command("TTL", key)),
  ) as number[];
  assert(lives[0] > 290 && lives[0] <= 300, `${lives[0]}`);
  assert(lives[1] > 50 && lives[1] <= 60, `${lives[1]}`);
  await store.close();
});

Deno.test("redis: what somebody else put into a log is passed over", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const texts: string[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  await store.subscribe("r", {
    ...NOBODY,
    onEvent(event) {
      if (event.type !== "message") return;
      texts.push(event.text);
      if (event.text === "end") resolve();
    },
  });
  await store.publish("r", "foo", "one");
  await redis.command("XADD", "{chat:r}:log", "*", "a", "b");
  await store.publish("r", "foo", "end");
  await done;
  assertEquals(texts, ["one", "end"]);
  assertEquals((await store.readBefore("r", undefined, 3)).map(({ event }) => event.text), texts);
  await store.close();
});

Deno.test("redis: an answer that came while this process was too busy to look is not lost", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(settings(redis.port), LIMITS);
  const answer = store.publish("r", "foo", "a");
  for (const until = Date.now() + 3_000; Date.now() < until;);
  await answer;
  await store.close();
});

Deno.test("redis: a start without it fails with host, port and cause", async () => {
  const port = freePort();
  const error = await assertRejects(() => openRedisStore(settings(port), LIMITS), StoreUnavailable);
  assert(
    error.message.startsWith(`cannot use Redis at 127.0.0.1:${port}, TLS off: `),
    error.message,
  );
  assert(error.message.includes("ECONNREFUSED"), error.message);
});
