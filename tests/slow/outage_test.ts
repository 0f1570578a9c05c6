import { assert, assertEquals } from "@std/assert";
import { TextClient, joinMany, untilCaughtUp } from "../support/text_client.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const NOT_DELIVERED = "message not delivered. please try again";
const MAYBE_DELIVERED = "message may not have been delivered";

/** Asks again and again until an instance says that it is ready, or that it is not. */
async function becomes(status: 200 | 503, { http }: Instance): Promise<void> {
  while (await get(`${http}/readyz`) !== status) {
    await sleep(20);
  }
}

async function get(url: string): Promise<number> {
  const response = await fetch(url);
  await response.body?.cancel();
  return response.status;
}

/** 300 users on two instances, all of whom have heard all of them join. */
async function crowd(redis: TestRedis, one: Instance, two: Instance) {
  const names = Array.from({ length: 300 }, (_, i) => `user-${i}`).sort();
  const clients = await joinMany(names.map((name, i) => [[one, two][i % 2].port, name]));
  await untilCaughtUp(redis, clients);
  clients.forEach((client) => client.clear());
  return { names, clients };
}

/** Messages go both ways, and are all that anyone got since the last look. */
async function assertAllIsWell(redis: TestRedis, names: string[], clients: TextClient[]) {
  assertEquals(await redis.users(), names);
  clients[0].send("from the first");
  await clients[1].until(`${names[0]}: from the first`);
  clients[1].send("from the second");
  await clients[0].until(`${names[1]}: from the second`);
  await untilCaughtUp(redis, clients);
  for (const [i, client] of clients.entries()) {
    const heard = [`${names[0]}: from the first`, `${names[1]}: from the second`];
    assertEquals(client.frames, i < 2 ? [heard[1 - i]] : heard, names[i]);
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}

Deno.test("a Redis that comes back empty has all 300 users again, and nobody noticed", async () => {
  const first = await startRedis();
  await using one = await startInstance(first.env);
  await using two = await startInstance(first.env);
  const { names, clients } = await crowd(first, one, two);
  first.process.signal("SIGKILL");
  await first.process.exit;
  await becomes(503, one);
  assertEquals(await get(`${one.http}/healthz`), 200);

  await using redis = await startRedis({ port: first.port });
  const back = performance.now();
  await redis.untilReply("SCARD chat-users", 300);
  console.log(`all names were there ${seconds(back)} s after Redis was`);
  await Promise.all([becomes(200, one), becomes(200, two)]);
  await assertAllIsWell(redis, names, clients);

  // As good as new also when it comes to leaving.
  await clients.at(-1)!.leave();
  await clients[0].until(`${names.at(-1)}: has left the chat!`);
  await Promise.all(clients.slice(0, -1).map((client) => client.leave()));
  await first[Symbol.asyncDispose]();
});

Deno.test("a Redis that hangs for 20 s holds nobody up, and is as it was when it goes on", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const { names, clients } = await crowd(redis, one, two);
  redis.process.signal("SIGSTOP");
  const stopped = performance.now();

  clients[0].send("into the void");
  assertEquals(await clients[0].next(), MAYBE_DELIVERED);
  console.log(`a send that was on its way was answered after ${seconds(stopped)} s`);
  clients[0].send("into the void again");
  assertEquals(await clients[0].next(), NOT_DELIVERED);
  const late = new TextClient(one.port, "late");
  assertEquals((await late.closed).code, 1013);
  assertEquals(late.frames, ["failed to connect. please try again"]);
  await becomes(503, one);

  await sleep(20_000 - (performance.now() - stopped));
  redis.process.signal("SIGCONT");
  const back = performance.now();
  await Promise.all([becomes(200, one), becomes(200, two)]);
  console.log(`both instances were ready ${seconds(back)} s after Redis was`);
  // What was on its way when Redis stopped may have been taken, and then comes once.
  await untilCaughtUp(redis, clients);
  for (const [i, client] of clients.entries()) {
    const unsure = client.frames.filter((frame) => frame === `${names[0]}: into the void`).length;
    const answers = i === 0 ? 2 : 0;
    assert(unsure <= 1 && client.frames.length === unsure + answers, client.frames.join("\n"));
    client.clear();
  }
  await assertAllIsWell(redis, names, clients);
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("a subscriber that is cut off without a word is noticed, and nobody leaves for it", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(redis.env);
  const { names, clients } = await crowd(redis, one, two);
  assertEquals(proxy.freeze("chat-subscriber"), 1);
  const cut = performance.now();
  clients[1].send("said meanwhile");
  clients[1].send("and this");
  await one.output.find(/chat-subscriber lost \(no answer\)/);
  console.log(`it was noticed after ${seconds(cut)} s`);
  await one.output.find(/chat-subscriber is back/);
  const others = clients.toSpliced(1, 1);
  const missed = [`${names[1]}: said meanwhile`, `${names[1]}: and this`];
  await Promise.all(others.map((client) => client.until(missed[1])));
  for (const client of others) assertEquals(client.frames, missed);
  clients.forEach((client) => client.clear());
  await becomes(200, one);
  await assertAllIsWell(redis, names, clients);
  await Promise.all(clients.map((client) => client.leave()));
});

Deno.test("who comes back from an outage to a name that someone took is told so", async () => {
  const first = await startRedis();
  await using proxy = await startProxy(first.port);
  const cutOff = { ...first.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using one = await startInstance(cutOff);
  await using two = await startInstance(first.env);
  const [foo, bar, other] = await joinMany([
    [one.port, "foo"],
    [one.port, "bar"],
    [two.port, "other"],
  ]);
  await untilCaughtUp(first, [foo, bar, other]);
  proxy.block();
  first.process.signal("SIGKILL");
  await first.process.exit;
  await using redis = await startRedis({ port: first.port });
  await becomes(200, two);
  const next = await TextClient.join(two.port, "foo");
  for (const client of [foo, bar, other]) client.clear();
  proxy.unblock();
  assertEquals(await foo.closed, { code: 4409, reason: "the name is taken" });
  assertEquals(foo.frames, [
    "username foo is already taken. please retry with a different name",
  ]);
  await becomes(200, one);
  assertEquals(await redis.users(), ["bar", "foo", "other"]);
  next.send("it is me");
  await bar.until("foo: it is me");
  await untilCaughtUp(redis, [bar, next, other]);
  assertEquals(bar.frames, ["foo: it is me"]);
  assertEquals(next.frames, ["Welcome foo!"]);
  await Promise.all([bar, next, other].map((client) => client.leave()));
  await first[Symbol.asyncDispose]();
});

Deno.test("who leaves or is refused while Redis is away leaves no ghost", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const env = { ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using one = await startInstance(env);
  await using two = await startInstance(redis.env);
  const [leaving, staying, watcher] = await joinMany([
    [one.port, "leaving"],
    [one.port, "staying"],
    [two.port, "watcher"],
  ]);
  await untilCaughtUp(redis, [leaving, staying, watcher]);
  proxy.block();
  await leaving.leave();
  const refused = new TextClient(one.port, "refused");
  assertEquals((await refused.closed).code, 1013);
  proxy.unblock();
  await watcher.until("leaving: has left the chat!");
  await becomes(200, one);
  assertEquals(await redis.users(), ["staying", "watcher"]);
  const again = await TextClient.join(one.port, "leaving");
  await untilCaughtUp(redis, [staying, watcher, again]);
  assertEquals(watcher.frames.slice(-2), [
    "leaving: has left the chat!",
    "leaving: has joined the chat!",
  ]);
  await Promise.all([staying, watcher, again].map((client) => client.leave()));
});

Deno.test("an instance that was cut off until others took it for dead comes back by itself", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const env = { ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using one = await startInstance(env);
  await using two = await startInstance(redis.env);
  const [foo, bar, watcher] = await joinMany([
    [one.port, "foo"],
    [one.port, "bar"],
    [two.port, "watcher"],
  ]);
  await untilCaughtUp(redis, [foo, bar, watcher]);
  for (const client of [foo, bar, watcher]) client.clear();
  proxy.block();
  await watcher.received(2);
  assertEquals(await redis.users(), ["watcher"]);
  proxy.unblock();
  await watcher.received(4);
  await becomes(200, one);
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
  // They saw nobody leave, and so nobody comes.
  assertEquals(foo.frames, []);
  assertEquals(bar.frames, ["foo: here again"]);
  await Promise.all([foo, bar, watcher].map((client) => client.leave()));
});

Deno.test("who leaves while Redis has lost its data is seen leaving", async () => {
  const first = await startRedis();
  await using one = await startInstance(first.env);
  await using two = await startInstance(first.env);
  const [leaving, staying, watcher] = await joinMany([
    [one.port, "leaving"],
    [one.port, "staying"],
    [two.port, "watcher"],
  ]);
  await untilCaughtUp(first, [leaving, staying, watcher]);
  first.process.signal("SIGKILL");
  await first.process.exit;
  await becomes(503, one);
  await leaving.leave();
  await using redis = await startRedis({ port: first.port });
  await Promise.all([becomes(200, one), becomes(200, two)]);
  assertEquals(await redis.users(), ["staying", "watcher"]);

  await redis.command("FLUSHALL");
  await staying.leave();
  await watcher.until("staying: has left the chat!");
  await becomes(200, one);
  await redis.untilReply("SMEMBERS chat-users", ["watcher"]);
  await watcher.leave();
  await first[Symbol.asyncDispose]();
});

Deno.test("a Redis that comes back with old data throws nobody out", async () => {
  const folder = await Deno.makeTempDir();
  const first = await startRedis({ folder });
  await using proxy = await startProxy(first.port);
  const env = { ...first.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using one = await startInstance(env);
  const [foo, bar] = await joinMany([[one.port, "foo"], [one.port, "bar"]]);
  await untilCaughtUp(first, [foo, bar]);
  for (const client of [foo, bar]) client.clear();
  await first.command("SAVE");
  // Another outage, after which the instance is another one to Redis than in what was saved.
  proxy.block();
  await becomes(503, one);
  proxy.unblock();
  await becomes(200, one);
  first.process.signal("SIGKILL");
  await first.process.exit;
  await becomes(503, one);

  await using redis = await startRedis({ port: first.port, folder });
  assertEquals(await redis.users(), ["bar", "foo"]);
  await becomes(200, one);
  assertEquals(await redis.users(), ["bar", "foo"]);
  foo.send("still here");
  await bar.until("foo: still here");
  await foo.leave();
  await bar.until("foo: has left the chat!");
  assertEquals(bar.frames, ["foo: still here", "foo: has left the chat!"]);
  assertEquals(await redis.users(), ["bar"]);
  await bar.leave();
  await first[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
});
