import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openRedisStore } from "../../chat/store/redis/redis_store.ts";
import type { RoomListener } from "../../chat/store/store.ts";
import { TextClient, joinMany, untilCaughtUp } from "../support/text_client.ts";
import { AN_HOUR_AHEAD, type Instance, startInstance } from "../support/instance.ts";
import { PASSWORD, startRedis, type TestRedis } from "../support/redis.ts";

const NOBODY: RoomListener = { onEvent() {}, onNameLost() {} };

/** How often each user was seen leaving. */
function departures(frames: string[]): Map<string, number> {
  const seen = new Map<string, number>();
  for (const frame of frames) {
    const user = /^(.*): has left the chat!$/.exec(frame)?.[1];
    if (user !== undefined) seen.set(user, (seen.get(user) ?? 0) + 1);
  }
  return seen;
}

/** Resolves soon after both instances on a Redis have renewed their leases, each in its own rhythm of 3 s. */
async function renewal(redis: TestRedis): Promise<void> {
  const shortest = async () => {
    const leases = await redis.command("KEYS", "chat-instance:*") as string[];
    const left = await Promise.all(leases.map((lease) => redis.command("PTTL", lease)));
    return Math.min(...left as number[]);
  };
  while (await shortest() < 8_400) await sleep(20);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

Deno.test("500 users of an instance that is killed leave, each once, and their names are free", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const watchers = [await TextClient.join(two.port, "w1"), await TextClient.join(two.port, "w2")];
  const users = Array.from({ length: 500 }, (_, i) => `user-${i}`);
  await joinMany(users.map((user) => [one.port, user]));
  await untilCaughtUp(redis, watchers);
  for (const watcher of watchers) watcher.clear();

  const killed = performance.now();
  one.signal("SIGKILL");
  await Promise.all(watchers.map((watcher) => watcher.received(500)));
  console.log(`the last of 500 left ${seconds(killed)} s after the kill`);
  assertEquals(await redis.users(), ["w1", "w2"]);
  const again = await joinMany([[two.port, "user-0"], [two.port, "user-499"]]);
  await untilCaughtUp(redis, watchers);
  for (const watcher of watchers) {
    const seen = departures(watcher.frames);
    assertEquals([...seen.keys()].sort(), [...users].sort());
    assert([...seen.values()].every((times) => times === 1));
  }
  await Promise.all([...watchers, ...again].map((client) => client.leave()));
});

Deno.test("what instances leave behind that all died at once is freed by the next that comes", async () => {
  await using redis = await startRedis();
  {
    await using one = await startInstance(redis.env);
    await using two = await startInstance(redis.env);
    await TextClient.join(one.port, "foo", { room: "red" });
    await TextClient.join(two.port, "bar");
    one.signal("SIGKILL");
    two.signal("SIGKILL");
    await Promise.all([one.exit, two.exit]);
  }
  assertEquals(await redis.users("red"), ["foo"]);
  await using next = await startInstance(redis.env);
  await redis.untilReply("KEYS *chat-users*", []);
  const foo = await TextClient.join(next.port, "foo", { room: "red" });
  await foo.leave();
});

Deno.test("a name whose holder is dead is taken at once, and seen leaving first", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const watcher = await TextClient.join(instance.port, "watcher");
  await redis.command("SADD", "chat-users", "foo", "bar");
  await redis.command("HSET", "{chat-users}:owners", "foo", "dead", "bar", "dead");
  const foo = await TextClient.join(instance.port, "foo");
  await untilCaughtUp(redis, [watcher]);
  assertEquals(watcher.frames.slice(1).sort(), [
    "bar: has left the chat!",
    "foo: has joined the chat!",
    "foo: has left the chat!",
  ]);
  assertEquals(await redis.users(), ["foo", "watcher"]);
  await Promise.all([watcher.leave(), foo.leave()]);
});

Deno.test("a late leave does not take the name from its next holder", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const late = await TextClient.join(one.port, "foo");
  // As if everyone had taken the first instance for dead.
  await redis.command("HDEL", "{chat-users}:owners", "foo");
  await redis.command("SREM", "chat-users", "foo");
  const next = await TextClient.join(two.port, "foo");
  await late.leave();
  const watcher = await TextClient.join(one.port, "watcher");
  await next.until("watcher: has joined the chat!");
  assertEquals(await redis.users(), ["foo", "watcher"]);
  await untilCaughtUp(redis, [next]);
  assertEquals(next.frames, ["Welcome foo!", "watcher: has joined the chat!"]);
  await Promise.all([next.leave(), watcher.leave()]);
});

