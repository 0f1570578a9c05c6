import { assert, assertEquals, assertRejects } from "@std/assert";
import type { RoomEvent } from "../../chat/protocol/events.ts";
import { connect } from "../../chat/store/redis/connections.ts";
import { readOn } from "../../chat/store/redis/continuation.ts";
import { Log } from "../../chat/store/redis/log.ts";
import { manageLogLifetime } from "../../chat/store/redis/log_lifetime.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { MAX_RESTRICTED } from "../../chat/store/moderation.ts";
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
import { redisSettings, startRedis } from "../support/redis.ts";
import { endOfTurn, sleep, until } from "../support/wait.ts";

const LIMITS = { historyLimit: 1_000, historySeconds: 60 };
const LASTING = { ...LIMITS, historySeconds: 7_200 };

/** Ignores everything. */
const NO_LISTENER: RoomListener = { onEvent() {}, onNameLost() {} };

testStore("redis", async (limits) => {
  const redis = await startRedis();
  return {
    here: await openRedisStore(redisSettings(redis.port), limits),
    there: await openRedisStore(redisSettings(redis.port), limits),
    pass: async (seconds) => {
      const ttlMs = await redis.command("PTTL", "{chat:r}:log") as number;
      await redis.command("PEXPIRE", "{chat:r}:log", `${ttlMs - seconds * 1_000}`);
    },
    dispose: () => redis[Symbol.asyncDispose](),
  };
});

Deno.test("redis: names, their owners and channels have the documented keys", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await store.subscribe("chat", NO_LISTENER);
  await store.subscribe("R", NO_LISTENER);
  await store.claim("chat", "foo", "s1");
  await store.claim("R", "bar", "s2");
  assertEquals(await redis.users(), ["foo"]);
  assertEquals(await redis.users("R"), ["bar"]);
  assertEquals(await redis.command("HKEYS", "{chat-users}:owners"), ["foo"]);
  assertEquals(await redis.command("HKEYS", "{chat-users:R}:owners"), ["bar"]);
  assertEquals((await redis.command("PUBSUB", "CHANNELS") as string[]).sort(), ["chat", "chat:R"]);

  await store.release("R", "bar", "s2");
  await store.unsubscribe("R");
  assertEquals(await redis.command("PUBSUB", "CHANNELS"), ["chat"]);
  await store.release("chat", "foo", "s1");
  assertEquals(await redis.command("KEYS", "*chat-users*"), []);
  assertEquals((await redis.instances()).length, 1);
  assertEquals((await redis.command("KEYS", "chat-instance-rooms:*") as string[]).length, 1);
  await store.close();
  assertEquals(
    await redis.command("KEYS", "*"),
    [],
    "an instance that has closed leaves nothing behind",
  );
});

Deno.test("redis: messages of one turn are sent in batches, in order, each ref once", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const received: string[] = [];
  await store.subscribe("R", {
    onEvent: (event) => event.type === "message" && received.push(`${event.prev} ${event.id}`),
    onNameLost() {},
  });
  await store.publish("R", "foo", "before", "ref-0");
  await redis.command("CONFIG", "RESETSTAT");
  const messages = Array.from({ length: 250 }, (_, i) => ({ text: `${i}`, ref: `ref-${i % 100}` }));
  const ids = await Promise.all([
    ...messages.map(({ text, ref }, i) => store.publish("R", "foo", text, i % 2 ? ref : undefined)),
    store.publish("other", "foo", "elsewhere"),
  ]);
  // Every second message has a ref. After the first hundred, each ref is one that was used before.
  for (let i = 101; i < 250; i += 2) assertEquals(ids[i], ids[i - 100]);
  const log = await store.readAfter("R", "0-0", 1_000);
  const once = messages.filter((_, i) => i % 2 === 0 || i < 100).map(({ text }) => text);
  assertEquals(log.map(({ event }) => event.text), ["before", ...once]);
  assertEquals(received, log.map(({ event }) => `${event.prev} ${event.id}`));
  const stats = await redis.command("INFO", "commandstats") as string;
  // Three batches for 250 messages of at most 100, and one for the other room.
  assertEquals(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1], "4");
  // Each batch publishes its new messages together.
  assertEquals(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1], "4");

  await redis.command("CONFIG", "RESETSTAT");
  const long = "x".repeat(30_000);
  await Promise.all(Array.from({ length: 4 }, () => store.publish("R", "foo", long)));
  const statsOfLong = await redis.command("INFO", "commandstats") as string;
  assertEquals(
    /cmdstat_evalsha:calls=(\d+)/.exec(statsOfLong)?.[1],
    "2",
    "a batch has at most 64 KiB",
  );
  await store.close();
});

