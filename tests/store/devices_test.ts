import { assert, assertEquals } from "@std/assert";
import { addDead, startPresence } from "../support/presence.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

const USERS = "chat-users:r";
const OWNERS = "{chat-users:r}:owners";
const MAX_DEVICES = 3;

/**
 * Two instances in room `r`. The user foo has the devices a1 and a2 on the first one, which can be
 * cut off, and b on the second one.
 */
async function startDevices() {
  const redis = await startRedis();
  const proxy = await startProxy(redis.port);
  const one = await startPresence(redis, "one", proxy.port);
  const two = await startPresence(redis, "two");
  for (const { reaper, start } of [one, two]) {
    // They can judge others at once.
    reaper.startGracePeriod = () => {};
    await start();
  }
  const claim = ({ claims }: typeof one, session: string) =>
    claims.claim("r", "foo", session, { maxDevices: MAX_DEVICES });
  for (const [instance, session] of [[one, "a1"], [two, "b"], [one, "a2"]] as const) {
    assertEquals(await claim(instance, session), "claimed");
  }
  return {
    ...{ redis, proxy, one, two, claim },
    /** The sessions that have foo in Redis, each after its instance, and the names in the room. */
    async inRedis() {
      const owner = await redis.command("HGET", OWNERS, "foo") as string | null;
      const lines = owner?.split("\n").map((line) => line.split(" "));
      return [lines?.map(([id, , session]) => `${id} ${session}`).sort(), await redis.users("r")];
    },
    /** What the second instance has seen. */
    async seen() {
      await two.caughtUp();
      return two.seen;
    },
    async release({ claims }: typeof one, ...sessions: string[]) {
      for (const session of sessions) await claims.release("r", "foo", session);
    },
    async [Symbol.asyncDispose]() {
      for (const part of [one, two, proxy, redis]) await part[Symbol.asyncDispose]();
    },
  };
}

const JOINED = ["joined foo", "added foo", "added foo"];

/** Lets an instance look dead. */
async function endLease(redis: TestRedis, id: string): Promise<void> {
  await redis.command("ZADD", "chat-leases", "XX", "1", id);
}

Deno.test("a dead instance's devices are reaped, and the user stays with the others", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  await endLease(redis, "one-1");
  await two.reaper.watchNext();
  assertEquals(await test.inRedis(), [["two-1 b"], ["foo"]]);
  await test.release(two, "b");
  assertEquals(await test.inRedis(), [undefined, []]);
  assertEquals(await test.seen(), [...JOINED, "left foo"]);
  // It was not dead: its devices come back, and are seen once.
  await one.recovery.recover();
  assertEquals(await test.inRedis(), [["one-2 a1", "one-2 a2"], ["foo"]]);
  assertEquals(await test.seen(), [...JOINED, "left foo", "joined foo"]);
  await test.release(one, "a2", "a1");
  assertEquals(await test.seen(), [...JOINED, "left foo", "joined foo", "left foo"]);
});

Deno.test("the devices of an instance that was reaped come back beside the others", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  await endLease(redis, "one-1");
  assert(await two.reaper.reapIfDead("one-1", "r"));
  // Of a user with all devices, those count that are there.
  for (const session of ["c", "d"]) assertEquals(await test.claim(two, session), "claimed");
  assertEquals(await test.claim(two, "e"), "full");
  await one.recovery.recover();
  const all = ["one-2 a1", "one-2 a2", "two-1 b", "two-1 c", "two-1 d"];
  assertEquals(await test.inRedis(), [all, ["foo"]]);
  await test.release(two, "b", "c", "d");
  await test.release(one, "a1");
  assertEquals(await test.inRedis(), [["one-2 a2"], ["foo"]]);
  await test.release(one, "a2");
  assertEquals(await test.seen(), [...JOINED, "added foo", "added foo", "left foo"]);
  assertEquals(await redis.command("EXISTS", USERS, OWNERS), 0);
});

Deno.test("a device that leaves after a reap is not seen leaving again", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  await test.release(two, "b");
  await endLease(redis, "one-1");
  await two.reaper.watchNext();
  await test.release(one, "a1", "a2");
  await one.recovery.recover();
  for (const { sweeper } of [one, two]) await sweeper.sweep("r");
  assertEquals(await test.inRedis(), [undefined, []]);
  assertEquals(await test.seen(), [...JOINED, "left foo"]);
});

