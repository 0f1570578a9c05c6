import { assert, assertEquals, assertRejects } from "@std/assert";
import { deadline } from "../../chat/store/deadline.ts";
import { LEASE_TTL_MS } from "../../chat/store/redis/instances.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";
import { addDead, startPresence } from "../support/presence.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { TIMEOUT_MS, until } from "../support/wait.ts";

const OWNERS = "{chat-users:r}:owners";

async function ownerOf(redis: TestRedis, user: string): Promise<string | undefined> {
  const owner = await redis.command("HGET", OWNERS, user) as string | null;
  return owner?.split(" ", 1)[0];
}

Deno.test("a Redis without HELLO: a dead instance is reaped, once", async () => {
  await using redis = await startRedis({ args: ["--rename-command", "HELLO", ""] });
  await using one = await startPresence(redis, "one");
  await one.instances.register(["r"]);
  await addDead(redis, "two-1");
  await redis.command("CONFIG", "RESETSTAT");
  // With a wrong idea of the leases, the watch reaps for ever.
  await deadline(one.reaper.watchNext(), TIMEOUT_MS);
  // It looked at the leases twice: the second time it was alone.
  const stats = await redis.command("INFO", "commandstats") as string;
  assertEquals(/cmdstat_zrange:calls=(\d+)/.exec(stats)?.[1], "2");
  assertEquals(await redis.users("r"), []);
  assertEquals(await redis.instances(), ["one-1"]);
  assertEquals(await redis.command("ZRANGE", "chat-reaped", "0", "-1"), ["two-1"]);
  await one.caughtUp();
  assertEquals(one.seen, ["left dead"]);
});

for (const loss of ["without a reply", "only in part"] as const) {
  Deno.test(`an id whose registration took effect ${loss} is deregistered later`, async () => {
    await using redis = await startRedis();
    await using proxy = await startProxy(redis.port);
    await using one = await startPresence(redis, "one", proxy.port);
    await using two = await startPresence(redis, "two");
    await one.start();
    await two.start();
    for (let i = 0; i < 7; i++) await one.recovery.recover();
    assertEquals(one.instances.id, "one-8");

    // In the ring, the ninth id stands between the tenth one and the other instance.
    const rooms = "chat-instance-rooms:one-9";
    if (loss === "without a reply") {
      proxy.loseReply(rooms);
      const failing = assertRejects(() => one.recovery.recover(), StoreOutcomeUnknown);
      await redis.untilReply(`EXISTS ${rooms}`, 1);
      proxy.disconnect("by reset");
      await failing;
      await until(() => one.commands.isReady, 20);
    } else {
      await redis.command("ACL", "SETUSER", "default", "-sadd");
      await assertRejects(() => one.recovery.recover(), StoreUnavailable);
      await redis.command("ACL", "SETUSER", "default", "+sadd");
    }
    assert(await redis.command("ZSCORE", "chat-leases", "one-9") !== null);
    await one.recovery.reconnect();
    assertEquals(one.instances.id, "one-10");
    assertEquals(await redis.instances(), ["two-1", "one-10"]);
    assertEquals(await redis.command("EXISTS", rooms), 0);
    assertEquals((await one.instances.nextInRing())?.id, "two-1");
  });
}

Deno.test("while Redis refuses writes, all leases end, and nobody is reaped for that", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  await using two = await startPresence(redis, "two");
  // Unlike a start, this lets it judge others at once.
  await one.instances.register(["r"]);
  await two.start();
  assertEquals(await two.claims.claim("r", "foo", "s1"), "claimed");

  await redis.command("CONFIG", "SET", "maxmemory", "1");
  await assertRejects(() => one.recovery.renewLease(), StoreUnavailable, "OOM");
  await assertRejects(() => two.recovery.renewLease(), StoreUnavailable, "OOM");
  await redis.command("CONFIG", "SET", "maxmemory", "0");
  await redis.command("ZADD", "chat-leases", "XX", "1", "two-1");
  await one.reaper.watchNext();
  assertEquals(await one.reaper.reapIfDead("two-1", "r"), false);
  await two.recovery.renewLease();

  assertEquals(await ownerOf(redis, "foo"), "two-2");
  assertEquals(await redis.command("ZRANGE", "chat-reaped", "0", "-1"), []);
  await one.caughtUp();
  assertEquals(one.seen, ["joined foo"]);
});