Deno.test("redis: a batch with a message that fails is rejected as a whole", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await redis.command("LPUSH", "{chat:R}:refs:foo:0", "not a HASH");
  const results = await Promise.allSettled([
    store.publish("R", "foo", "one", "fine"),
    store.publish("R", "foo", "two", "broken"),
  ]);
  for (const result of results) {
    assert(result.status === "rejected" && result.reason instanceof StoreUnavailable);
  }
  assertEquals(await redis.command("KEYS", "{chat:R}:*"), []);
  await store.close();
});

Deno.test("redis: a ref is remembered also after its message has left the log", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const id = await store.publish("R", "foo", "one", "ref");
  await redis.command("DEL", "{chat:R}:log");
  assertEquals(await store.publish("R", "foo", "one", "ref"), id);
  await store.close();
});

Deno.test("redis: two HASHes take a user's refs in turn, each for five minutes", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const keys = ["{chat:R}:refs:foo:0", "{chat:R}:refs:foo:1"];
  const ids = new Map<string, string>();
  const publish = async (ref: string) => ids.set(ref, await store.publish("R", "foo", ref, ref));
  /** Lets both live shorter by as much. */
  const wait = async (seconds: number) => {
    for (const key of keys) {
      const ttlMs = await redis.command("PTTL", key) as number;
      await redis.command("PEXPIRE", key, `${ttlMs - seconds * 1_000}`);
    }
  };
  const refs = () => Promise.all(keys.map((key) => redis.command("HKEYS", key)));
  await publish("a");
  await wait(299);
  await publish("b");
  assertEquals(await refs(), [["a", "b"], []]);
  await wait(1);
  await publish("c");
  assertEquals(await refs(), [["a", "b"], ["c"]]);
  for (const ref of ["a", "b", "c"]) {
    assertEquals(await store.publish("R", "foo", ref, ref), ids.get(ref));
  }
  assertEquals((await store.readAfter("R", "0-0", 10)).length, 3);
  // The first one is over when the second one has taken refs for five minutes.
  await wait(300);
  await publish("d");
  assertEquals(await refs(), [["d"], ["c"]]);
  assertEquals(await store.publish("R", "foo", "c", "c", "d"), ids.get("c"));
  // Whoever comes back after a long time begins anew.
  await wait(600);
  await publish("a");
  assertEquals(await refs(), [["a"], []]);
  await store.close();
});

Deno.test("redis: a store has two connections, however many rooms it has", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  for (let i = 0; i < 20; i++) await store.subscribe(`room-${i}`, NO_LISTENER);
  const clients = (await redis.command("CLIENT", "LIST") as string).match(/name=chat-\S+/g);
  assertEquals(clients?.sort(), ["name=chat-commands", "name=chat-subscriber"]);
  await store.close();
});

Deno.test("redis: an error reply rejects with StoreUnavailable", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await store.subscribe("chat", NO_LISTENER);
  await redis.command("ACL", "SETUSER", "default", "-sadd");
  await assertRejects(() => store.claim("chat", "foo", "s1"), StoreUnavailable);
  await store.close();
});