Deno.test("a new device replaces those of a dead instance, and of lost releases", async () => {
  await using test = await startDevices();
  const { redis, proxy, one, two } = test;
  await endLease(redis, "one-1");
  assertEquals(await test.claim(two, "c"), "claimed");
  assertEquals(await test.inRedis(), [["two-1 b", "two-1 c"], ["foo"]]);
  await one.recovery.recover();
  // A release that never reaches Redis.
  proxy.block();
  await until(() => !one.commands.isReady, 20);
  await test.release(one, "a1");
  proxy.unblock();
  await until(() => one.commands.isReady, 20);
  await test.release(two, "b");
  assertEquals(await test.claim(one, "a3"), "claimed");
  assertEquals((await test.inRedis())[0], ["one-2 a2", "one-2 a3", "two-1 c"]);
  assertEquals(await test.seen(), [...JOINED, "added foo", "added foo"]);
});

for (const lost of [[USERS], [OWNERS], [USERS, OWNERS]]) {
  const what = lost.map((key) => key.split(":").at(-1)).join(" and ");
  Deno.test(`sweeps write all devices down again: ${what} are lost`, async () => {
    await using test = await startDevices();
    const { redis, one, two } = test;
    const before = await test.inRedis();
    await redis.command("DEL", ...lost);
    for (const { sweeper } of [one, two, one, two]) await sweeper.sweep("r");
    assertEquals(await test.inRedis(), before);
    assertEquals((await redis.command("HKEYS", OWNERS) as string[]).sort(), ["foo"]);
    assertEquals(await test.seen(), JOINED);
  });

  for (const [name, isLast] of [["another", false], ["the last", true]] as const) {
    Deno.test(`a device leaves while Redis has lost ${what}: not ${name} one`, async () => {
      await using test = await startDevices();
      const { redis, one, two } = test;
      await redis.command("DEL", ...lost);
      await test.release(one, "a1", "a2");
      if (isLast) await test.release(two, "b");
      // It takes all instances to know that nobody has the name.
      for (const { sweeper } of [one, two, one, two]) await sweeper.sweep("r");
      assertEquals(await test.inRedis(), isLast ? [undefined, []] : [["two-1 b"], ["foo"]]);
      assertEquals(await test.seen(), [...JOINED, ...(isLast ? ["left foo"] : [])]);
      assertEquals(await redis.command("HLEN", OWNERS), isLast ? 0 : 1);
    });
  }
}

Deno.test("who left while Redis lost all is seen leaving once no device is left", async () => {
  for (const isLast of [false, true]) {
    await using test = await startDevices();
    const { redis, proxy, one, two } = test;
    proxy.block();
    await until(() => !one.commands.isReady, 20);
    await test.release(one, "a1", "a2");
    if (isLast) await test.release(two, "b");
    await redis.command("FLUSHALL");
    proxy.unblock();
    await until(() => one.commands.isReady, 20);
    await one.recovery.reconnect();
    await two.recovery.renewLease();
    await one.instances.renewLease(true);
    await until(async () => {
      for (const { sweeper } of [one, two]) await sweeper.sweep("r");
      const [owners, users] = await test.inRedis();
      return isLast ? users?.length === 0 : owners?.length === 1;
    }, 200);
    assertEquals(await test.seen(), [...JOINED, ...(isLast ? ["left foo"] : [])]);
  }
});

/** Lets instances leave the room, as a store does when its last session there has left. */
async function leaveRoom(...all: Awaited<ReturnType<typeof startPresence>>[]): Promise<void> {
  for (const { claims, instances } of all) {
    claims.leaveRoom("r");
    await instances.leaveRoom("r");
  }
}

/** Sweeps more rooms than there are, several times. */
async function sweepAll(...all: Awaited<ReturnType<typeof startPresence>>[]): Promise<void> {
  for (let i = 0; i < 4; i++) for (const { sweeper } of all) await sweeper.sweepNext();
}

for (const lost of [[OWNERS], [USERS, OWNERS]]) {
  Deno.test(`who left when Redis had lost ${lost.length} keys leaves no empty room`, async () => {
    await using test = await startDevices();
    const { redis, one, two } = test;
    await test.release(two, "b");
    await leaveRoom(two);
    await redis.command("DEL", ...lost);
    await test.release(one, "a1", "a2");
    await leaveRoom(one);
    await sweepAll(one, two);
    assertEquals(await test.inRedis(), [undefined, []]);
    assertEquals(await redis.command("EXISTS", OWNERS), 0);
    assertEquals(await test.seen(), [...JOINED, "left foo"]);
    assertEquals([...one.claims.roomsToSweep], []);
  });
}

