import { assert, assertEquals } from "@std/assert";
import { startPresence } from "../support/presence.ts";
import { startRedis } from "../support/redis.ts";

const OWNERS = "{chat-users:r}:owners";

/** Two instances in room `r`. Session s1 of the first one has the name foo, with the key foo. */
async function startPair() {
  const redis = await startRedis();
  const one = await startPresence(redis, "one");
  const two = await startPresence(redis, "two");
  await one.start();
  // Unlike a start, this lets it judge others at once.
  await two.instances.register(["r"]);
  await two.claims.enterRoom("r");
  assertEquals(await one.claims.claim("r", "foo", "s1", { keys: ["foo"] }), "claimed");
  return {
    ...{ redis, one, two },
    /** The second instance claims a name that looks like foo. */
    claim: (user = "FOO") => two.claims.claim("r", user, "s2", { keys: ["foo"] }),
    /** The names, and the names that the keys lead to. */
    async fields() {
      const fields = await redis.command("HKEYS", OWNERS) as string[];
      if (fields.length === 0) return [];
      const values = await redis.command("HMGET", OWNERS, ...fields) as string[];
      return fields.map((field, i) => field.startsWith("::") ? `${field} ${values[i]}` : field)
        .sort();
    },
    async [Symbol.asyncDispose]() {
      for (const part of [one, two, redis]) await part[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a name that looks like one of a dead instance is free, after a reap", async () => {
  await using pair = await startPair();
  const { redis, two } = pair;
  assertEquals(await pair.claim(), "taken");
  await redis.command("ZADD", "chat-leases", "XX", "1", "one-1");
  assertEquals(await pair.claim(), "claimed");
  await two.caughtUp();
  assertEquals(two.seen, ["joined foo", "left foo", "joined FOO"]);
  assertEquals(await pair.fields(), ["::foo :FOO", "FOO"]);
});

Deno.test("a name that looks like one of no session of this instance is free", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  // An earlier release of the session s0 has never reached Redis.
  await redis.command("SADD", "chat-users:r", "bar");
  await redis.command("HSET", OWNERS, "bar", "one-1 5 s0 0 - ::bar", "::bar", ":bar");
  assertEquals(await one.claims.claim("r", "BAR", "s5", { keys: ["bar"] }), "claimed");
  assertEquals(await redis.users("r"), ["BAR", "foo"]);
  assertEquals(await pair.fields(), ["::bar :BAR", "::foo :foo", "BAR", "foo"]);
});

Deno.test("a key counts only while the user that it names has an owner", async () => {
  await using pair = await startPair();
  const { redis, two } = pair;
  await redis.command("HDEL", OWNERS, "foo");
  assertEquals(await pair.claim(), "claimed");
  assertEquals(await pair.fields(), ["::foo :FOO", "FOO"]);
  await two.claims.release("r", "FOO", "s2");
  assertEquals(await pair.fields(), []);
});

Deno.test("the keys of a name that is taken over go when it is released", async () => {
  await using pair = await startPair();
  const { one, two } = pair;
  await one.claims.release("r", "foo", "s1");
  for (const [attempt, { claims }] of [one, two].entries()) {
    const secret = { hash: "foo's", attempt };
    const outcome = await claims.claim("r", "foo", `s${attempt}`, { secret, keys: ["foo"] });
    assertEquals(outcome, "claimed");
    assertEquals(await pair.fields(), ["::foo :foo", "foo"]);
  }
  await two.claims.release("r", "foo", "s1");
  assertEquals(await pair.fields(), []);
});

Deno.test("a recovery and a sweep write the keys of names down again", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  await one.recovery.recover();
  assertEquals(await pair.fields(), ["::foo :foo", "foo"]);
  await redis.command("DEL", "chat-users:r", OWNERS);
  await one.sweeper.sweep("r");
  assertEquals(await pair.fields(), ["::foo :foo", "foo"]);
  const owner = await redis.command("HGET", OWNERS, "foo") as string;
  assert(/^one-2 \d{13} s1 0 - ::foo$/.test(owner), owner);
  assertEquals(await pair.claim(), "taken");
});

Deno.test("of two names in the room with one key, both stay, and one has it", async () => {
  await using pair = await startPair();
  const { redis, one, two } = pair;
  await redis.command("DEL", "chat-users:r", OWNERS);
  assertEquals(await pair.claim(), "claimed");
  for (const { sweeper } of [one, two, one]) await sweeper.sweep("r");
  assertEquals(await redis.users("r"), ["FOO", "foo"]);
  assertEquals(await pair.fields(), ["::foo :FOO", "FOO", "foo"]);
  await one.claims.release("r", "foo", "s1");
  assertEquals(await pair.fields(), ["::foo :FOO", "FOO"]);
  await two.claims.release("r", "FOO", "s2");
  assertEquals(await pair.fields(), []);
});

Deno.test("the same holds for two names of one instance", async () => {
  await using pair = await startPair();
  const { redis, one } = pair;
  await redis.command("DEL", "chat-users:r", OWNERS);
  assertEquals(await one.claims.claim("r", "FOO", "s2", { keys: ["foo"] }), "claimed");
  await redis.command("DEL", "chat-users:r", OWNERS);
  await one.sweeper.sweep("r");
  assertEquals(await pair.fields(), ["::foo :foo", "FOO", "foo"]);
  await one.claims.release("r", "FOO", "s2");
  assertEquals(await pair.fields(), ["::foo :foo", "foo"]);
  await one.claims.release("r", "foo", "s1");
  assertEquals(await pair.fields(), []);
});

Deno.test("a sweep takes no key for an owner", async () => {
  await using pair = await startPair();
  const { redis, two } = pair;
  await two.sweeper.sweep("r");
  assertEquals(await redis.command("ZRANGE", "chat-reaped", "0", "-1"), []);
  assertEquals(await pair.fields(), ["::foo :foo", "foo"]);
});
