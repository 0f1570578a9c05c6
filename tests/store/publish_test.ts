import { assert, assertEquals, assertRejects } from "@std/assert";
import { MAX_EVENT_CHARS, type Message, type RoomEvent } from "../../chat/protocol/events.ts";
import { isLater, isProofOfNoGap } from "../../chat/protocol/ids.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import {
  type LogEntry,
  type Store,
  StoreOutcomeUnknown,
  StoreUnavailable,
} from "../../chat/store/store.ts";
import { startProxy } from "../support/proxy.ts";
import { redisSettings, startRedis, type TestRedis } from "../support/redis.ts";
import { endOfTurn, until } from "../support/wait.ts";

const LIMITS = { historyLimit: 1_000, historySeconds: 3_600, historyBytes: 100_000 };

/** A store on a Redis of its own, and what another store hears in the room `r`. */
async function startStores() {
  const redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), LIMITS);
  const other = await openRedisStore(redisSettings(redis.port), LIMITS);
  const heard: Message[] = [];
  await other.subscribe("r", {
    onEvent: (event) => event.type === "message" && heard.push(event),
    onNameLost() {},
  });
  return {
    redis,
    store,
    heard,
    async [Symbol.asyncDispose]() {
      await Promise.all([store.close(), other.close()]);
      await redis[Symbol.asyncDispose]();
    },
  };
}

/**
 * Publishes messages in one batch. A text such as `with b` is also the ref of its message. In
 * `with b after a`, `with a` is the ref of the one before it.
 */
function publishBatch(store: Store, ...texts: string[]): Promise<string>[] {
  return texts.map((text) => {
    const [words, before] = text.split(" after ");
    const ref = words.startsWith("with") ? words : undefined;
    return store.publish("r", "foo", text, ref, before && `with ${before}`);
  });
}

/** Everything that Redis has about the messages of the room. */
async function contents(redis: TestRedis): Promise<unknown> {
  const keys = (await redis.command("KEYS", "{chat:r}:*") as string[]).sort();
  const values = keys.map((key) =>
    key.endsWith(":log") ? redis.command("XRANGE", key, "-", "+") : redis.command("HGETALL", key)
  );
  return [keys, await Promise.all(values)];
}

for (const denied of ["pttl", "hlen", "hmget", "xrevrange", "xadd", "hset", "expire", "publish"]) {
  Deno.test(`redis: without the right to ${denied}, a batch is not published in part`, async () => {
    await using test = await startStores();
    const { redis, store, heard } = test;
    async function assertRefused(...texts: string[]): Promise<void> {
      const before = await contents(redis);
      await redis.command("ACL", "SETUSER", "default", `-${denied}`);
      const results = await Promise.allSettled(publishBatch(store, ...texts));
      await redis.command("ACL", "SETUSER", "default", `+${denied}`);
      for (const result of results) {
        assert(result.status === "rejected", `${denied} was not needed`);
        assert(result.reason instanceof StoreUnavailable, `${result.reason}`);
      }
      assertEquals(await contents(redis), before);
    }
    // In a new log, and in one that has messages, of which one has a ref that is published again.
    await assertRefused("with a", "b", "with a", "with c");
    const ids = await Promise.all(publishBatch(store, "with known", "d"));
    await assertRefused("with known", "e", "with a", "f", "with a", "with c");
    await assertRefused("with x after y", "with a after known", "with z after x", "e");
    await assertRefused("with g");
    ids.push(...await Promise.all(publishBatch(store, "with known", "e", "with a", "with c")));

    assertEquals(ids[2], ids[0], "the ref from before the refusals is still remembered");
    await until(() => heard.length === 5);
    assertEquals(heard.map(({ text }) => text), ["with known", "d", "e", "with a", "with c"]);
    assertEquals(heard.map(({ id }) => id), ids.toSpliced(2, 1));
    assertEquals(heard.map(({ prev }) => prev), ["0-0", ...ids.toSpliced(2, 1).slice(0, -1)]);
  });
}

