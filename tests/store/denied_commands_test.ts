import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect } from "../../chat/store/redis/connections.ts";
import { Instances } from "../../chat/store/redis/instances.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import { makeReaper } from "../../chat/store/redis/reaper.ts";
import { defineClaimScripts, defineRecoveryScripts } from "../../chat/store/redis/scripts.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { testAtOnce } from "../support/at_once.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

const test = testAtOnce("what is denied half way changes nothing");

const LIMITS = { historyLimit: 1_000, historySeconds: 60 };
const USERS = "chat-users:r";
const OWNERS = "{chat-users:r}:owners";
const LOG = "{chat:r}:log";

/** Denies a command, on every connection, as long as it lasts. */
async function denying<T>(redis: TestRedis, command: string, use: () => Promise<T>): Promise<T> {
  await redis.command("ACL", "SETUSER", "default", `-${command}`);
  try {
    return await use();
  } finally {
    await redis.command("ACL", "SETUSER", "default", `+${command}`);
  }
}

/** The names in the room, and the owners by name. */
async function namesOf(redis: TestRedis) {
  const users = (await redis.command("HKEYS", OWNERS) as string[]).sort();
  const owners = users.map((user) => redis.command("HGET", OWNERS, user));
  return [await redis.users("r"), users, await Promise.all(owners)];
}

/** A store in the room `r`, and what it hears there. */
async function startStore(redis: TestRedis) {
  const store = await openRedisStore(redis.settings, LIMITS);
  const heard: string[] = [];
  await store.subscribe("r", {
    onEvent: (event) => heard.push(`${event.type} ${"user" in event ? event.user : ""}`),
    onNameLost: (user) => heard.push(`lost ${user}`),
  });
  /**
   * Everything that was published before. If the store has just read what it may have missed, some
   * of it comes a moment later: then give how many events are expected.
   */
  async function hear(count = 0): Promise<string[]> {
    // The first one may join a check that began before, because a command was denied.
    await store.ping();
    await store.ping();
    await until(() => heard.length >= count);
    return heard.splice(0);
  }
  return { store, hear };
}

for (const command of ["@scripting", "time", "scard", "hget", "sadd", "hset", "publish"]) {
  test(`a claim is all or nothing: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    await store.claim("r", "bar", "s0");
    await hear();
    const before = await namesOf(redis);
    await denying(
      redis,
      command,
      () =>
        assertRejects(
          () => store.claim("r", "foo", "s1", { keys: ["foo", "look"] }),
          StoreUnavailable,
        ),
    );
    assertEquals(await namesOf(redis), before);
    assertEquals(await hear(), []);
    assertEquals(await store.claim("r", "FOO", "s2", { keys: ["foo"] }), "claimed");
    assertEquals(await redis.users("r"), ["FOO", "bar"]);
    assertEquals(await hear(1), ["joined FOO"]);
    await store.close();
  });
}

for (const command of ["hget", "sadd", "hset", "publish"]) {
  test(`a take-over is all or nothing: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const secret = (attempt: number) => ({ hash: "foo's", attempt });
    await store.claim("r", "foo", "s1", { secret: secret(1), keys: ["foo"] });
    await hear();
    const before = await namesOf(redis);
    await denying(
      redis,
      command,
      () =>
        assertRejects(
          () => store.claim("r", "foo", "s2", { secret: secret(2), keys: ["foo"] }),
          StoreUnavailable,
        ),
    );
    assertEquals(await namesOf(redis), before);
    assertEquals(await hear(), []);
    assertEquals(await store.claim("r", "foo", "s3", { secret: secret(3) }), "claimed");
    await store.release("r", "foo", "s1");
    assertEquals(await redis.users("r"), ["foo"]);
    // Whether the session hears its loss from the reply or the event depends on which is first.
    assertEquals((await hear()).filter((heard) => heard !== "lost foo"), ["replaced foo"]);
    await store.close();
  });
}