Deno.test("a name whose claim had no reply is restored like any other", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startPresence(redis, "one", proxy.port);
  await using two = await startPresence(redis, "two");
  await one.start();
  await two.start();
  // Redis has the script now, so the next claim is one command.
  assertEquals(await one.claims.claim("r", "first", "s1"), "claimed");
  proxy.loseReply(`"user":"foo"`);
  const claiming = assertRejects(() => one.claims.claim("r", "foo", "s2"), StoreOutcomeUnknown);
  // This is why the session stays: its instance has heard that it joined.
  await until(() => one.seen.includes("joined foo"), 20);
  proxy.disconnect("by reset");
  await claiming;
  await until(() => one.commands.isReady, 20);
  await one.recovery.reconnect();

  await redis.command("DEL", "chat-users:r", OWNERS);
  await one.sweeper.sweep("r");
  assertEquals(await redis.users("r"), ["first", "foo"]);
  assertEquals(await ownerOf(redis, "foo"), "one-2");
  assertEquals(await two.claims.claim("r", "foo", "s3"), "taken");
});

Deno.test("who left before Redis lost all is seen leaving, also if a recovery fails", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  await using two = await startPresence(redis, "two");
  await one.start();
  await two.start();
  assertEquals(await one.claims.claim("r", "foo", "s1"), "claimed");
  await redis.command("ACL", "SETUSER", "default", "-hget");
  await one.claims.release("r", "foo", "s1");
  await redis.command("ACL", "SETUSER", "default", "+hget");
  await redis.command("FLUSHALL");

  const { wasReaped } = one.instances;
  one.instances.wasReaped = () => Promise.reject(new StoreUnavailable("down"));
  await assertRejects(() => one.recovery.recover(), StoreUnavailable);
  one.instances.wasReaped = wasReaped;
  await one.recovery.recover();
  await two.caughtUp();
  assertEquals(two.seen, ["joined foo", "left foo"]);
});

Deno.test("a sweep during a recovery takes no name back", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  await using two = await startPresence(redis, "two");
  await one.start();
  await two.instances.register(["r"]);
  await two.claims.enterRoom("r");
  assertEquals(await one.claims.claim("r", "foo", "s1"), "claimed");
  await redis.command("ZADD", "chat-leases", "XX", "1", "one-1");
  assert(await two.reaper.reapIfDead("one-1", "r"));

  // As if another claim had no reply yet: the recovery waits for it, registered again.
  const reply = Promise.withResolvers<void>();
  one.claims.settled = () => reply.promise;
  const recovering = one.recovery.recover();
  await redis.untilReply("SISMEMBER chat-instance-rooms:one-2 r", 1);
  await until(() => one.instances.id === "one-2", 20);
  assertEquals(await two.claims.claim("r", "foo", "s2"), "claimed");
  await one.sweeper.sweep("r");
  assertEquals(await ownerOf(redis, "foo"), "two-1");
  reply.resolve();
  await recovering;
  assertEquals(await ownerOf(redis, "foo"), "two-1");
  await Promise.all([one.caughtUp(), two.caughtUp()]);
  assertEquals(two.seen, ["joined foo", "left foo", "joined foo"]);
  assertEquals(one.seen.filter((event) => event.startsWith("lost")), ["lost foo: taken"]);
});

for (const first of ["new", "former"] as const) {
  Deno.test(`who has moved since an earlier state of Redis stays: ${first} one first`, async () => {
    await using redis = await startRedis();
    await using one = await startPresence(redis, "one");
    await using two = await startPresence(redis, "two");
    await one.start();
    await two.start();
    assertEquals(await one.claims.claim("r", "foo", "s1"), "claimed");
    const owner = await redis.command("HGET", OWNERS, "foo") as string;
    await one.claims.release("r", "foo", "s1");
    assertEquals(await two.claims.claim("r", "foo", "s2"), "claimed");
    await Promise.all([one.caughtUp(), two.caughtUp()]);

    // As after a failover to a replica that had lagged, or with an older snapshot.
    await redis.command("HSET", OWNERS, "foo", owner);
    const [earlier, later] = first === "new" ? [two, one] : [one, two];
    await earlier.recovery.reconnect();
    await two.caughtUp();
    await later.recovery.reconnect();
    await two.sweeper.sweep("r");
    assertEquals([await ownerOf(redis, "foo"), await redis.users("r")], ["two-2", ["foo"]]);
    await one.caughtUp();
    const again = first === "new" ? [] : ["left foo", "joined foo"];
    assertEquals(one.seen, ["joined foo", "left foo", "joined foo", ...again]);
  });
}

