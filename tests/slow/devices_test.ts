import { assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { secondsSince, until } from "../support/wait.ts";

const [JOINED, LEFT] = ["foo: has joined the chat!", "foo: has left the chat!"];

/** Opens a room with a watcher and devices of foo, and resolves when all of them are there. */
async function openRoom(redis: TestRedis, room: string, watcherPort: number, ports: number[]) {
  const token = await makeToken();
  const watcher = await TextClient.join(watcherPort, "watcher", {
    room,
    token: await makeToken({ sub: "watcher" }),
  });
  const devices = await Promise.all(
    ports.map((port) => TextClient.join(port, "foo", { room, token })),
  );
  /** How many devices foo has in Redis; the SET must have foo as long as there are any. */
  async function count(): Promise<number> {
    const read = "return { redis.call('HGET', KEYS[1], 'foo'), " +
      "redis.call('SISMEMBER', KEYS[2], 'foo') }";
    const keys = [`{chat-users:${room}}:owners`, `chat-users:${room}`];
    const [owner, isMember] = await redis.command("EVAL", read, "2", ...keys) as [string, number];
    assertEquals(isMember, owner === null ? 0 : 1);
    return owner?.split("\n").length ?? 0;
  }
  /** What everyone else has seen of foo. */
  async function seen(): Promise<string[]> {
    await untilCaughtUp(redis, [watcher], `chat:${room}`);
    return watcher.frames.filter((line) => line.startsWith("foo: "));
  }
  assertEquals(await count(), ports.length);
  return { watcher, devices, count, seen };
}

Deno.test("a user leaves once: one device is killed, one asleep, one closed", async () => {
  await using redis = await startRedis();
  const env = { ...redis.env, AUTH_SECRET: SECRET, IDLE_SECONDS: "1" };
  await using one = await startInstance(env);
  await using two = await startInstance(env);
  // What goes through it belongs to a client that falls asleep.
  await using proxy = await startProxy(one.port);
  const rooms = await Promise.all(
    ["first", "last"].map((room) =>
      openRoom(redis, room, one.port, [one.port, proxy.port, two.port])
    ),
  );
  const [first, last] = rooms;

  const start = performance.now();
  two.signal("SIGKILL");
  assertEquals(proxy.freeze("GET /chat/foo"), 2);
  await first.devices[0].leave();
  // In one room it is the dead instance's device that is the last one, in the other one it is not.
  await until(async () => await first.count() === 1, 50);
  console.log(`one device is closed, one asleep: both are gone after ${secondsSince(start)}`);
  assertEquals(await first.seen(), [JOINED]);
  await until(async () => await last.count() === 1 && await first.count() === 0, 50);
  console.log(`the killed instance's device is gone after ${secondsSince(start)}`);
  assertEquals(await first.seen(), [JOINED, LEFT]);
  assertEquals(await last.seen(), [JOINED]);
  await last.devices[0].leave();
  await until(async () => await last.count() === 0, 50);
  assertEquals(await last.seen(), [JOINED, LEFT]);
  await Promise.all(rooms.map(({ watcher }) => watcher.leave()));
});

Deno.test("a user whose instance sleeps leaves if no other device stays, and returns", async () => {
  await using redis = await startRedis();
  const env = { ...redis.env, AUTH_SECRET: SECRET };
  await using one = await startInstance(env);
  await using two = await startInstance(env, { mayBeStopped: true });
  const rooms = await Promise.all(
    ["alone", "shared"].map((room) => openRoom(redis, room, one.port, [one.port, two.port])),
  );
  const [alone, shared] = rooms;
  const start = performance.now();
  two.signal("SIGSTOP");
  await alone.devices[0].leave();
  await until(async () => await alone.count() === 0 && await shared.count() === 1, 50);
  console.log(`the devices of the instance that sleeps are gone after ${secondsSince(start)}`);
  assertEquals([await alone.seen(), await shared.seen()], [[JOINED, LEFT], [JOINED]]);
  two.signal("SIGCONT");
  await until(async () => await alone.count() === 1 && await shared.count() === 2, 50);
  // The name is back first, and everyone is told a moment later.
  await until(async () => (await alone.seen()).length === 3, 50);
  assertEquals([await alone.seen(), await shared.seen()], [[JOINED, LEFT, JOINED], [JOINED]]);
  await Promise.all([alone.devices[1], ...shared.devices].map((device) => device.leave()));
  await until(async () => await alone.count() + await shared.count() === 0, 50);
  assertEquals(await alone.seen(), [JOINED, LEFT, JOINED, LEFT]);
  assertEquals(await shared.seen(), [JOINED, LEFT]);
  await Promise.all(rooms.map(({ watcher }) => watcher.leave()));
});