for (const command of ["hget", "sadd", "hset", "publish"]) {
  test(`one more device comes as a whole or not at all: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const claim = (session: string) => store.claim("r", "foo", session, { maxDevices: 9 });
    await claim("s1");
    await hear();
    const before = await namesOf(redis);
    await denying(redis, command, () => assertRejects(() => claim("s2"), StoreUnavailable));
    assertEquals(await namesOf(redis), before);
    assertEquals(await hear(), []);
    assertEquals(await claim("s3"), "claimed");
    assertEquals(await hear(1), ["added foo"]);
    await store.close();
  });
}

test("a device leaves, or does when it can: hset is denied", async () => {
  await using redis = await startRedis();
  const { store, hear } = await startStore(redis);
  for (const session of ["s1", "s2"]) await store.claim("r", "foo", session, { maxDevices: 9 });
  await denying(redis, "hset", () => store.release("r", "foo", "s2"));
  // The next renewal of the lease frees the place.
  await until(() => store.ping().then(() => true, () => false), 50);
  assertEquals((await redis.command("HGET", OWNERS, "foo") as string).split(" ")[2], "s1");
  assertEquals(await redis.users("r"), ["foo"]);
  await store.release("r", "foo", "s1");
  assertEquals(await hear(3), ["joined foo", "added foo", "left foo"]);
  await store.close();
});

test("a device leaves a room that its instance leaves: hset is denied", async () => {
  await using redis = await startRedis();
  const { store, hear } = await startStore(redis);
  const { store: other } = await startStore(redis);
  for (const [i, one] of [store, other].entries()) {
    await one.claim("r", "foo", `s${i}`, { maxDevices: 9 });
  }
  await denying(redis, "hset", async () => {
    await Promise.all([other.release("r", "foo", "s1"), other.unsubscribe("r")]);
  });
  await until(() => other.ping().then(() => true, () => false), 50);
  await store.release("r", "foo", "s0");
  assertEquals(await hear(3), ["joined foo", "added foo", "left foo"]);
  assertEquals(await redis.users("r"), []);
  await Promise.all([store.close(), other.close()]);
});

test("a session that no longer has the name writes nothing: hset is denied", async () => {
  await using redis = await startRedis();
  const { commands, subscriber } = await connect(redis.settings, 5_000);
  const { release } = defineClaimScripts(commands, 60);
  await redis.command("HSET", OWNERS, "foo", "this-1 5 s2 2 foo's");
  const call = () => release(commands.keys.room("r"), "foo", "s1", true);
  assertEquals(await denying(redis, "hset", call), 0);
  await Promise.all([commands.close(), subscriber.close()]);
});

for (const command of ["@scripting", "hget", "srem", "hdel", "publish"]) {
  test(`a release is all or nothing: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    await store.claim("r", "foo", "s1", { keys: ["foo", "look"] });
    await hear();
    const before = await namesOf(redis);
    await denying(redis, command, () => store.release("r", "foo", "s1"));
    assertEquals(await namesOf(redis), before);
    // The next renewal of the lease frees the name.
    await redis.untilReply(`EXISTS ${USERS} ${OWNERS}`, 0);
    assertEquals(await hear(1), ["left foo"]);
    await store.close();
  });
}