Deno.test("redis: a name that is released before the reply to its claim is free", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await store.subscribe("r", NO_LISTENER);
  const claimed = store.claim("r", "foo", "s1");
  const released = store.release("r", "foo", "s1");
  assertEquals(await claimed, "claimed");
  await released;
  assertEquals(await redis.users("r"), []);
  const [first, second] = [store.claim("r", "foo", "s2"), store.release("r", "foo", "s2")];
  assertEquals(await store.claim("r", "foo", "s3"), "claimed");
  await Promise.all([first, second]);
  assertEquals(await redis.users("r"), ["foo"]);
  await store.close();
});

Deno.test("redis: in an outage calls are rejected; afterwards events arrive again", async () => {
  const redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const { promise: received, resolve } = Promise.withResolvers<RoomEvent>();
  await store.subscribe("r", { ...NO_LISTENER, onEvent: resolve });
  redis.process.signal("SIGKILL");
  await redis.process.exit;
  // This call may come before the client notices that the connection is gone.
  await assertRejects(() => store.ping(), Error);
  await assertRejects(() => store.publish("r", "foo", "a"), StoreUnavailable);
  await assertRejects(() => store.claim("r", "foo", "s1"), StoreUnavailable);
  await assertRejects(() => store.subscribe("q", NO_LISTENER), StoreUnavailable);

  await using again = await startRedis({ port: redis.port });
  await again.untilReply("PUBSUB NUMSUB chat:r", ["chat:r", 1]);
  await again.command("PUBLISH", "chat:r", "hello again");
  assertEquals(await received, { type: "notice", text: "hello again" });
  await store.close();
  await redis[Symbol.asyncDispose]();
});

Deno.test("redis: without a reply for two seconds, the outcome is unknown", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  redis.process.signal("SIGSTOP");
  await assertRejects(() => store.publish("r", "foo", "a"), StoreOutcomeUnknown);
  redis.process.signal("SIGCONT");
  await store.close();
});

Deno.test("redis: a message with a ref is retried and published once", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await store.subscribe("r", NO_LISTENER);
  await store.claim("r", "foo", "s1");
  await store.publish("r", "foo", "before", "1");
  redis.process.signal("SIGSTOP");
  const retried = store.publish("r", "foo", "a", "2");
  // A message without a ref is not retried: its rejection shows that the first attempts failed.
  await assertRejects(() => store.publish("r", "foo", "b"), StoreOutcomeUnknown);
  redis.process.signal("SIGCONT");
  const id = await retried;
  const log = await store.readAfter("r", "0-0", 10);
  assertEquals(log.filter(({ event }) => event.text === "a").map(({ event }) => event.id), [id]);
  await store.close();
});

Deno.test("redis: messages after one with an unknown outcome come after it", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(redisSettings(proxy.port), LIMITS);
  await store.subscribe("r", NO_LISTENER);
  await store.claim("r", "foo", "s1");
  assertEquals(proxy.freeze("chat-commands"), 1);
  const retried = ["a", "b"].map((text) => store.publish("r", "foo", text, text));
  await assertRejects(() => store.publish("r", "foo", "without a ref"), StoreOutcomeUnknown);
  // The first message that is accepted after the connection is back.
  const next = await publishOnceAvailable(store, "c");
  const log = await store.readAfter("r", "0-0", 10);
  assertEquals(log.map(({ event }) => event.text), ["a", "b", "c"]);
  assertEquals(log.map(({ event }) => event.id), [...await Promise.all(retried), next]);
  await store.close();
});

/** A session that sends a message. */
const by = (session: string) => ({ session, isNamed: false });

