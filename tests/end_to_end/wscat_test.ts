import { assertEquals } from "@std/assert";
import { TextClient } from "../support/text_client.ts";
import { startInstance } from "../support/instance.ts";
import { Lines } from "../support/process.ts";
import { startRedis } from "../support/redis.ts";

Deno.test("the real wscat holds a conversation with a user on another instance", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const bar = await TextClient.join(two.port, "bar");
  const wscat = new Deno.Command("npx", {
    args: ["-y", "wscat@6.1.0", "-c", `ws://127.0.0.1:${one.port}/chat/foo`],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const screen = new Lines(wscat.stdout, wscat.stderr);
  await screen.find(/Welcome foo!/);
  await bar.until("foo: has joined the chat!");

  const keyboard = wscat.stdin.getWriter();
  await keyboard.write(new TextEncoder().encode("hi from wscat\n"));
  await bar.until("foo: hi from wscat");
  bar.send("hi from bar");
  await screen.find(/bar: hi from bar/);

  await keyboard.close();
  await bar.until("foo: has left the chat!");
  await wscat.status;
  const chat = (await screen.end()).filter((line) => line.includes("foo") || line.includes("bar"));
  assertEquals(chat.length, 2, chat.join("\n"));
  await bar.leave();
});