for (const command of ["hgetall", "srem", "hdel", "publish"]) {
  test(`each name is reaped as a whole or not at all: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const { commands, subscriber } = await connect(redis.settings, 5_000);
    const reaper = makeReaper(commands, new Instances(commands, "this"), 60, () => {});
    await redis.command("SADD", USERS, "a", "b", "c");
    const a = ["a", "dead-1 5 s 0 - ::a ::A", "::a", ":a", "::A", ":a"];
    await redis.command(
      "HSET",
      OWNERS,
      ...a,
      "b",
      "dead-1 6",
      "c",
      "live-1 7 s 0 - ::c",
      "::c",
      ":c",
    );
    const before = await namesOf(redis);
    await denying(
      redis,
      command,
      () => assertRejects(() => reaper.reap("r", "dead-1"), StoreUnavailable),
    );
    assertEquals(await namesOf(redis), before);
    assertEquals(await hear(), []);
    assertEquals(await reaper.reap("r", "dead-1"), 2);
    assertEquals(await redis.users("r"), ["c"]);
    assertEquals(await redis.command("HKEYS", OWNERS), ["c", "::c"]);
    assertEquals((await hear(2)).sort(), ["left a", "left b"]);
    await Promise.all([commands.close(), subscriber.close(), store.close()]);
  });
}

test("a device of a dead instance is reaped or not: hset is denied", async () => {
  await using redis = await startRedis();
  const { commands, subscriber } = await connect(redis.settings, 5_000);
  const reaper = makeReaper(commands, new Instances(commands, "this"), 60, () => {});
  const [dead, live] = ["dead-1 5 s 0 -", "live-1 7 t 0 -"];
  await redis.command("SADD", USERS, "foo", "bar");
  await redis.command("HSET", OWNERS, "foo", [dead, live].join("\n"), "bar", `${live}\n${dead}`);
  const before = await namesOf(redis);
  const reap = () => reaper.reap("r", "dead-1");
  await denying(redis, "hset", () => assertRejects(reap, StoreUnavailable));
  assertEquals(await namesOf(redis), before);
  assertEquals(await reap(), 0);
  assertEquals(await namesOf(redis), [["bar", "foo"], ["bar", "foo"], [live, live]]);
  await Promise.all([commands.close(), subscriber.close()]);
});

for (const command of ["hmget", "hget", "hset", "sadd"]) {
  test(`names are reclaimed together or not at all: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { commands, subscriber } = await connect(redis.settings, 5_000);
    const { reclaim } = defineRecoveryScripts(commands);
    await redis.command("SADD", USERS, "former", "later", "earlier");
    const owners = ["former", "this-1 10 s 0 -", "later", "other-1 30", "earlier", "other-1 10"];
    await redis.command("HSET", OWNERS, ...owners);
    const before = await namesOf(redis);
    const claims = ["former", "later", "earlier", "lost"]
      .map((user) => ({ user, session: "s", claimedAtMs: 20, keys: [user], maxDevices: 1 }));
    const call = () => reclaim(commands.keys.room("r"), "this-2", "this-", true, claims);
    await denying(redis, command, () => assertRejects(call, StoreUnavailable));
    assertEquals(await namesOf(redis), before);
    assertEquals(await call(), [1, "kept", "won", "taken", "free"]);
    assertEquals(await redis.users("r"), ["earlier", "former", "later", "lost"]);
    assertEquals(
      await redis.command("HMGET", OWNERS, "former", "later", "earlier", "lost"),
      [
        "this-2 20 s 0 - ::former",
        "this-2 20 s 0 - ::later",
        "other-1 10",
        "this-2 20 s 0 - ::lost",
      ],
    );
    const keys = ["::former", "::later", "::earlier", "::lost"];
    assertEquals(
      await redis.command("HMGET", OWNERS, ...keys),
      [":former", ":later", null, ":lost"],
    );
    await Promise.all([commands.close(), subscriber.close()]);
  });
}

for (
  const command of [
    ...["xrange", "xrevrange", "pttl", "del", "xadd", "expire", "rename", "zadd"],
    ...["zremrangebyscore", "publish"],
  ]
) {
  test(`a removal is all or nothing: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const [id] = await Promise.all(["a", "b"].map((text) => store.publish("r", "foo", text)));
    await hear();
    const before = await redis.command("XRANGE", LOG, "-", "+");
    await denying(
      redis,
      command,
      () => assertRejects(() => store.remove("r", id, "foo", false), StoreUnavailable),
    );
    assertEquals(await redis.command("XRANGE", LOG, "-", "+"), before);
    assertEquals(await redis.command("EXISTS", `${LOG}:new`, "{chat:r}:removals"), 0);
    assertEquals(await hear(), []);
    assertEquals(await store.remove("r", id, "foo", false), true);
    assertEquals((await store.readAfter("r", "0-0", 10)).map(({ event }) => event.text), ["", "b"]);
    assert(await redis.command("TTL", LOG) as number > 50);
    assertEquals(await hear(1), ["removed "]);
    await store.close();
  });
}

for (const command of ["time", "hgetall", "hset", "publish"]) {
  test(`a ban, and its end, are all or nothing: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const { restrict, listRestricted } = store.moderation;
    const restrictFor = (seconds: number) => restrict("banned", "r", "foo", "ann", seconds);
    const isRefused = (seconds: number) =>
      denying(redis, command, () => assertRejects(() => restrictFor(seconds), StoreUnavailable));
    await isRefused(60);
    assertEquals(await listRestricted("banned", "r"), []);
    await restrictFor(60);
    const bans = await listRestricted("banned", "r");
    assertEquals(bans.length, 1);
    assertEquals(await hear(1), ["banned foo"]);
    for (const seconds of [0, 120]) {
      await isRefused(seconds);
      assertEquals(await listRestricted("banned", "r"), bans);
    }
    assertEquals(await hear(), []);
    await store.close();
  });
}

