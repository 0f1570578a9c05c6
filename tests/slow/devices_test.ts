import { assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { secondsSince, until } from "../support/wait.ts";

Deno.test("a user leaves once: one device is killed, one asleep, one closed", async () => {
  await using redis = await startRedis();
  const env = { ...redis.env, AUTH_SECRET: SECRET, IDLE_SECONDS: "1" };
  await using one = await startInstance(env);
  await using two = await startInstance(env);
  // What goes through it belongs to a client that falls asleep.
  await using proxy = await startProxy(one.port);
  const token = await makeToken();
  const watcherToken = await makeToken({ sub: "watcher" });
  const rooms = await Promise.all(["first", "last"].map(async (room) => {
    const watcher = await TextClient.join(one.port, "watcher", { room, token: watcherToken });
    const devices = await Promise.all(
      [one, proxy, two].map(({ port }) => TextClient.join(port, "foo", { room, token })),
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
    async function seen(): Promise<string[]> {
      await untilCaughtUp(redis, [watcher], `chat:${room}`);
      return watcher.frames.filter((line) => line.startsWith("foo: "));
    }
    return { watcher, closing: devices[0], count, seen };
  }));
  const [first, last] = rooms;
  for (const { count } of rooms) assertEquals(await count(), 3);

  const start = performance.now();
  two.signal("SIGKILL");
  assertEquals(proxy.freeze("GET /chat/foo"), 2);
  await first.closing.leave();
  // In one room it is the dead instance's device that is the last one, in the other one it is not.
  await until(async () => await first.count() === 1, 50);
  console.log(`one device is closed, one asleep: both are gone after ${secondsSince(start)}`);
  assertEquals(await first.seen(), ["foo: has joined the chat!"]);
  await until(async () => await last.count() === 1 && await first.count() === 0, 50);
  console.log(`the killed instance's device is gone after ${secondsSince(start)}`);
  assertEquals(await first.seen(), ["foo: has joined the chat!", "foo: has left the chat!"]);
  assertEquals(await last.seen(), ["foo: has joined the chat!"]);
  await last.closing.leave();
  await until(async () => await last.count() === 0, 50);
  assertEquals(await last.seen(), ["foo: has joined the chat!", "foo: has left the chat!"]);
  await Promise.all(rooms.map(({ watcher }) => watcher.leave()));
});
