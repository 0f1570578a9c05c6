import { assertEquals } from "@std/assert";
import { JsonClient } from "../support/json_client.ts";
import { startTwoInstances } from "../support/two_instances.ts";

Deno.test("a message that Redis refuses is not delivered, not even later", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const bar = await JsonClient.join(chat.two, "bar");
  const ids: string[] = [];
  for (const denied of ["xadd", "hset", "expire", "publish"]) {
    await chat.redis.setUser("default", `-${denied}`);
    const refs = [1, 2, 3].map((n) => `${n} without ${denied}`);
    foo.send(...refs.map((ref) => ({ type: "message", text: "refused", ref })));
    for (const ref of refs) {
      const { code } = await foo.find("error", (error) => error.ref === ref);
      assertEquals(code, "not_delivered");
    }
    await chat.redis.setUser("default", `+${denied}`);
    // The ref of a refused message is free.
    ids.push(await foo.publish("taken", refs[1]));
  }
  for (const client of [foo, bar, await JsonClient.join(chat.two, "late", { history: 100 })]) {
    await client.receivedMessages(ids.length);
    assertEquals(
      client.all("message").map(({ text, id }) => [text, id]),
      ids.map((id) => ["taken", id]),
    );
    assertEquals(client.all("message").map(({ prev }) => prev), ["0-0", ...ids.slice(0, -1)]);
    await client.leave();
  }
});