for (const command of ["hgetall", "smembers", "hset", "srem", "publish"]) {
  test(`a name without an owner is freed or not: ${command} is denied`, async () => {
    await using redis = await startRedis();
    const { store, hear } = await startStore(redis);
    const { commands, subscriber } = await connect(redis.settings, 5_000);
    const { freeOwnerless } = defineRecoveryScripts(commands);
    const room = commands.keys.room("r");
    await redis.command("SADD", USERS, "mine", "ghost");
    // The name's key is no mark of the instance.
    const keys = ["::this-1", ":mine"];
    await redis.command("HSET", OWNERS, "mine", "this-1 10 s 0 - ::this-1", ...keys);
    const before = await namesOf(redis);
    const free = () => freeOwnerless(room, "this-1", 1, 500, []);
    await denying(redis, command, () => assertRejects(free, StoreUnavailable));
    await redis.command("HDEL", OWNERS, ":this-1");
    assertEquals(await namesOf(redis), before);
    assertEquals(await hear(), []);
    assertEquals(await free(), [1, 1]);
    assertEquals(await redis.users("r"), ["mine"]);
    assertEquals(await redis.command("HKEYS", OWNERS), ["mine", "::this-1"]);
    assertEquals(await hear(1), ["left ghost"]);
    await Promise.all([commands.close(), subscriber.close(), store.close()]);
  });
}

test("a name without an owner is freed only when all have their own names there", async () => {
  await using redis = await startRedis();
  const { commands, subscriber } = await connect(redis.settings, 5_000);
  const { freeOwnerless } = defineRecoveryScripts(commands);
  const room = commands.keys.room("r");
  const call = (id: string, held: number, others: string[]) =>
    freeOwnerless(room, id, held, 500, others);
  await redis.command("SADD", USERS, "mine", "yours", "ghost");
  await redis.command("HSET", OWNERS, "mine", "this-1 10");
  assertEquals(await call("other-1", 1, ["this-1"]), [2, 0]);
  assertEquals(await redis.command("HKEYS", OWNERS), ["mine"], "yours is not there");
  assertEquals(await call("this-1", 1, ["other-1"]), [2, 0]);
  assertEquals(await call("this-1", 1, ["other-1"]), [2, 0], "the other has not marked it");
  await redis.command("HSET", OWNERS, "yours", "other-1 10");
  assertEquals(await call("other-1", 1, ["third-1"]), [1, 0], "only marks it");
  await redis.command("DEL", OWNERS);
  await redis.command("HSET", OWNERS, "mine", "this-1 10");
  assertEquals(await call("this-1", 1, ["other-1"]), [2, 0], "the marks were lost too");
  await redis.command("HSET", OWNERS, "yours", "other-1 10");
  assertEquals(await call("other-1", 1, ["third-1"]), [1, 0], "the third has not marked it");
  assertEquals(await call("this-1", 1, ["other-1"]), [1, 1]);
  assertEquals(await redis.users("r"), ["mine", "yours"]);
  assertEquals((await redis.command("HKEYS", OWNERS) as string[]).sort(), ["mine", "yours"]);
  await Promise.all([commands.close(), subscriber.close()]);
});