Deno.test("redis: a message is not retried after its sender has left", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(redisSettings(proxy.port), LIMITS);
  await store.subscribe("r", NO_LISTENER);
  await store.claim("r", "foo", "s1");
  for (const session of ["s2", "s3"]) await store.claim("r", "bar", session, { maxDevices: 2 });
  proxy.freeze("chat-commands");
  const first = store.publish("r", "foo", "a", "a", undefined, by("s1"));
  const second = store.publish("r", "bar", "b", "b", undefined, by("s2"));
  const ends = Promise.allSettled([first, second]);
  // One leaves before the first attempts fail, the other one afterwards.
  const released = store.release("r", "foo", "s1");
  await assertRejects(() => store.publish("r", "foo", "without a ref"), StoreOutcomeUnknown);
  proxy.block();
  await store.release("r", "bar", "s2");
  proxy.unblock();
  for (const end of await ends) {
    assert(end.status === "rejected" && end.reason instanceof StoreOutcomeUnknown, end.status);
  }
  await publishOnceAvailable(store, "c");
  await released;
  assertEquals((await store.readAfter("r", "0-0", 10)).map(({ event }) => event.text), ["c"]);
  await store.close();
});

Deno.test("redis: nothing waits for a retry in an outage, or when its sender leaves", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(redisSettings(proxy.port), LIMITS);
  await store.subscribe("r", NO_LISTENER);
  assertEquals(await store.claim("r", "foo", "s1"), "claimed");
  assertEquals(proxy.freeze("chat-commands"), 1);
  const retried = store.publish("r", "foo", "a", "a");
  await assertRejects(() => store.publish("r", "foo", "without a ref"), StoreOutcomeUnknown);
  proxy.block();
  await assertRejects(() => store.publish("r", "foo", "b"), StoreUnavailable, "connection is down");
  proxy.unblock();

  let queued: Promise<string>;
  for (let isRejected = true; isRejected;) {
    // In every turn, so that no retry can end between the return of the connection and this call.
    await endOfTurn();
    isRejected = false;
    queued = store.publish("r", "foo", "c", undefined, undefined, by("s1"));
    queued.catch(() => isRejected = true);
    await Promise.resolve();
  }
  await Promise.all([
    assertRejects(() => queued, StoreUnavailable, "the sender left"),
    store.release("r", "foo", "s1"),
  ]);
  await retried.catch(() => {});
  const log = await store.readAfter("r", "0-0", 10);
  assert(log.every(({ event }) => event.text === "a"));
  await store.close();
});

/** Publishes a message as soon as the store accepts it. */
async function publishOnceAvailable(store: Store, text: string): Promise<string> {
  for (;;) {
    try {
      return await store.publish("r", "foo", text, text);
    } catch (error) {
      assert(error instanceof StoreUnavailable, `${error}`);
      await sleep(1);
    }
  }
}

Deno.test("redis: logs and refs have the documented keys, and expire", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const id = await store.publish("chat", "foo", "a", "1");
  await store.publish("R", "foo", "a");
  assertEquals(await redis.command("HGET", "{chat}:refs:foo:0", "1"), id);
  assertEquals(await redis.command("XLEN", "{chat}:log"), 1);
  assertEquals(await redis.command("XLEN", "{chat:R}:log"), 1);
  const ttls = await Promise.all(
    ["{chat}:refs:foo:0", "{chat}:log"].map((key) => redis.command("TTL", key)),
  ) as number[];
  assert(ttls[0] > 590 && ttls[0] <= 600, `${ttls[0]}`);
  assert(ttls[1] > 50 && ttls[1] <= 60, `${ttls[1]}`);
  await store.close();
});