for (const denied of ["xrange", "xlen", "xtrim", "memory", "xdel", "hdel", "del"]) {
  Deno.test(`redis: without the right to ${denied}, messages are published`, async () => {
    await using test = await startStores();
    const { redis, store, heard } = test;
    await redis.command(
      "XADD",
      "{chat:r}:log",
      "1-0",
      "prev",
      "0-0",
      "rest",
      '"an":"old message"}',
    );
    await store.publish("r", "foo", "first");
    await until(() => heard.length === 1);
    await redis.command("ACL", "SETUSER", "default", `-${denied}`);
    // So many that the log is trimmed by age.
    const texts = Array.from({ length: 40 }, (_, i) => `with ${i}`);
    const ids = await Promise.all(publishBatch(store, ...texts));
    await until(() => heard.length === 1 + texts.length);
    assertEquals(heard.slice(1).map(({ id }) => id), ids);
  });
}

Deno.test("redis: a message that would be too long an event is refused, not lost", async () => {
  await using test = await startStores();
  const { store, heard } = test;
  const text = "\0".repeat(MAX_EVENT_CHARS / 6);
  await assertRejects(() => store.publish("r", "foo", text), StoreUnavailable, "too long");
  const id = await store.publish("r", "foo", "short");
  await until(() => heard.length === 1);
  assertEquals([heard[0].id, heard[0].prev], [id, "0-0"]);
});

/** What another program may do to a log, so that nothing can be appended to it. */
const SPOILED_LOGS = {
  "has another type": ["SET", "{chat:r}:log", "x"],
  "has the last possible id": [
    "XADD",
    "{chat:r}:log",
    `${2n ** 64n - 1n}-${2n ** 64n - 1n}`,
    "a",
    "",
  ],
  "has an id that is no time": ["XADD", "{chat:r}:log", `${10n ** 15n}-0`, "a", ""],
};

for (const [trouble, command] of Object.entries(SPOILED_LOGS)) {
  Deno.test(`redis: a log that ${trouble} is deleted, and the room goes on`, async () => {
    await using test = await startStores();
    const { redis, store, heard } = test;
    await redis.command(...command);
    // The messages are refused, because a repetition would come after later ones.
    const results = await Promise.allSettled(publishBatch(store, "with a", "b"));
    for (const result of results) {
      assert(result.status === "rejected" && result.reason instanceof StoreUnavailable);
    }
    assertEquals(await redis.command("KEYS", "{chat:r}:*"), []);
    const [id] = await Promise.all(publishBatch(store, "with a"));
    await until(() => heard.length === 1);
    assertEquals([heard[0].id, heard[0].prev], [id, "0-0"]);
  });
}

Deno.test("redis: where the log has lost its end, no id can come again", async () => {
  await using test = await startStores();
  const { redis, store } = test;
  const other = await openRedisStore(redisSettings(redis.port), LIMITS);
  const last = new Map<unknown, string>();
  for (const one of [store, other]) {
    const onEvent = (event: RoomEvent) => {
      if (event.type === "message") last.set(one, event.id);
      if (event.type === "resync") last.set(one, event.last);
    };
    await one.subscribe("r", { onEvent, onNameLost() {} });
  }
  for (const aheadMs of [0, 30_000]) {
    // The second time, the clock of Redis seems to have gone back.
    if (aheadMs > 0) {
      await redis.command("XADD", "{chat:r}:log", `${Date.now() + aheadMs}-0`, "a", "b");
    }
    const heard = await store.publish("r", "foo", "heard by all");
    await until(() => last.get(store) === heard && last.get(other) === heard);
    const time = Number(heard.split("-")[0]);
    await until(() => Date.now() > time + 5 || aheadMs > 0);
    const ids = [];
    for (const one of [store, other]) {
      await redis.command("DEL", "{chat:r}:log");
      ids.push(await one.publish("r", "foo", "after the loss"));
      await redis.command("DEL", "{chat:r}:log");
    }
    for (const id of ids) {
      assert(isLater(id, heard) && id !== `${time + 1}-0`, `${id} after ${heard}`);
    }
    assert(ids[0] !== ids[1], `${ids}`);
  }
  await other.close();
});

