import { assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { countLeft, TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince } from "../support/wait.ts";

Deno.test("all 5,000 users of an instance leave in order when it shuts down", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  const rooms = Array.from({ length: 50 }, (_, i) => `room-${i}`);
  for (const room of rooms) {
    await joinMany(users, (user) => TextClient.join(one.port, user, { room }));
  }
  const watcher = await TextClient.join(two.port, "watcher", { room: "room-7" });
  const signalled = performance.now();
  one.signal("SIGTERM");
  assertEquals((await one.exit).code, 0);
  console.log(`the process exited ${secondsSince(signalled)} after SIGTERM`);
  for (const room of rooms) {
    assertEquals(await redis.users(room), room === "room-7" ? ["watcher"] : []);
  }
  await untilCaughtUp(redis, [watcher], "chat:room-7");
  assertEquals(countLeft(watcher.frames).size, 100);
  await watcher.leave();
});