Deno.test("redis: a log that a lone user left lives on if someone comes in time", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, LASTING);
  const ttl = () => redis.command("TTL", "{chat:r}:log") as Promise<number>;
  await store.subscribe("r", NO_LISTENER);
  await store.claim("r", "foo", "s1");
  // Half an hour ago.
  const id = `${Date.now() - 1_800_000}-0`;
  const fields = ["prev", "0-0", "rest", '"user":"a","text":"b"}'];
  await redis.command("XADD", "{chat:r}:log", id, ...fields);
  await redis.command("EXPIRE", "{chat:r}:log", "5400");
  await store.release("r", "foo", "s1");
  assert(await ttl() <= 600, `${await ttl()}`);
  await store.claim("r", "bar", "s2");
  await until(async () => await ttl() > 600, 10);
  assert(await ttl() > 5_390 && await ttl() <= 5_400, `${await ttl()}`);

  // A room without a message leaves nothing behind.
  await store.subscribe("q", NO_LISTENER);
  for (const user of ["foo", "bar"]) await store.claim("q", user, user);
  assert(await redis.command("TTL", "{chat-users:q}:shared") as number > 14_000);
  for (const user of ["foo", "bar"]) await store.release("q", user, user);
  assertEquals(await redis.command("KEYS", "*q*"), []);
  await store.close();
});

Deno.test("redis: that there were two users is noted again when one of them leaves", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, LASTING);
  await store.subscribe("r", NO_LISTENER);
  for (const user of ["foo", "bar"]) await store.claim("r", user, user);
  await store.publish("r", "foo", "a", undefined, undefined, by("foo"));
  // They stay for longer than the key lives.
  await redis.command("DEL", "{chat-users:r}:shared");
  for (const user of ["foo", "bar"]) await store.release("r", user, user);
  assert(await redis.command("TTL", "{chat:r}:log") as number > 7_000);
  await store.close();
});

Deno.test("redis: a log keeps its time if someone joins while it is shortened", async () => {
  await using redis = await startRedis();
  const { commands, subscriber } = await connect(redis.settings, 5_000);
  const log = new Log(commands, LASTING, {
    nowMs: Date.now,
    observerOf: () => undefined,
    hasName: () => false,
    hasMembers: () => false,
  });
  const lifetime = manageLogLifetime(commands, log, LASTING.historySeconds, Date.now);
  await log.publish("r", "foo", "a");
  await redis.command("SADD", "chat-users:r", "bar");
  await lifetime.noteEmpty("r", false);
  assert(await redis.command("TTL", "{chat:r}:log") as number > 7_000);
  await Promise.all([commands.close(), subscriber.close()]);
});

Deno.test("redis: what is known of a moderator expires with the token", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, LIMITS);
  const { moderation } = store;
  const key = "{chat-users:r}:moderator:ann";
  for (const [seconds, most] of [[60, 60], [90, 90], [30, 90], [-1, 90], [1e300, 315_360_000]]) {
    await moderation.noteModerator("r", "ann", Date.now() + seconds * 1_000);
    const ttl = await redis.command("TTL", key) as number;
    // The clock of Redis is known to some milliseconds.
    assert(ttl > most - 5 && ttl <= most + 1, `${ttl} after ${seconds}`);
    assert(await moderation.isModerator("r", "ann"));
  }
  assertEquals(await redis.command("KEYS", "*chat-users:r*"), [key]);
  await store.close();
});

Deno.test("redis: a room that is left during a recovery is not recorded any more", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redis.settings, LIMITS, "one");
  for (const room of ["big", "r"]) await store.subscribe(room, NO_LISTENER);
  // The recovery takes some time to write them down.
  const users = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  await Promise.all(users.map((user) => store.claim("big", user, user)));
  await redis.command("CLIENT", "KILL", "TYPE", "normal");
  await redis.untilReply("SISMEMBER chat-instance-rooms:one-2 r", 1);
  await store.unsubscribe("r");
  await until(() => store.ping().then(() => true, () => false), 20);
  const rooms = await redis.command("SMEMBERS", "chat-instance-rooms:one-2") as string[];
  assertEquals(rooms.sort(), ["", "big"]);
  await store.close();
});

