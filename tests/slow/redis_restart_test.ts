import { assertEquals } from "@std/assert";
import { testAtOnce } from "../support/at_once.ts";
import { assertCrowdWorks, joinCrowd } from "../support/crowd.ts";
import { startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { getStatus, untilNotReady, untilReady } from "../support/readiness.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince } from "../support/wait.ts";

const test = testAtOnce("users stay when Redis restarts");

test("after Redis restarts empty, all 300 users are back without noticing", async () => {
  await using first = await startRedis();
  await using one = await startInstance(first.env);
  await using two = await startInstance(first.env);
  const crowd = await joinCrowd(first, one, two);
  const { names, clients } = crowd;
  await first[Symbol.asyncDispose]();
  await untilNotReady(one);
  assertEquals(await getStatus(one, "/healthz"), 200);

  await using redis = await startRedis({ port: first.port });
  const restarted = performance.now();
  await redis.untilReply("SCARD chat-users", 300);
  console.log(`Redis had all names ${secondsSince(restarted)} after its restart`);
  await Promise.all([untilReady(one), untilReady(two)]);
  await assertCrowdWorks(redis, crowd);

  // The users can also leave.
  await clients.at(-1)!.leave();
  await clients[0].until(`${names.at(-1)}: has left the chat!`);
  await Promise.all(clients.slice(0, -1).map((client) => client.leave()));
});

test("a user who leaves while Redis has lost its data is seen leaving", async () => {
  await using first = await startRedis();
  await using one = await startInstance(first.env);
  await using two = await startInstance(first.env);
  const leaving = await TextClient.join(one.port, "leaving");
  const staying = await TextClient.join(one.port, "staying");
  const watcher = await TextClient.join(two.port, "watcher");
  await untilCaughtUp(first, [leaving, staying, watcher]);
  await first[Symbol.asyncDispose]();
  await untilNotReady(one);
  await leaving.leave();
  await using redis = await startRedis({ port: first.port });
  await Promise.all([untilReady(one), untilReady(two)]);
  assertEquals(await redis.users(), ["staying", "watcher"]);

  await redis.command("FLUSHALL");
  await staying.leave();
  await watcher.until("staying: has left the chat!");
  await untilReady(one);
  await redis.untilReply("SMEMBERS chat-users", ["watcher"]);
  await watcher.leave();
});

test("a Redis that restarts with old data disconnects nobody", async () => {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await using first = await startRedis({ folder });
  await using proxy = await startProxy(first.port);
  const env = { ...first.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using one = await startInstance(env);
  const foo = await TextClient.join(one.port, "foo");
  const bar = await TextClient.join(one.port, "bar");
  await untilCaughtUp(first, [foo, bar]);
  for (const client of [foo, bar]) client.clear();
  await first.command("SAVE");
  // After another outage Redis knows the instance by a new id, which the saved data do not contain.
  proxy.block();
  await untilNotReady(one);
  proxy.unblock();
  await untilReady(one);
  await first[Symbol.asyncDispose]();
  await untilNotReady(one);

  await using redis = await startRedis({ port: first.port, folder });
  assertEquals(await redis.users(), ["bar", "foo"]);
  await untilReady(one);
  assertEquals(await redis.users(), ["bar", "foo"]);
  foo.send("still here");
  await bar.until("foo: still here");
  await foo.leave();
  await bar.until("foo: has left the chat!");
  assertEquals(bar.frames, ["foo: still here", "foo: has left the chat!"]);
  assertEquals(await redis.users(), ["bar"]);
  await bar.leave();
});