Deno.test("redis: ids ahead of the clock do not come again after a loss", async () => {
  await using test = await startStores();
  const { redis, store } = test;
  const log = "{chat:r}:log";
  await redis.command("XADD", log, `${Date.now() + 30_000}-7`, "a", "b");
  const ids = [];
  for (let i = 0; i < 2; i++) {
    const before = await redis.command("XRANGE", log, "-", "+") as [string, string[]][];
    ids.push(await store.publish("r", "foo", `words ${i}`));
    // It has never existed, as after the restore of a snapshot.
    await redis.command("DEL", log);
    for (const [id, fields] of before) await redis.command("XADD", log, id, ...fields);
  }
  assert(ids[0] !== ids[1], `${ids}`);
});

Deno.test("redis: an instance that has not heard the end of the log proves no gap", async () => {
  await using test = await startStores();
  const { redis, store, heard } = test;
  const other = await openRedisStore(redisSettings(redis.port), LIMITS);
  for (const one of [store, other]) await one.subscribe("r", { onEvent() {}, onNameLost() {} });
  const first = await store.publish("r", "foo", "heard by all");
  await until(() => heard.length === 1);
  await redis.command("DEL", "{chat:r}:log");
  // An entry that no instance has heard.
  const unheard = `${Number(first.split("-")[0]) - 5}-0`;
  const rest = '"user":"baz","text":"never heard"}';
  await redis.command("XADD", "{chat:r}:log", unheard, "prev", "0-0", "rest", rest);
  const ids = await Promise.all(["one", "two"].map((text) => store.publish("r", "foo", text)));
  await until(() => heard.at(-1)?.text === "two");
  const [one, two] = heard.slice(-2);
  assertEquals([one.prev, two.prev, one.id, two.id], [first, one.id, ...ids]);
  assert(!isProofOfNoGap(one.id, one.prev), one.id);
  assert(isProofOfNoGap(two.id, two.prev), two.id);
  await other.close();
});

Deno.test("redis: the first message after a deleted log proves no gap", async () => {
  await using redis = await startRedis();
  const log = "{chat:r}:log";
  const rest = '"user":"baz","text":"heard"}';
  for (const [ageMs, isProof] of [[0, false], [LIMITS.historySeconds * 1000 + 1, true]] as const) {
    const last = `${Date.now() - ageMs}-0`;
    await redis.command("XADD", log, last, "prev", "0-0", "rest", rest);
    const store = await openRedisStore(redisSettings(redis.port), LIMITS);
    await store.subscribe("r", { onEvent() {}, onNameLost() {} });
    await redis.command("DEL", log);
    const id = await store.publish("r", "foo", "next");
    const [{ event }] = await store.readAfter("r", "0-0", 1);
    assertEquals([event.prev, isProofOfNoGap(id, last)], [last, isProof]);
    await redis.command("DEL", log);
    await store.close();
  }
});

Deno.test("redis: a text with half a surrogate pair is a message like any other", async () => {
  await using test = await startStores();
  const { store, heard } = test;
  const ids: string[] = [];
  // The last one has none: it has a backslash.
  const texts = ["\ud800", "\udc00\udbff", "\ud83d\ude00 \udfff", "\\ud800"];
  for (const text of [...texts, "after"]) ids.push(await store.publish("r", "foo", text));
  await until(() => heard.length === ids.length);
  assertEquals(heard.map(({ text }) => text), [...texts, "after"]);
  assertEquals(heard.map(({ prev }) => prev), ["0-0", ...ids.slice(0, -1)]);
});