Deno.test("a user who was seen leaving is seen joining once, also with two devices", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  await using two = await startPresence(redis, "two");
  await one.start();
  await two.start();
  for (const session of ["s1", "s2"]) {
    assertEquals(await two.claims.claim("r", "foo", session, { maxDevices: 2 }), "claimed");
  }
  await two.caughtUp();
  await redis.command("PUBLISH", "chat:r", '\x1e{"type":"left","user":"foo"}');
  await two.caughtUp();
  for (let i = 0; i < 2; i++) await two.sweeper.sweep("r");
  await one.caughtUp();
  assertEquals(one.seen, ["joined foo", "added foo", "left foo", "joined foo"]);
});

Deno.test("a former id that comes back with old data does not stop the ring", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  one.reaper.startGracePeriod = () => {};
  await one.start();
  assertEquals(await one.claims.claim("r", "foo", "s1"), "claimed");
  for (let i = 0; i < 9; i++) await one.recovery.recover();
  assertEquals(await redis.instances(), ["one-10"]);
  // Nobody else would watch the one after the former id.
  for (const id of ["one-5", "two-1"]) await addDead(redis, id);
  await redis.command("SADD", "chat-instance-rooms:one-5", "q");
  await redis.command("SADD", "chat-users:q", "ghost");
  await redis.command("HSET", "{chat-users:q}:owners", "ghost", "one-5 1 s0 0 -");
  await one.reaper.watchNext();
  assertEquals(await redis.instances(), ["one-10"]);
  assertEquals([await redis.users("q"), await redis.users("r")], [[], ["foo"]]);
  assertEquals(await redis.command("KEYS", "chat-instance-rooms:*"), [
    "chat-instance-rooms:one-10",
  ]);
  await one.caughtUp();
  assertEquals(one.seen, ["joined foo", "left dead"]);
});

Deno.test("an instance that starts at the end of an outage reaps nobody", async () => {
  await using redis = await startRedis();
  await using old = await startPresence(redis, "old");
  await old.start();
  assertEquals(await old.claims.claim("r", "foo", "s1"), "claimed");
  await redis.command("ZADD", "chat-leases", "XX", "1", "old-1");
  await using next = await startPresence(redis, "next");
  await next.start();
  await next.reaper.watchNext();
  await next.sweeper.sweep("r");
  assertEquals(await next.claims.claim("r", "foo", "s2"), "taken");
  await old.recovery.reconnect();
  assertEquals(await ownerOf(redis, "foo"), "old-2");
  await next.caughtUp();
  assertEquals(next.seen, []);
});

Deno.test("after the clock was set back, an instance is watched as often as ever", async () => {
  await using redis = await startRedis();
  await using one = await startPresence(redis, "one");
  await one.instances.register(["r"]);
  await addDead(redis, "two-1");
  // What an instance finds that looks before the other one has registered again.
  const [seconds] = await redis.command("TIME") as string[];
  const endLeaseIn = (delay: number) =>
    redis.command("ZADD", "chat-leases", `${Number(seconds) + delay}000`, "two-1");
  await endLeaseIn(LEASE_TTL_MS / 1_000 + 1);
  const delayMs = await one.reaper.watchNext();
  assert(delayMs <= LEASE_TTL_MS, `the next watch is in ${delayMs} ms`);
  assertEquals(await redis.users("r"), ["dead"]);
  // It died before it could, so its lease would not end for an hour.
  await endLeaseIn(3_600);
  await one.reaper.watchNext();
  assertEquals(await redis.users("r"), []);
});