Deno.test("redis: of two messages that were delivered with one id, either is found", async () => {
  await using redis = await startRedis();
  const { commands, subscriber } = await connect(redis.settings, 5_000);
  const log = new Log(commands, LIMITS, {
    nowMs: Date.now,
    observerOf: () => undefined,
    hasName: () => false,
    hasMembers: () => false,
  });
  await log.publish("r", "foo", "a");
  const id = await log.publish("r", "foo", "b");
  const [, { event }] = await log.readAfter("r", "0-0", 2);
  // As after a failover and back: the log has the first one again.
  const delivered = [{ id }, { ...event, text: "another one" }];
  const { base, entries } = await deadline(readOn(log, "r", delivered), 2_000);
  assertEquals([base, entries], [id, []]);
  await Promise.all([commands.close(), subscriber.close()]);
});

Deno.test("redis: foreign entries in a log are skipped", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const texts: string[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  await store.subscribe("r", {
    ...NO_LISTENER,
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

Deno.test("redis: a reply that arrives while this process is busy is not lost", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const reply = store.publish("r", "foo", "a");
  for (const until = Date.now() + 3_000; Date.now() < until;);
  await reply;
  await store.close();
});

Deno.test("redis: without Redis a start fails, naming host, port and cause", async () => {
  const port = freePort();
  const error = await assertRejects(
    () => openRedisStore(redisSettings(port), LIMITS),
    StoreUnavailable,
  );
  assert(
    error.message.startsWith(`cannot use Redis at 127.0.0.1:${port}, TLS off: `),
    error.message,
  );
  assert(error.message.includes("ECONNREFUSED"), error.message);
});

Deno.test("redis: a Redis without INFO can be used", async () => {
  await using redis = await startRedis({ args: ["--rename-command", "INFO", ""] });
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  await store.ping();
  await store.close();
});

Deno.test("redis: a refused start names the right and leaves no connection", async () => {
  await using redis = await startRedis();
  await redis.command("ACL", "SETUSER", "default", "-sadd");
  const error = await assertRejects(
    () => openRedisStore(redisSettings(redis.port), LIMITS),
    StoreUnavailable,
    "'sadd' command",
  );
  assert(error.message.startsWith(`cannot use Redis at 127.0.0.1:${redis.port}, TLS off: `));
  assertEquals((await redis.command("CLIENT", "LIST") as string).match(/name=chat-\S+/g), null);
});

for (const pattern of ["~{chat*", "~chat*"]) {
  Deno.test(`redis: with rights to the keys ${pattern} alone, a store is not ready`, async () => {
    await using redis = await startRedis();
    const store = await openRedisStore(redisSettings(redis.port), LIMITS);
    await redis.command("ACL", "SETUSER", "default", "resetkeys", pattern);
    await assertRejects(() => store.ping(), StoreUnavailable, "the Redis user lacks a right");
    await redis.command("ACL", "SETUSER", "default", "allkeys");
    await store.close();
  });
}

Deno.test("redis: in a room at most 10,000 users are muted at a time, and then more", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const { restrict, listRestricted } = store.moderation;
  const fill = async (until: number) => {
    const users = Array.from({ length: MAX_RESTRICTED }, (_, i) => [`u${i}`, `${until} 0 ann`]);
    await redis.command("HSET", "{chat:r}:mutes", ...users.flat());
  };
  const mute = (user: string, seconds = 60) => restrict("muted", "r", user, "ann", seconds);
  await fill(Date.now() + 60_000);
  assertEquals(await mute("foo"), false);
  assertEquals(await mute("u5", 120), true, "a mute can become longer");
  assertEquals(await mute("u6", 0), true);
  assertEquals(await mute("foo"), true);
  assertEquals(await mute("bar"), false);
  assertEquals((await listRestricted("muted", "r")).length, MAX_RESTRICTED);
  await fill(Date.now() - 1);
  assertEquals(await mute("bar"), true, "those that have ended do not count");
  const left = (await listRestricted("muted", "r")).map(({ user }) => user);
  assertEquals(left.toSorted(), ["bar", "foo"]);
  await store.close();
});
