import { assert, assertEquals, assertRejects } from "@std/assert";
import type { NameClaims } from "../../chat/store/redis/name_claims.ts";
import { StoreOutcomeUnknown } from "../../chat/store/store.ts";
import { startPresence } from "../support/presence.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

const OWNERS = "{chat-users:r}:owners";

/** The secret of the user foo with an attempt. */
const attempt = (attempt: number) => ({ hash: "foo's", attempt });

/** The instance and the session of the owner of foo. */
async function ownerOfFoo(redis: TestRedis): Promise<string> {
  const owner = await redis.command("HGET", OWNERS, "foo") as string;
  const [id, , session] = owner.split(" ");
  return `${id} ${session}`;
}

/** Two instances in room `r`. The first one can be cut off, and foo is its user, by session s1. */
async function startPair() {
  const redis = await startRedis();
  const proxy = await startProxy(redis.port);
  const one = await startPresence(redis, "one", proxy.port);
  const two = await startPresence(redis, "two");
  await one.start();
  // Unlike a start, this lets it judge others at once.
  await two.instances.register(["r"]);
  await two.claims.enterRoom("r");
  assertEquals(await one.claims.claim("r", "foo", "s1", { secret: attempt(1) }), "claimed");
  return {
    ...{ redis, proxy, one, two },
    /** What the second instance has seen. */
    async seen() {
      await two.caughtUp();
      return two.seen;
    },
    /** The sessions that hold foo, as the first and the second instance know. */
    held: () => [one, two].map(({ claims }) => claims.heldIn("r").of("foo")[0]?.session),
    async [Symbol.asyncDispose]() {
      for (const part of [one, two, proxy, redis]) await part[Symbol.asyncDispose]();
    },
  };
}

Deno.test("an instance forgets a name that another one takes over", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  await one.caughtUp();
  assertEquals(pair.held(), [undefined, "s2"]);
  await one.claims.release("r", "foo", "s1");
  await one.sweeper.sweep("r");
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
  assertEquals(one.seen, ["joined foo", "replaced foo"]);
});

Deno.test("a dead instance's name is taken over, and is not reaped", async () => {
  await using pair = await startPair();
  const { redis, two } = pair;
  await endLease(redis);
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  assert(await two.reaper.reapIfDead("one-1", "r"));
  await two.reaper.watchNext();
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
});

/** Lets an instance hear of no claim. */
function deafen({ claims }: { claims: NameClaims }): void {
  claims.note = () => false;
}

/** Lets the first instance look dead. */
async function endLease(redis: TestRedis): Promise<void> {
  await redis.command("ZADD", "chat-leases", "XX", "1", "one-1");
}

Deno.test("a name that is reaped while it is taken over is seen leaving once at most", async () => {
  for (let i = 0; i < 5; i++) {
    await using pair = await startPair();
    const { redis, two } = pair;
    await endLease(redis);
    const [outcome] = await Promise.all([
      two.claims.claim("r", "foo", "s2", { secret: attempt(2) }),
      two.reaper.reap("r", "one-1"),
      two.claims.claim("r", "foo", "s3", { secret: attempt(3) }),
      two.reaper.reap("r", "one-1"),
    ]);
    assertEquals(outcome, "claimed");
    assertEquals(await ownerOfFoo(redis), "two-1 s3");
    assertEquals(
      (await pair.seen()).filter((event) => event !== "lost foo: replaced"),
      ["joined foo", "replaced foo", "replaced foo"],
    );
  }
});

Deno.test("after a reap, the session that comes back as the later one keeps the name", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  await endLease(redis);
  assert(await two.reaper.reapIfDead("one-1", "r"));
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  await one.recovery.recover();
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "left foo", "joined foo"]);
  assertEquals(one.seen.filter((event) => event.startsWith("lost")), ["lost foo: replaced"]);
});

Deno.test("a user who comes back after a reap, and is taken over meanwhile, is seen", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  await endLease(redis);
  assert(await two.reaper.reapIfDead("one-1", "r"));
  // The second time, the recovery has just given the name back to the session.
  const { wasReaped } = one.instances;
  let calls = 0;
  one.instances.wasReaped = async () => {
    if (++calls === 2) {
      assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
      await one.caughtUp();
    }
    return await wasReaped.call(one.instances);
  };
  await one.recovery.recover();
  assertEquals(pair.held(), [undefined, "s2"]);
  assertEquals(await pair.seen(), ["joined foo", "left foo", "replaced foo", "joined foo"]);
});

Deno.test("an instance that was cut off finds that its user is elsewhere", async () => {
  await using pair = await startPair();
  const { redis, proxy, one, two } = pair;
  deafen(one);
  proxy.block();
  await until(() => !one.commands.isReady, 20);
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  proxy.unblock();
  await until(() => one.commands.isReady, 20);
  await one.recovery.reconnect();
  assertEquals(one.seen.at(-1), "lost foo: replaced");
  assertEquals(pair.held(), [undefined, "s2"]);
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
});