Deno.test("redis: an entry with a far higher id makes no message look old", async () => {
  await using stores = await startStores();
  const { redis, store } = stores;
  await store.publish("r", "foo", "first");
  await redis.command("XADD", "{chat:r}:log", "4102444800000-0", "far", "ahead");
  // So many messages at once are certain to trim the log.
  await Promise.all(Array.from({ length: 100 }, (_, i) => store.publish("r", "foo", `${i}`)));
  const kept = await store.readBefore("r", undefined, 200);
  assertEquals(kept.length, 101);
  assertEquals(kept[0].event.text, "first");
});

Deno.test("redis: messages older than historySeconds are deleted, in portions", async () => {
  await using test = await startStores();
  const { redis, store } = test;
  const log = "{chat:r}:log";
  const maxAgeMs = LIMITS.historySeconds * 1000;
  const addAt = (time: number) =>
    redis.command("XADD", log, `${time}-0`, "prev", "0-0", "rest", '"user":"foo","text":"a"}');
  for (let n = 250; n > 0; n--) await addAt(Date.now() - maxAgeMs - 1_000 * n);
  await addAt(Date.now() - maxAgeMs + 60_000);
  // Batches of so many messages trim the log each time; smaller ones only by chance.
  const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
  const lengths: unknown[] = [];
  for (let batch = 0; batch < 4; batch++) {
    await Promise.all(publishBatch(store, ...texts));
    lengths.push(await redis.command("XLEN", log));
  }
  assertEquals(lengths, [251 + 40 - 100, 251 + 80 - 200, 1 + 120, 1 + 160]);
});

Deno.test("redis: entries that another program put into a log end no page early", async () => {
  await using test = await startStores();
  const { redis, store, heard } = test;
  const forged = '"user":"foo","text":"forged","id":"1-1"}';
  const addForeign = async (id = "*") => {
    for (
      const fields of [
        ["a", "b"],
        ["prev", "0-0"],
        ["rest", "", "prev", ""],
        ["prev", "0-0", "rest", forged],
        ["prev", "0-0", "rest", '"type":"left","user":"foo"}'],
        ["prev", "0-0", "rest", "{"],
        ["prev", "0-0", "more", "fields"],
      ]
    ) {
      await redis.command("XADD", "{chat:r}:log", id, ...fields);
      if (id !== "*") return;
    }
  };
  const ids: string[] = [];
  for (const text of ["one", "two", "three", "four"]) {
    await addForeign();
    ids.push(await store.publish("r", "foo", text));
  }
  // The highest id of a millisecond.
  await addForeign(`${Date.now() + 10}-18446744073709551615`);
  await addForeign();
  ids.push(await store.publish("r", "foo", "five"));

  const idsOf = (page: readonly LogEntry[]) => page.map(({ event }) => event.id);
  for (let n = 0; n < ids.length; n += 2) {
    assertEquals(idsOf(await store.readAfter("r", ids[n - 1] ?? "0-0", 2)), ids.slice(n, n + 2));
    const before = await store.readBefore("r", ids[ids.length - n], 2);
    assertEquals(idsOf(before), ids.slice(0, ids.length - n).slice(-2));
  }
  assertEquals(await store.readAfter("r", ids.at(-1)!, 2), []);
  assertEquals(await store.readBefore("r", ids[0], 2), []);
  await until(() => heard.length === ids.length);
  assertEquals(heard.map(({ id }) => id), ids);
});

