import { assertEquals } from "@std/assert";
import { assertCrowdWorks, joinCrowd } from "../support/crowd.ts";
import { startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { untilReady } from "../support/readiness.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince, until } from "../support/wait.ts";

Deno.test("an instance recovers from a frozen subscriber connection without a gap", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(redis.env);
  const crowd = await joinCrowd(redis, one, two);
  const { names, clients } = crowd;
  // On a slow machine, the connection may have been lost and not be back yet.
  await until(() => proxy.freeze("chat-subscriber") === 1, 20);
  const frozen = performance.now();
  clients[1].send("said meanwhile");
  clients[1].send("and this");
  await one.output.find(/chat-subscriber lost \(no answer\)/);
  console.log(`the instance noticed it after ${secondsSince(frozen)}`);
  await one.output.find(/chat-subscriber is back/);
  const others = clients.toSpliced(1, 1);
  const missed = [`${names[1]}: said meanwhile`, `${names[1]}: and this`];
  await Promise.all(others.map((client) => client.until(missed[1])));
  for (const client of others) assertEquals(client.frames, missed);
  for (const client of clients) client.clear();
  await untilReady(one);
  await assertCrowdWorks(redis, crowd);
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("a user whose name was claimed during a Redis outage is told so afterwards", async () => {
  await using first = await startRedis();
  await using proxy = await startProxy(first.port);
  await using one = await startInstance({ ...first.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(first.env);
  const foo = await TextClient.join(one.port, "foo");
  const bar = await TextClient.join(one.port, "bar");
  const other = await TextClient.join(two.port, "other");
  await untilCaughtUp(first, [foo, bar, other]);
  proxy.block();
  await first[Symbol.asyncDispose]();
  await using redis = await startRedis({ port: first.port });
  await untilReady(two);
  const next = await TextClient.join(two.port, "foo");
  for (const client of [foo, bar, other]) client.clear();
  proxy.unblock();
  assertEquals(await foo.closed, { code: 4409, reason: "the name is taken" });
  assertEquals(foo.frames, [
    "username foo is already taken. please retry with a different name",
  ]);
  await untilReady(one);
  assertEquals(await redis.users(), ["bar", "foo", "other"]);
  next.send("it is me");
  await bar.until("foo: it is me");
  await untilCaughtUp(redis, [bar, next, other]);
  assertEquals(bar.frames, ["foo: it is me"]);
  assertEquals(next.frames, ["Welcome foo!"]);
  await Promise.all([bar, next, other].map((client) => client.leave()));
});

Deno.test("a user who leaves or is refused during a Redis outage leaves no ghost", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(redis.env);
  const leaving = await TextClient.join(one.port, "leaving");
  const staying = await TextClient.join(one.port, "staying");
  const watcher = await TextClient.join(two.port, "watcher");
  await untilCaughtUp(redis, [leaving, staying, watcher]);
  proxy.block();
  await leaving.leave();
  const refused = new TextClient(one.port, "refused");
  assertEquals((await refused.closed).code, 1013);
  proxy.unblock();
  await watcher.until("leaving: has left the chat!");
  await untilReady(one);
  assertEquals(await redis.users(), ["staying", "watcher"]);
  const again = await TextClient.join(one.port, "leaving");
  await untilCaughtUp(redis, [staying, watcher, again]);
  assertEquals(watcher.frames.slice(-2), [
    "leaving: has left the chat!",
    "leaving: has joined the chat!",
  ]);
  await Promise.all([staying, watcher, again].map((client) => client.leave()));
});

Deno.test("an instance that is cut off until it is reaped recovers by itself", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(redis.env);
  const foo = await TextClient.join(one.port, "foo");
  const bar = await TextClient.join(one.port, "bar");
  const watcher = await TextClient.join(two.port, "watcher");
  await untilCaughtUp(redis, [foo, bar, watcher]);
  for (const client of [foo, bar, watcher]) client.clear();
  proxy.block();
  await watcher.received(2);
  assertEquals(await redis.users(), ["watcher"]);
  proxy.unblock();
  await watcher.received(4);
  await untilReady(one);
  assertEquals(await redis.users(), ["bar", "foo", "watcher"]);
  foo.send("here again");
  await watcher.until("foo: here again");
  await untilCaughtUp(redis, [foo, bar, watcher]);
  assertEquals(watcher.frames.slice(0, 2).sort(), [
    "bar: has left the chat!",
    "foo: has left the chat!",
  ]);
  assertEquals(watcher.frames.slice(2, 4).sort(), [
    "bar: has joined the chat!",
    "foo: has joined the chat!",
  ]);
  // They have not seen each other leave, and so they do not see each other join.
  assertEquals(foo.frames, []);
  assertEquals(bar.frames, ["foo: here again"]);
  await Promise.all([foo, bar, watcher].map((client) => client.leave()));
});