Deno.test("a session that left while its instance was cut off frees nothing", async () => {
  await using pair = await startPair();
  const { redis, proxy, one, two } = pair;
  proxy.block();
  await until(() => !one.commands.isReady, 20);
  await one.claims.release("r", "foo", "s1");
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  proxy.unblock();
  await until(() => one.commands.isReady, 20);
  await one.recovery.reconnect();
  assertEquals(one.recovery.isRecovered, true);
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
});

Deno.test("a sweep finds a take-over of which the instance has not heard", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  deafen(one);
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  assertEquals(pair.held(), ["s1", "s2"]);
  await one.sweeper.sweep("r");
  assertEquals(pair.held(), [undefined, "s2"]);
  assertEquals(one.seen.at(-1), "lost foo: replaced");
  assertEquals(await ownerOfFoo(redis), "two-1 s2");
});

/** Who keeps a name that Redis has lost, if both instances write it down again. */
const LOSSES: Record<
  string,
  { secret: [number, number] | undefined; keeps: number; loss: string }
> = {
  "the later of two sessions of one user": { secret: [1, 2], keeps: 1, loss: "replaced" },
  "the later of two sessions, also if it joined earlier": {
    ...{ secret: [2, 1], keeps: 0, loss: "replaced" },
  },
  "of two sessions with one attempt the first": { secret: [2, 2], keeps: 0, loss: "replaced" },
  "of two users the first": { secret: undefined, keeps: 0, loss: "taken" },
};

for (const [name, { secret, keeps, loss }] of Object.entries(LOSSES)) {
  for (const order of ["first", "second"] as const) {
    Deno.test(`after a lost name, ${name} keeps it; ${order} sweeps first`, async () => {
      await using redis = await startRedis();
      await using one = await startPresence(redis, "one");
      await using two = await startPresence(redis, "two");
      const instances = [one, two];
      for (const { start } of instances) await start();
      // Each of them believes that it has the name.
      instances.forEach(deafen);
      for (const [i, { claims }] of instances.entries()) {
        await redis.command("DEL", "chat-users:r", OWNERS);
        const hash = secret ? "foo's" : `user-${i}`;
        const outcome = await claims.claim("r", "foo", `s${i}`, {
          secret: {
            hash,
            attempt: secret?.[i] ?? 1,
          },
        });
        assertEquals(outcome, "claimed");
        // So that the two do not claim it in the same millisecond.
        const claimedAtMs = claims.heldIn("r").of("foo")[0].claimedAtMs;
        await until(() => one.instances.nowMs > claimedAtMs + 1);
      }
      await redis.command("DEL", "chat-users:r", OWNERS);
      if (order === "second") instances.reverse();
      for (const { sweeper } of [...instances, ...instances]) await sweeper.sweep("r");
      assertEquals(await ownerOfFoo(redis), `${["one-1", "two-1"][keeps]} s${keeps}`);
      assertEquals(await redis.users("r"), ["foo"]);
      const [keeper, loser] = keeps === 0 ? [one, two] : [two, one];
      await Promise.all([one.caughtUp(), two.caughtUp()]);
      const lost = [keeper, loser]
        .map(({ seen }) => seen.filter((event) => event !== "joined foo"));
      assertEquals(lost, [[], [`lost foo: ${loss}`]]);
      assertEquals(loser.claims.heldIn("r").size, 0);
    });
  }
}

Deno.test("a take-over on the same instance, while the former session leaves", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  const [outcome] = await Promise.all([
    one.claims.claim("r", "foo", "s2", { secret: attempt(2) }),
    one.claims.release("r", "foo", "s1"),
  ]);
  assertEquals(outcome, "claimed");
  assertEquals(await ownerOfFoo(redis), "one-1 s2");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
  await Promise.all([
    one.claims.release("r", "foo", "s2"),
    one.claims.claim("r", "foo", "s3", { secret: attempt(3) }),
  ]);
  assertEquals(await ownerOfFoo(redis), "one-1 s3");
  assertEquals(pair.held(), ["s3", undefined]);
  assertEquals(await pair.seen(), ["joined foo", "replaced foo", "left foo", "joined foo"]);
});

for (const place of ["the same instance", "another instance"]) {
  Deno.test(`a claim without a reply is taken over by a later one on ${place}`, async () => {
    await using pair = await startPair();
    const { redis, proxy, one, two } = pair;
    await one.claims.release("r", "foo", "s1");
    proxy.loseReply(`"user":"foo"`);
    const first = one.claims.claim("r", "foo", "s2", { secret: attempt(2) });
    const failing = assertRejects(() => first, StoreOutcomeUnknown);
    await redis.untilReply("SCARD chat-users:r", 1);
    const later = (place === "another instance" ? two : one).claims;
    // On the same connection, the later claim has no reply either.
    const second = place === "another instance" &&
      later.claim("r", "foo", "s3", { secret: attempt(3) });
    if (second) assertEquals(await second, "claimed");
    proxy.disconnect("by reset");
    await failing;
    await one.claims.release("r", "foo", "s2");
    await until(() => one.commands.isReady, 20);
    if (!second) {
      assertEquals(await later.claim("r", "foo", "s3", { secret: attempt(3) }), "claimed");
    }
    await one.recovery.reconnect();
    const owner = place === "another instance" ? "two-1 s3" : "one-2 s3";
    assertEquals(await ownerOfFoo(redis), owner);
    assertEquals(one.recovery.isRecovered, true);
    assertEquals(await pair.seen(), ["joined foo", "left foo", "joined foo", "replaced foo"]);
  });
}

