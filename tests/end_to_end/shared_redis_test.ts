import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { PASSWORD, startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";

/** The variables with which an instance uses a database. */
function database(redis: TestRedis, number: number, user = ""): Record<string, string> {
  const login = `${user}:${encodeURIComponent(PASSWORD)}`;
  return { REDIS_URL: `redis://${login}@127.0.0.1:${redis.port}/${number}` };
}

Deno.test("chats in two databases do not hear each other, and lose nothing", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(database(redis, 1));
  await using two = await startInstance(database(redis, 2));
  const count = 300;
  const rooms = [undefined, "red"].flatMap((room) =>
    [one, two].map(async ({ port }, i) => {
      const name = `${room} of database ${i + 1}`;
      const sender = await JsonClient.join(port, "foo", { room });
      const listener = await JsonClient.join(port, "bar", { room });
      const texts = Array.from({ length: count }, (_, n) => `${n} in ${name}`);
      const ids: string[] = [];
      for (let n = 0; n < count; n += 10) {
        const sent = texts.slice(n, n + 10).map((text) => sender.publish(text));
        ids.push(...await Promise.all(sent));
      }
      for (const client of [sender, listener]) {
        await client.receivedMessages(count);
        assertEquals(client.texts, texts);
        assertEquals(client.all("message").map(({ id }) => id), ids);
      }
      return { name, clients: [sender, listener] };
    })
  );
  for (const { name, clients: [sender, listener] } of await Promise.all(rooms)) {
    // Whatever came from elsewhere would be here before this message.
    const id = await sender.publish("the end");
    await listener.find("message", (message) => message.id === id);
    assertEquals(listener.all("message").length, count + 1, name);
    assertEquals(listener.all("joined").length, 0, name);
    await sender.leave();
    await listener.leave();
  }
});

Deno.test("with REDIS_PREFIX, a chat uses no key and no channel without it", async () => {
  await using redis = await startRedis();
  await redis.setUser("team", "on", `>${PASSWORD}`, "~team-1:*", "&team-1:*", "+@all");
  const withPrefix = { ...database(redis, 1, "team"), REDIS_PREFIX: "team-1:" };
  await using one = await startInstance(withPrefix);
  await using two = await startInstance(withPrefix);
  await using plain = await startInstance(database(redis, 1));
  const outsiders = await Promise.all([
    TextClient.join(plain.port, "foo"),
    TextClient.join(plain.port, "foo", { room: "red" }),
  ]);
  for (const room of [undefined, "red"]) {
    const foo = await JsonClient.join(one.port, "foo", { room });
    const bar = await TextClient.join(two.port, "bar", { room });
    const id = await foo.publish("hi", "ref");
    await bar.until("foo: hi");
    bar.send("hello");
    await foo.find("message", ({ text }) => text === "hello");
    await foo.leave();
    await bar.until("foo: has left the chat!");
    const again = await JsonClient.join(two.port, "foo", { room, since: id });
    await again.find("message", ({ text }) => text === "hello");
    assertEquals(await again.publish("hi", "ref"), id);
  }
  await redis.command("SELECT", "1");
  assertEquals(await redis.users("red"), ["foo"]);
  assertEquals(await redis.command("SCARD", "team-1:chat-users:red"), 2);

  // The chat without a prefix has heard nothing. It leaves nothing but its messages.
  for (const client of outsiders) {
    client.send("anyone?");
    await client.leave();
    assertEquals(client.frames, ["Welcome foo!"]);
  }
  plain.signal("SIGTERM");
  await plain.exit;
  const names = [redis.command("KEYS", "*"), redis.command("PUBSUB", "CHANNELS")];
  const all = (await Promise.all(names) as string[][]).flat();
  assertEquals(all.filter((name) => !name.startsWith("team-1:")).sort(), [
    "{chat:red}:log",
    "{chat}:log",
  ]);
  assert(all.includes("team-1:chat@1") && all.includes("team-1:chat@1:red"), `${all}`);
});
