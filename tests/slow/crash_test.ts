import { assert, assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { testAtOnce } from "../support/at_once.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { countLeft, TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince, until } from "../support/wait.ts";

const test = testAtOnce("others see to the users of an instance that crashes");

test("500 users of a killed instance leave once each, and free their names", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const watchers = [await TextClient.join(two.port, "w1"), await TextClient.join(two.port, "w2")];
  const users = Array.from({ length: 500 }, (_, i) => `user-${i}`);
  await joinMany(users, (user) => TextClient.join(one.port, user));
  await untilCaughtUp(redis, watchers);
  for (const watcher of watchers) watcher.clear();

  const killed = performance.now();
  one.signal("SIGKILL");
  await Promise.all(watchers.map((watcher) => watcher.received(500)));
  console.log(`the last of 500 users left ${secondsSince(killed)} after the kill`);
  await two.output.find(/ Instance [\da-f]{12} is gone: 500 users left$/);
  assertEquals(await redis.users(), ["w1", "w2"]);
  const again = await Promise.all(
    ["user-0", "user-499"].map((user) => TextClient.join(two.port, user)),
  );
  await untilCaughtUp(redis, watchers);
  for (const watcher of watchers) {
    const left = countLeft(watcher.frames);
    assertEquals([...left.keys()].sort(), [...users].sort());
    assert([...left.values()].every((times) => times === 1));
  }
  await Promise.all([...watchers, ...again].map((client) => client.leave()));
});

test("a user of an instance that was killed is back at once, and nobody sees it", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const watcher = await TextClient.join(two.port, "watcher");
  const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
  const join = (port: number, attempt: number) =>
    Promise.all(
      users.map((user) =>
        JsonClient.join(port, user, {}, `secret.the-secret-of-${user}.${attempt}`)
      ),
    );
  const clients = await join(one.port, 1);
  await untilCaughtUp(redis, [watcher]);
  watcher.clear();
  one.signal("SIGKILL");
  await Promise.all(clients.map(({ closed }) => closed));
  const again = await join(two.port, 2);
  // A text user has no secret, and waits.
  const text = new TextClient(two.port, users[0]);
  assertEquals((await text.closed).code, CLOSE.nameTaken.code);
  await two.output.find(/ Instance [\da-f]{12} is gone: 0 users left$/);
  await untilCaughtUp(redis, [watcher]);
  assertEquals(watcher.frames, []);
  assertEquals((await redis.users()).length, 21);
  await Promise.all([watcher, ...again].map((client) => client.leave()));
});

test("a name that looks like one of a killed instance is free after the lease", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  await JsonClient.join(one.port, "paypal");
  one.signal("SIGKILL");
  await one.exit;
  const early = new JsonClient(two.port, "PaypaI");
  assertEquals((await early.closed).code, CLOSE.nameTaken.code);
  await two.output.find(/ Instance [\da-f]{12} is gone: 1 users left$/);
  const client = await JsonClient.join(two.port, "PaypaI");
  assertEquals(await redis.users(), ["PaypaI"]);
  await client.leave();
});

test("the next instance frees the names of instances that all died at once", async () => {
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
  for (const keys of ["chat-users*", "*:owners"]) await redis.untilReply(`KEYS ${keys}`, []);
  const foo = await TextClient.join(next.port, "foo", { room: "red" });
  await foo.leave();
});

test("a claim takes a name over from a dead instance, whose user leaves first", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const watcher = await TextClient.join(instance.port, "watcher");
  // For nine seconds after its start the instance takes nobody for dead.
  await redis.command("SADD", "chat-users:blue", "foo");
  await redis.command("HSET", "{chat-users:blue}:owners", "foo", "earlier");
  let early!: TextClient;
  await until(async () => {
    early = new TextClient(instance.port, "foo", { room: "blue" });
    return await early.next() === "Welcome foo!";
  }, 100);
  await early.leave();

  await redis.command("SADD", "chat-users:red", "baz");
  await redis.command("HSET", "{chat-users:red}:owners", "baz", "dead");
  await redis.command("SADD", "chat-instance-rooms:dead", "red");
  await redis.command("SADD", "chat-users", "foo", "bar");
  await redis.command("HSET", "{chat-users}:owners", "foo", "dead", "bar", "dead");
  const foo = await TextClient.join(instance.port, "foo");
  await untilCaughtUp(redis, [watcher]);
  assertEquals(watcher.frames.slice(1).sort(), [
    "bar: has left the chat!",
    "foo: has joined the chat!",
    "foo: has left the chat!",
  ]);
  await instance.output.find(/ Instance dead is gone: 3 users left$/);
  assertEquals(await redis.users(), ["foo", "watcher"]);
  await Promise.all([watcher.leave(), foo.leave()]);
});

test("a late release does not free a name that another user has claimed", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const late = await TextClient.join(one.port, "foo");
  const watcher = await TextClient.join(two.port, "watcher");
  // As if a third instance had reaped the first one, and a user of its own had claimed the name.
  const [seconds] = await redis.command("TIME") as string[];
  await redis.command("ZADD", "chat-leases", `${Number(seconds) + 60}000`, "third-1");
  await redis.command("HSET", "{chat-users}:owners", "foo", `third-1 ${seconds}000`);
  await late.leave();
  const last = await TextClient.join(one.port, "last");
  await untilCaughtUp(redis, [watcher]);
  assertEquals(watcher.frames, ["Welcome watcher!", "last: has joined the chat!"]);
  assertEquals(await redis.users(), ["foo", "last", "watcher"]);
  await Promise.all([watcher.leave(), last.leave()]);
});