for (const lost of ["all", "the owners"]) {
  Deno.test(`who left a room in an outage in which Redis lost ${lost} is not there`, async () => {
    await using test = await startDevices();
    const { redis, proxy, one, two } = test;
    await test.release(two, "b");
    await leaveRoom(two);
    assertEquals(await one.claims.claim("r", "bar", "s1"), "claimed");
    proxy.block();
    await until(() => !one.commands.isReady, 20);
    await test.release(one, "a1", "a2");
    await one.claims.release("r", "bar", "s1");
    one.claims.leaveRoom("r");
    await redis.command(...lost === "all" ? ["FLUSHALL"] : ["DEL", OWNERS]);
    proxy.unblock();
    await until(() => one.commands.isReady, 20);
    await one.recovery.reconnect();
    await two.recovery.renewLease();
    await sweepAll(one, two);
    assertEquals(await test.inRedis(), [undefined, []]);
    assertEquals(await redis.command("EXISTS", OWNERS), 0);
    const seen = (await test.seen()).slice(JOINED.length + 1);
    assertEquals(seen.sort(), ["left bar", "left foo"]);
  });
}

Deno.test("a device can come while Redis has lost the owner of the name", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  await test.release(one, "a2");
  await redis.command("DEL", OWNERS);
  assertEquals(await test.claim(two, "c"), "claimed");
  assertEquals(await two.claims.claim("r", "foo", "d"), "taken");
  for (const { sweeper } of [one, two]) await sweeper.sweep("r");
  assertEquals(await test.inRedis(), [["one-1 a1", "two-1 b", "two-1 c"], ["foo"]]);
  assertEquals(await test.seen(), [...JOINED, "added foo"]);
});

Deno.test("a later connection of a device ends the former one alone", async () => {
  await using test = await startDevices();
  const { one, two } = test;
  const phone = (attempt: number) => ({ hash: "phone", attempt });
  const claim = ({ claims }: typeof one, attempt: number) =>
    claims.claim("r", "foo", `p${attempt}`, { secret: phone(attempt), maxDevices: 9 });
  assertEquals(await claim(one, 1), "claimed");
  assertEquals(await claim(one, 2), "claimed");
  assertEquals(await claim(two, 3), "claimed");
  await Promise.all([one.caughtUp(), two.caughtUp()]);
  const held = () =>
    [one, two].map(({ claims }) => claims.heldIn("r").of("foo").map(({ session }) => session));
  assertEquals(held(), [["a1", "a2"], ["b", "p3"]]);
  assertEquals(await claim(two, 2), "replaced");
  // Also if its event is lost.
  one.claims.note = () => false;
  assertEquals(await claim(one, 4), "claimed");
  assertEquals(await claim(one, 5), "claimed");
  await two.caughtUp();
  assertEquals(held(), [["a1", "a2", "p5"], ["b"]]);
  const all = ["one-1 a1", "one-1 a2", "one-1 p5", "two-1 b"];
  assertEquals(await test.inRedis(), [all, ["foo"]]);
});

Deno.test("sweeps free the places of sessions that are gone", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  const owner = await redis.command("HGET", OWNERS, "foo") as string;
  const gone = ["one-1 5 gone 0 -", "four-1 5 gone 0 -"];
  await redis.command("HSET", OWNERS, "foo", [owner, ...gone].join("\n"));
  await two.sweeper.sweep("r");
  assertEquals((await test.inRedis())[0]?.length, 4, "an instance that is not registered");
  for (let i = 0; i < 2; i++) await one.sweeper.sweep("r");
  assertEquals(await test.inRedis(), [["one-2 a1", "one-2 a2", "two-1 b"], ["foo"]]);
  assertEquals(await test.seen(), JOINED);
});

Deno.test("only a joined makes an instance look for what Redis has lost", async () => {
  await using test = await startDevices();
  const { claims } = test.one;
  const event = { user: "foo", session: "c", users: 1 };
  assertEquals(claims.note("r", { type: "added", ...event }), false);
  assertEquals(claims.note("r", { type: "replaced", former: "b", ...event }), false);
  assertEquals(claims.note("r", { type: "joined", ...event }), true);
});

Deno.test("names of users with one device and with several are restored together", async () => {
  await using test = await startDevices();
  const { redis, one, two } = test;
  assertEquals(await one.claims.claim("r", "bar", "s1"), "claimed");
  await addDead(redis, "three-1");
  await one.reaper.watchNext();
  await redis.command("DEL", USERS, OWNERS);
  await redis.command("SADD", USERS, "ghost");
  for (const { sweeper } of [one, two, one, two]) await sweeper.sweep("r");
  assertEquals(await redis.users("r"), ["bar", "foo"]);
  assertEquals(await two.claims.claim("r", "bar", "s2"), "taken");
  assertEquals(await two.claims.claim("r", "foo", "s2"), "taken");
  assertEquals((await test.inRedis())[0], ["one-1 a1", "one-1 a2", "two-1 b"]);
});
