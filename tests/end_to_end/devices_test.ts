import { assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { JsonClient } from "../support/json_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

const TOO_MANY = { code: CLOSE.tooManyDevices.code, reason: CLOSE.tooManyDevices.reason };

/** Two instances where a user may have three devices, and a watcher on each. */
async function startChat(env: Record<string, string> = {}) {
  const chat = await startTwoInstances({ AUTH_SECRET: SECRET, MAX_DEVICES: "3", ...env });
  const token = await makeToken();
  const watchers = await Promise.all(
    ["w1", "w2"].map(async (sub, i) =>
      TextClient.join([chat.one, chat.two][i], sub, { token: await makeToken({ sub }) })
    ),
  );
  return {
    ...{ ...chat, token, watchers },
    /** Checks what the watchers have received of foo since the last call. */
    async expectSeen(...lines: string[]) {
      await untilCaughtUp(chat.redis, watchers);
      for (const watcher of watchers) {
        assertEquals(watcher.frames.filter((line) => line.startsWith("foo: ")), lines);
        watcher.clear();
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(watchers.map((client) => client.leave()));
      await chat[Symbol.asyncDispose]();
    },
  };
}

const JOINED = "foo: has joined the chat!";
const LEFT = "foo: has left the chat!";

Deno.test("a user is in a room with three devices, and the fourth is refused", async () => {
  await using chat = await startChat();
  const { one, two, redis, token, expectSeen } = chat;
  const phone = await JsonClient.join(one, "foo", { token });
  const laptop = await TextClient.join(one, "foo", { token });
  const desktop = await TextClient.join(two, "foo", { token });
  assertEquals((await phone.welcome()).users, 3);
  for (const port of [one, two]) {
    const json = new JsonClient(port, "foo", { token });
    assertEquals(await json.closed, TOO_MANY);
    const message = "too many devices: at most 3 of yours can be in the room";
    assertEquals(json.events, [{ type: "error", code: "too_many_devices", message }]);
    const text = new TextClient(port, "foo", { token });
    assertEquals(await text.closed, TOO_MANY);
    assertEquals(text.frames, [message]);
  }
  assertEquals(await redis.users(), ["foo", "w1", "w2"]);
  await expectSeen(JOINED);

  // The first one leaves, and another one comes. Nobody sees either.
  await phone.leave();
  await until(async () => {
    const owner = await redis.command("HGET", "{chat-users}:owners", "foo") as string;
    return owner.split("\n").length === 2;
  }, 20);
  const tablet = await JsonClient.join(two, "foo", { token });
  await Promise.all([laptop, desktop].map((client) => client.leave()));
  await expectSeen();
  await tablet.leave();
  await until(async () => (await redis.users()).length === 2, 20);
  await expectSeen(LEFT);
  assertEquals(await redis.command("HEXISTS", "{chat-users}:owners", "foo"), 0);
});

Deno.test("a message goes to all devices of its sender but the terminal that sent it", async () => {
  await using chat = await startChat();
  const { one, two, redis, token, expectSeen } = chat;
  const laptop = await TextClient.join(one, "foo", { token });
  const desktop = await TextClient.join(two, "foo", { token });
  const phone = await JsonClient.join(two, "foo", { token });
  const texts = [laptop, desktop];
  laptop.send("from the laptop");
  await desktop.until("foo: from the laptop");
  desktop.send("from the desktop");
  await laptop.until("foo: from the desktop");
  await phone.publish("from the phone");
  await laptop.until("foo: from the phone");
  await untilCaughtUp(redis, texts);
  assertEquals(laptop.frames.slice(1), ["foo: from the desktop", "foo: from the phone"]);
  assertEquals(desktop.frames.slice(1), ["foo: from the laptop", "foo: from the phone"]);
  await phone.receivedMessages(3);
  assertEquals(phone.all("message").map(({ session }) => typeof session), [
    ...["string", "string", "undefined"],
  ]);
  const said = ["laptop", "desktop", "phone"].map((device) => `foo: from the ${device}`);
  await expectSeen(JOINED, ...said);
  await Promise.all([...texts, phone].map((client) => client.leave()));
});

Deno.test("a device that comes back takes over its own connection", async () => {
  await using chat = await startChat();
  const { one, two, token, expectSeen } = chat;
  const join = (port: number, device: string, attempt: number) =>
    JsonClient.join(port, "foo", { token }, `secret.the-secret-of-${device}.${attempt}`);
  const phone = await join(one, "phone", 1);
  const others = [await join(one, "laptop", 1), await join(two, "tablet", 1)];
  const back = await join(two, "phone", 2);
  const { code, reason } = CLOSE.replaced;
  assertEquals(await phone.closed, { code, reason });
  await back.publish("back");
  for (const other of others) await other.receivedMessages(1);
  await expectSeen(JOINED, "foo: back");
  await Promise.all([back, ...others].map((client) => client.leave()));
});

Deno.test("with MAX_DEVICES=1 a name is one connection's, as without authentication", async () => {
  await using chat = await startChat({ MAX_DEVICES: "1" });
  const { one, two, token, expectSeen } = chat;
  const only = await TextClient.join(one, "foo", { token });
  for (const port of [one, two]) {
    const other = new TextClient(port, "foo", { token });
    assertEquals((await other.closed).code, CLOSE.nameTaken.code);
  }
  only.send("hi");
  await chat.watchers[0].until("foo: hi");
  await expectSeen(JOINED, "foo: hi");
  await untilCaughtUp(chat.redis, [only]);
  assertEquals(only.frames.includes("foo: hi"), false);
  await only.leave();
});
