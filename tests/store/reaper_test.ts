import { assert, assertEquals } from "@std/assert";
import { connect } from "../../chat/store/redis/connections.ts";
import { checkDataFormat } from "../../chat/store/redis/data_format.ts";
import { Instances } from "../../chat/store/redis/instances.ts";
import { makeReaper } from "../../chat/store/redis/reaper.ts";
import { startRedis } from "../support/redis.ts";

/** A reaper on a Redis where the instance `dead`, which has no lease, holds the name `foo`. */
async function startReaper() {
  const redis = await startRedis();
  const { commands, subscriber } = await connect(
    redis.settings,
    5_000,
  );
  const instances = new Instances(commands, "this");
  await instances.register(["r"]);
  let leasesLost = 0;
  const reaper = makeReaper(commands, instances, 60, () => leasesLost++);
  await redis.command("SADD", "chat-users:r", "foo");
  await redis.command("HSET", "{chat-users:r}:owners", "foo", "dead");
  return {
    redis,
    commands,
    instances,
    reaper,
    leasesLost: () => leasesLost,
    names: () => redis.command("SMEMBERS", "chat-users:r"),
    async [Symbol.asyncDispose]() {
      await Promise.all([commands.close(), subscriber.close()]);
      await redis[Symbol.asyncDispose]();
    },
  };
}

Deno.test("the log of a room whose users died keeps its time", async () => {
  await using test = await startReaper();
  await test.reaper.reap("r", "dead");
  assertEquals(await test.names(), []);
  assertEquals(await test.redis.command("TTL", "{chat-users:r}:shared"), 120);
});

Deno.test("a reaper frees the names of an instance without a lease, and marks it", async () => {
  await using test = await startReaper();
  assertEquals(await test.reaper.reapIfDead("dead", "r"), true);
  assertEquals(await test.names(), []);
  assertEquals(await test.redis.command("ZRANGE", "chat-reaped", "0", "-1"), ["dead"]);
  assertEquals(test.leasesLost(), 0);
});

Deno.test("a reaper leaves alone an instance with a lease, and its own instance", async () => {
  await using test = await startReaper();
  const end = await test.redis.command("ZSCORE", "chat-leases", test.instances.id) as string;
  await test.redis.command("ZADD", "chat-leases", end, "dead");
  assertEquals(await test.reaper.reapIfDead("dead", "r"), false);
  assertEquals(await test.reaper.reapIfDead(test.instances.id, "r"), false);
  assertEquals(await test.names(), ["foo"]);
});

Deno.test("a reaper reaps nobody in the grace period after an outage", async () => {
  await using test = await startReaper();
  test.reaper.startGracePeriod();
  assertEquals(await test.reaper.reapIfDead("dead", "r"), false);
  assertEquals(await test.names(), ["foo"]);
  assertEquals(test.leasesLost(), 0);
});

Deno.test("a reaper without a lease of its own reaps nobody, and reports it", async () => {
  await using test = await startReaper();
  await test.redis.command("ZREM", "chat-leases", test.instances.id);
  assertEquals(await test.reaper.reapIfDead("dead", "r"), false);
  assertEquals(await test.names(), ["foo"]);
  assertEquals(test.leasesLost(), 1);
  assert(!await test.instances.hasLease(test.instances.id));
});

Deno.test("an instance writes its rooms down again, whatever has come to be there", async () => {
  await using test = await startReaper();
  const key = `chat-instance-rooms:${test.instances.id}`;
  for (const damage of [["DEL", key], ["SET", key, "x"]]) {
    await test.redis.command(...damage);
    await test.instances.rewriteRooms(["r", "s"]);
    assertEquals((await test.redis.command("SMEMBERS", key) as string[]).sort(), ["", "r", "s"]);
  }
});

Deno.test("an instance that starts while the last one ends is known to the next one", async () => {
  await using test = await startReaper();
  const next = new Instances(test.commands, "next");
  // It registers while the last one waits for replies.
  const held = Object.create(test.commands, {
    run: {
      async value(command: string, ...args: string[]) {
        const reply = await test.commands.run(command, ...args);
        if (command === "DEL") await next.register([]);
        return reply;
      },
    },
  });
  const last = new Instances(held, "last");
  await last.register([]);
  await test.instances.close(false);
  await last.close(false);
  await checkDataFormat(test.commands);
  assertEquals(await test.redis.instances(), ["next-1"]);
});