Deno.test("a take-over without a reply is confirmed by its event", async () => {
  await using pair = await startPair();
  const { redis, proxy, one } = pair;
  proxy.loseReply(`"session":"s2"`);
  const claiming = assertRejects(
    () => one.claims.claim("r", "foo", "s2", { secret: attempt(2) }),
    StoreOutcomeUnknown,
  );
  await until(() => one.seen.includes("replaced foo"), 20);
  assertEquals(pair.held(), ["s2", undefined]);
  proxy.disconnect("by reset");
  await claiming;
  await until(() => one.commands.isReady, 20);
  await one.recovery.reconnect();
  assertEquals(await ownerOfFoo(redis), "one-2 s2");
  assertEquals(pair.held(), ["s2", undefined]);
  assertEquals(await pair.seen(), ["joined foo", "replaced foo"]);
  await one.claims.release("r", "foo", "s2");
  assertEquals(await redis.users("r"), []);
});

Deno.test("a session that does not hear of its take-over gives the name up", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  assertEquals(await two.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  await two.claims.release("r", "foo", "s2");
  assertEquals(await redis.users("r"), []);
  await one.caughtUp();
  await one.claims.release("r", "foo", "s1");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo", "left foo"]);
});

Deno.test("an instance gives a name that Redis has lost to no other user", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  assertEquals(await one.claims.claim("r", "foo", "s3", { secret: attempt(3) }), "claimed");
  await redis.command("DEL", "chat-users:r", OWNERS);
  assertEquals(await one.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "replaced");
  assertEquals(await one.claims.claim("r", "foo", "s4"), "taken");
  assertEquals(
    await one.claims.claim("r", "foo", "s4", { secret: { hash: "x", attempt: 4 } }),
    "taken",
  );
  assertEquals(await one.claims.claim("r", "foo", "s4", { secret: attempt(4) }), "claimed");
  assertEquals(pair.held(), ["s4", undefined]);
  assertEquals(await ownerOfFoo(redis), "one-1 s4");
  assertEquals(await pair.seen(), ["joined foo", "replaced foo", "joined foo"]);
});

Deno.test("a name is taken if its owner is the instance itself, but no session", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  for (const [owner, outcome] of [["one-1 5", "taken"], ["one-1 5 s0 0 -", "claimed"]] as const) {
    await redis.command("SADD", "chat-users:r", "bar");
    await redis.command("HSET", OWNERS, "bar", owner);
    assertEquals(await one.claims.claim("r", "bar", "s5", { secret: attempt(5) }), outcome);
  }
});

Deno.test("a claim without a reply may have the name until it is released", async () => {
  await using pair = await startPair();
  const { proxy, one } = pair;
  deafen(one);
  await one.claims.release("r", "foo", "s1");
  proxy.loseReply(`"session":"s2"`);
  const claiming = assertRejects(() => one.claims.claim("r", "foo", "s2"), StoreOutcomeUnknown);
  await pair.redis.untilReply("SCARD chat-users:r", 1);
  proxy.disconnect("by reset");
  await claiming;
  await until(() => one.commands.isReady, 20);
  assertEquals(await one.claims.claim("r", "foo", "s3"), "taken");
  await one.claims.release("r", "foo", "s2");
  assertEquals(await one.claims.claim("r", "foo", "s3"), "claimed");
});

Deno.test("a claim that was replaced before its reply does not count any more", async () => {
  await using pair = await startPair();
  const { one } = pair;
  const { note } = one.claims;
  deafen(one);
  const claims = [2, 3].map((n) => one.claims.claim("r", "foo", `s${n}`, { secret: attempt(n) }));
  // The event of the first one was missed. That of the second one comes before both replies.
  const event = { type: "replaced", user: "foo", session: "s3", former: "s2", users: 1 } as const;
  assertEquals(note.call(one.claims, "r", event), false);
  assertEquals(await Promise.all(claims), ["claimed", "claimed"]);
  assertEquals(pair.held(), ["s3", undefined]);
  assertEquals(one.claims.count("r"), { confirmed: 1, unconfirmed: 0 });
});

Deno.test("a session learns without the event that one of its instance has its name", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  deafen(one);
  assertEquals(await one.claims.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  assertEquals(one.seen.filter((event) => event.startsWith("lost")), ["lost foo: replaced"]);
  // The hub does this if the event does not come in time.
  await one.claims.release("r", "foo", "s2");
  assertEquals(await redis.users("r"), []);
});

Deno.test("the owner of a name shows a hash, and no recovery loses it", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  await one.recovery.recover();
  await redis.command("DEL", "chat-users:r", OWNERS);
  await one.sweeper.sweep("r");
  const owner = await redis.command("HGET", OWNERS, "foo") as string;
  assert(/^one-2 \d{13} s1 1 foo's$/.test(owner), owner);
});