Deno.test("ten kills in a row, under joins, leaves and messages elsewhere, leave no ghost", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const stable = await joinMany(
    Array.from({ length: 20 }, (_, i) => [[one, two][i % 2].port, `stable-${i}`]),
  );
  let churning = true;
  async function churn(instance: Instance, name: string): Promise<void> {
    for (let i = 0; churning; i++) {
      const client = await TextClient.join(instance.port, `${name}-${i}`);
      client.send("here I am");
      await client.leave();
    }
  }
  const churns = [churn(one, "churn-a"), churn(two, "churn-b")];

  const doomed: string[] = [];
  for (let round = 0; round < 10; round++) {
    await using victim = await startInstance(redis.env);
    const users = Array.from({ length: 30 }, (_, i) => `doomed-${round}-${i}`);
    await joinMany(users.map((user) => [victim.port, user]));
    doomed.push(...users);
    stable[round].send(`round ${round}`);
    victim.signal("SIGKILL");
    await victim.exit;
  }
  const isGone = (frames: string[]) => {
    const seen = departures(frames);
    return doomed.every((user) => seen.has(user));
  };
  for (const client of stable) {
    while (!isGone(client.frames)) await client.received(client.frames.length + 1);
  }
  churning = false;
  await Promise.all(churns);
  await redis.untilReply("SCARD chat-users", stable.length);
  await untilCaughtUp(redis, stable);

  assertEquals(await redis.users(), stable.map((_, i) => `stable-${i}`).sort());
  for (const client of stable) {
    const seen = departures(client.frames);
    assert([...seen.values()].every((times) => times === 1), "nobody leaves twice");
    assert([...seen.keys()].every((user) => !user.startsWith("stable")), "nobody leaves who stays");
    const joined = client.frames.filter((f) => /: has joined the chat!$/.test(f));
    assertEquals(new Set(joined).size, joined.length, "nobody joins twice");
    const rounds = client.frames.filter((f) => /: round \d$/.test(f));
    assert(rounds.length >= 9, "messages flow through all of it");
  }
  await Promise.all(stable.map((client) => client.leave()));
});

Deno.test("instances whose clocks differ by an hour agree on who is there", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance({ ...redis.env, ...AN_HOUR_AHEAD });
  const clock = async ({ http }: Instance) => {
    const { headers, body } = await fetch(http);
    await body?.cancel();
    return Date.parse(headers.get("date")!);
  };
  assert(await clock(two) - await clock(one) > 3_500_000, "faketime is not installed");
  const here = await TextClient.join(one.port, "here");
  await TextClient.join(two.port, "there");
  // Longer than a lease lives: each has looked after the other, and left it alone.
  const deadline = performance.now() + 12_000;
  while (performance.now() < deadline) {
    assertEquals(await redis.users(), ["here", "there"]);
    assertEquals(await redis.command("SCARD", "chat-instances"), 2);
    assertEquals(await redis.command("KEYS", "chat-instance-reaped:*"), []);
    await sleep(500);
  }
  two.signal("SIGKILL");
  await here.until("there: has left the chat!");
  assertEquals(await redis.users(), ["here"]);
  assertEquals(departures(here.frames), new Map([["there", 1]]));
  await here.leave();
});

Deno.test("an instance that stalls for 6 s keeps its lease, one that stalls for 15 s puts itself right", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const stays = await TextClient.join(one.port, "stays");
  const loses = await TextClient.join(one.port, "loses");
  const watcher = await TextClient.join(two.port, "watcher");
  await untilCaughtUp(redis, [stays, loses, watcher]);
  for (const client of [stays, loses, watcher]) client.clear();

  const stall = async (milliseconds: number) => {
    one.signal("SIGSTOP");
    await sleep(milliseconds);
    one.signal("SIGCONT");
  };
  await renewal(redis);
  await stall(6_000);
  stays.send("back");
  await watcher.until("stays: back");
  assertEquals(departures(watcher.frames).size, 0);
  assertEquals(await redis.users(), ["loses", "stays", "watcher"]);

  const stalled = stall(15_000);
  await watcher.until("loses: has left the chat!");
  const thief = await TextClient.join(two.port, "loses");
  await stalled;
  assertEquals(await loses.closed, { code: 4409, reason: "the name is taken" });
  await watcher.until("stays: has joined the chat!");
  await redis.untilReply("SCARD chat-users", 3);
  assertEquals(await redis.users(), ["loses", "stays", "watcher"]);
  stays.send("here again");
  await watcher.until("stays: here again");
  await untilCaughtUp(redis, [watcher, thief]);
  assertEquals(departures(watcher.frames), new Map([["loses", 1], ["stays", 1]]));
  await Promise.all([stays, thief, watcher].map((client) => client.leave()));
});

Deno.test("5,000 users of an instance leave in order when it is told to stop", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const rooms = Array.from({ length: 50 }, (_, i) => `room-${i}`);
  for (const room of rooms) {
    await joinMany(Array.from({ length: 100 }, (_, i) => [one.port, `user-${i}`, room]));
  }
  const watcher = await TextClient.join(two.port, "watcher", { room: "room-7" });
  const told = performance.now();
  one.signal("SIGTERM");
  assertEquals((await one.exit).code, 0);
  console.log(`the process ended ${seconds(told)} s after SIGTERM`);
  for (const room of rooms) {
    assertEquals(await redis.users(room), room === "room-7" ? ["watcher"] : []);
  }
  await untilCaughtUp(redis, [watcher], "chat:room-7");
  assertEquals(departures(watcher.frames).size, 100);
  await watcher.leave();
});

Deno.test("an idle instance with 10,000 users costs Redis less than a command a second", async () => {
  await using redis = await startRedis();
  const settings = { host: "127.0.0.1", port: redis.port, password: PASSWORD, database: 0 };
  const store = await openRedisStore({ ...settings, tls: false }, readConfig({}));
  const other = await openRedisStore({ ...settings, tls: false }, readConfig({}));
  await store.subscribe("chat", NOBODY);
  await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => store.claim("chat", `user-${i}`, `s${i}`)),
  );
  const processed = async () => {
    const info = await redis.command("INFO", "stats") as string;
    return Number(/total_commands_processed:(\d+)/.exec(info)![1]);
  };
  const [before, since] = [await processed(), performance.now()];
  await sleep(30_000);
  const count = await processed() - before - 1;
  const perSecond = count / ((performance.now() - since) / 1000) / 2;
  console.log(`${perSecond.toFixed(2)} commands a second for each of two idle instances`);
  assert(perSecond < 1);
  await Promise.all([store.close(), other.close()]);
});