for (const denied of [["expire", "hdel"], ["hset", "xdel"], ["publish", "xdel"]]) {
  const rights = denied.join(" and ");
  Deno.test(`redis: without ${rights}, what cannot be undone is in doubt`, async () => {
    await using test = await startStores();
    const { redis, store, heard } = test;
    await Promise.all(publishBatch(store, "first"));
    await redis.command("ACL", "SETUSER", "default", ...denied.map((command) => `-${command}`));
    const results = await Promise.allSettled(publishBatch(store, "with a", "b"));
    await redis.command("ACL", "SETUSER", "default", ...denied.map((command) => `+${command}`));
    for (const result of results) {
      assert(result.status === "rejected" && result.reason instanceof StoreOutcomeUnknown);
    }
    // Whatever is acknowledged is in the log and is heard, also what comes from the gap.
    const id = await store.publish("r", "foo", "with a", "with a");
    const last = await store.publish("r", "foo", "last");
    await until(() => heard.at(-1)?.id === last);
    const inLog = await store.readAfter("r", "0-0", 10);
    assert(inLog.some((entry) => entry.event.id === id), "the acknowledged one is in the log");
    assertEquals(heard.map((message) => message.id), inLog.map(({ event }) => event.id));
  });
}

Deno.test("redis: a message that is out of order fails no other, nor costs a command", async () => {
  await using test = await startStores();
  const { redis, store, heard } = test;
  await redis.command("CONFIG", "RESETSTAT");
  const texts = ["with a", "b", "with c after none", "with d after c", "with e after a", "f"];
  const results = await Promise.allSettled(publishBatch(store, ...texts));
  const taken = texts.filter((_, i) => results[i].status === "fulfilled");
  assertEquals(taken, ["with a", "b", "with e after a", "f"]);
  await until(() => heard.length === taken.length);
  assertEquals(heard.map(({ text }) => text), taken);
  const stats = await redis.command("INFO", "commandstats") as string;
  // One for each HASH.
  assertEquals(/cmdstat_hmget:calls=(\d+)/.exec(stats)?.[1], "2");
  assertEquals(/cmdstat_hset:calls=(\d+)/.exec(stats)?.[1], "1");
});

Deno.test("redis: when Redis loses the script, no message overtakes another", async () => {
  await using test = await startStores();
  const { redis, store, heard } = test;
  const other = await openRedisStore(redisSettings(redis.port), LIMITS);
  const taken: string[] = [];
  const published: Promise<unknown>[] = [];
  const isRefused = (error: Error) => assert(error instanceof StoreUnavailable, `${error}`);
  for (let n = 0; n < 2_000; n++) {
    const text = `${n}`;
    published.push(store.publish("r", "foo", text).then(() => taken.push(text), isRefused));
    // The other store loads the script while messages of this one are on their way.
    if (n % 20 === 5) published.push(redis.command("SCRIPT", "FLUSH"));
    if (n % 20 === 15) published.push(other.publish("q", "foo", "x").catch(isRefused));
    await endOfTurn();
  }
  await Promise.all(published);
  assert(taken.length > 200 && taken.length < 2_000, `${taken.length} were taken`);
  await until(() => heard.length >= taken.length);
  assertEquals(heard.map(({ text }) => text), taken);
  assertEquals(taken, taken.toSorted((a, b) => Number(a) - Number(b)));
  await other.close();
});

Deno.test("redis: a new connection has the script before its first message", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const store = await openRedisStore(redisSettings(proxy.port), LIMITS);
  await store.publish("r", "foo", "first");
  await redis.command("SCRIPT", "FLUSH");
  proxy.disconnect("by reset");
  let refusals = "";
  for (let isTaken = false; !isTaken;) {
    await endOfTurn();
    isTaken = await store.publish("r", "foo", "second").then(() => true, (error) => {
      refusals += error.message;
      return false;
    });
  }
  assert(refusals !== "" && !refusals.includes("NOSCRIPT"), refusals.slice(-200));
  await store.close();
});

Deno.test("what another program writes into a room's mutes refuses nobody's messages", async () => {
  await using redis = await startRedis();
  const store = await openRedisStore(redisSettings(redis.port), { ...LIMITS, auth: {} });
  await redis.command("HSET", "{chat:r}:mutes", "foo", "junk", "bar", "");
  await Promise.all(["foo", "bar", "pi"].map((user) => store.publish("r", user, "hi")));
  await store.publishUnlogged("r", { type: "typing", user: "foo" });
  await store.close();
});
