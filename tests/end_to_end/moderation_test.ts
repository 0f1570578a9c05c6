import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChatClient, ChatError } from "../../chat/client/client.ts";
import { payloadOf } from "../../chat/protocol/events.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { untilNotReady, untilReady } from "../support/readiness.ts";
import type { JoinOptions } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { TIMEOUT_MS, until } from "../support/wait.ts";

const AUTH = { AUTH_SECRET: SECRET };

/** The users whose tokens allow to moderate. */
const MODERATORS = ["ann", "bob"];

function tokenOf(user: string): Promise<string> {
  return makeToken({ sub: user, moderate: MODERATORS.includes(user) });
}

async function optionsOf(user: string, options: JoinOptions = {}): Promise<JoinOptions> {
  return { room: "r", ...options, token: await tokenOf(user) };
}

async function join(port: number, user: string, options?: JoinOptions): Promise<JsonClient> {
  return await JsonClient.join(port, user, await optionsOf(user, options));
}

async function joinText(port: number, user: string, options?: JoinOptions): Promise<TextClient> {
  return await TextClient.join(port, user, await optionsOf(user, options));
}

/** Sends a request as a user; resolves to the status and the body. */
async function ask(
  port: number,
  user: string,
  method: string,
  path: string,
  body?: string,
): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    body,
    headers: { authorization: `Bearer ${await tokenOf(user)}` },
  });
  return [response.status, await response.text()];
}

/** Lets a client do something as a moderator, and resolves to the type of the answer. */
let actions = 0;
async function act(client: JsonClient, action: Record<string, unknown>): Promise<string> {
  const ref = `action ${++actions}`;
  client.send({ ...action, ref });
  return await Promise.race([
    client.find("done", (done) => done.ref === ref).then(() => "done"),
    client.find("error", (error) => error.ref === ref).then(({ code }) => code),
  ]);
}

/** Waits until the server has closed a connection, but not for ever; resolves to the close code. */
async function closeCode({ closed }: JsonClient): Promise<number> {
  return (await deadline(closed, TIMEOUT_MS)).code;
}

/** Resolves to the close code of a client, and to what it was told before. */
async function lastWords(client: JsonClient): Promise<[number, string]> {
  const code = await closeCode(client);
  return [code, client.all("error").at(-1)!.message];
}

/** Resolves to the close code with which a join ends; 0 if the handshake is refused. */
async function closeCodeOfJoin(port: number, user: string): Promise<number> {
  return await closeCode(new JsonClient(port, user, await optionsOf(user)));
}

Deno.test("a removed message never comes back", async () => {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const redis = await startRedis({ folder, appendOnly: true });
  const env = { ...redis.env, ...AUTH };
  const [one, two] = await Promise.all([startInstance(env), startInstance(env)]);
  [redis, one, two].forEach((process) => stack.use(process));
  const foo = await join(one.port, "foo");
  const ann = await join(two.port, "ann");
  const text = await joinText(two.port, "text");
  const first = await foo.publish("first");
  const secret = await foo.publish("a secret", "ref of it");
  const last = await foo.publish("last");
  await ann.receivedMessages(3);

  assertEquals(await act(ann, { type: "remove", id: secret }), "done");
  const removed = { type: "removed", id: secret, by: "ann" } as const;
  assertEquals(await foo.find("removed"), removed);
  assertEquals(await ann.find("removed"), removed);
  await text.until("* a message was removed by ann");
  assertEquals(await act(ann, { type: "remove", id: secret }), "done");
  const place = {
    ...{ type: "message", id: secret, prev: first, user: "foo", text: "" },
    ...{ removed: true, ref: "ref of it" },
  };

  async function check(): Promise<void> {
    for (const { port } of [one, two]) {
      const [status, body] = await ask(port, "bar", "GET", "/rooms/r/messages");
      assertEquals(status, 200);
      assertEquals(JSON.parse(body).messages[1], place);
      const history = await join(port, "bar", { history: 3 });
      await history.receivedMessages(3);
      assertEquals(history.all("message")[1], place as unknown);
      await history.leave();
      // A client that has had the message, and one that has missed it.
      for (const since of [last, first]) {
        const resumed = await join(port, "bar", { since });
        assertEquals(resumed.all("welcome")[0].recovered, true);
        assertEquals(await resumed.find("removed"), removed);
        if (since === first) assertEquals(await resumed.find("message"), place as unknown);
        assertEquals(resumed.events[1].type, "removed", "it comes before the messages");
        await resumed.leave();
      }
    }
    const inRedis = JSON.stringify(await redis.command("XRANGE", "{chat:r}:log", "-", "+"));
    assert(!inRedis.includes("a secret"));
  }

  await check();
  const old = await joinText(one.port, "old", { history: 3 });
  assertEquals([await old.next(), await old.next()], ["foo: first", "foo: last"]);
  assertEquals(await foo.publish("a secret", "ref of it"), secret, "its ref is still known");

  await redis[Symbol.asyncDispose]();
  await untilNotReady(one);
  const restarted = stack.use(
    await startRedis({ folder, appendOnly: true, port: redis.port }),
  );
  await Promise.all([untilReady(one), untilReady(two)]);
  await restarted.untilReply("SCARD chat-users:r", 4);
  redis.command = restarted.command;
  await check();
  await Promise.all([foo, ann, text, old].map((client) => client.leave()));
});

Deno.test("senders may remove their own messages, and moderators all", async () => {
  await using instance = await startInstance(AUTH);
  const { port } = instance;
  const [foo, bar] = await Promise.all(["foo", "bar"].map((user) => join(port, user)));
  const ids = [await foo.publish("1"), await foo.publish("2"), await foo.publish("3")];
  const path = (id: string) => `/rooms/r/messages/${id}`;
  assertEquals(await act(bar, { type: "remove", id: ids[0] }), "forbidden");
  assertEquals((await ask(port, "bar", "DELETE", path(ids[0])))[0], 403);
  assertEquals(await act(foo, { type: "remove", id: ids[0] }), "done");
  assertEquals(await ask(port, "foo", "DELETE", path(ids[1])), [204, ""]);
  assertEquals(await ask(port, "ann", "DELETE", path(ids[2])), [204, ""]);
  assertEquals(await ask(port, "ann", "DELETE", path(ids[2])), [204, ""]);
  assertEquals(await ask(port, "ann", "DELETE", path("5-0")), [204, ""]);
  assertEquals((await ask(port, "ann", "DELETE", path("five")))[0], 400);
  const published = await bar.publish("end");
  await bar.find("message", ({ id }) => id === published);
  assertEquals(bar.all("removed").map(({ id, by }) => [id, by]), [
    ...[[ids[0], "foo"], [ids[1], "foo"], [ids[2], "ann"]],
  ]);
  await Promise.all([foo, bar].map((client) => client.leave()));
});

Deno.test("an address removes eight messages a second, and more when it has waited", async () => {
  await using instance = await startInstance({
    ...AUTH,
    MAX_DELIVERED_BYTES_PER_SECOND: "33554432",
  });
  const foo = await join(instance.port, "foo");
  const ids = await Promise.all(Array.from({ length: 14 }, (_, i) => foo.publish(`${i}`)));
  const outcomes: string[] = [];
  for (const id of ids) outcomes.push(await act(foo, { type: "remove", id }));
  assertEquals(outcomes.slice(0, 8), Array(8).fill("done"));
  assertEquals(outcomes.at(-1), "too_many");
  const [status, line] = await ask(
    instance.port,
    "foo",
    "DELETE",
    `/rooms/r/messages/${ids.at(-1)}`,
  );
  assertEquals([status, line], [429, "not done: too many. please try again in 1 s\n"]);
  await until(async () => await act(foo, { type: "remove", id: ids.at(-1) }) === "done");
  await foo.leave();
});

Deno.test("a ban holds on every instance, and through a Redis restart", async () => {
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const redis = await startRedis({ folder, appendOnly: true });
  const env = { ...redis.env, ...AUTH };
  const [one, two] = await Promise.all([startInstance(env), startInstance(env)]);
  [redis, one, two].forEach((process) => stack.use(process));
  const devices = await Promise.all([one, one, two].map(({ port }) => join(port, "foo")));
  const ann = await join(one.port, "ann");
  const bar = await joinText(two.port, "bar");
  // Many joins are on their way.
  const joining = Array.from({ length: 4 }, () => closeCodeOfJoin(two.port, "foo"));
  const before = Date.now();
  assertEquals(await act(ann, { type: "ban", user: "foo", seconds: 3600 }), "done");
  for (const device of devices) {
    assertEquals(await lastWords(device), [4403, "you were banned by ann"]);
  }
  for (const code of await Promise.all(joining)) assert([4403, 0].includes(code), `${code}`);
  await bar.until("* foo was banned by ann");
  await bar.until("foo: has left the chat!");
  const { until: end, ...banned } = await ann.find("banned");
  assertEquals(banned, { type: "banned", user: "foo", by: "ann" });
  assert(end >= before + 3_600_000 && end <= Date.now() + 3_600_000);

  async function check(): Promise<void> {
    for (const { port } of [one, two]) {
      const refused: [number, string] = [403, "you are banned from this room\n"];
      assertEquals(await ask(port, "foo", "GET", "/chat/foo?room=r"), refused);
      assertEquals(await ask(port, "foo", "GET", "/rooms/r/messages"), refused);
      assertEquals((await ask(port, "foo", "GET", "/chat/foo?room=q"))[0], 426);
      assertEquals(await ask(port, "ann", "GET", "/rooms/r/bans"), [
        200,
        JSON.stringify({ bans: [{ user: "foo", by: "ann", until: end }] }),
      ]);
    }
  }
  await check();
  assertEquals(await redis.users("r"), ["ann", "bar"]);
  await redis[Symbol.asyncDispose]();
  await untilNotReady(one);
  const restarted = stack.use(await startRedis({ folder, appendOnly: true, port: redis.port }));
  await Promise.all([untilReady(one), untilReady(two)]);
  await check();

  assertEquals(await ask(two.port, "ann", "DELETE", "/rooms/r/bans/foo"), [204, ""]);
  await bar.until("* foo was unbanned by ann");
  const back = await join(one.port, "foo");
  assertEquals(await restarted.users("r"), ["ann", "bar", "foo"]);
  await Promise.all([back, ann, bar].map((client) => client.leave()));
});

Deno.test("a ban with addresses keeps out others who use them, but no moderator", async () => {
  await using instances = await startTwoInstances(AUTH);
  const { one, two } = instances;
  const [foo, bar] = await Promise.all([join(one, "foo"), join(two, "bar")]);
  const path = "/rooms/r/bans/foo";
  const body = '{"seconds":60,"address":true}';
  assertEquals(await ask(two, "ann", "PUT", path, body), [204, ""]);
  assertEquals(await closeCode(foo), 4403);
  await until(async () => (await ask(two, "pi", "GET", "/chat/pi?room=r"))[0] === 403, 20);
  assertEquals(await closeCodeOfJoin(one, "pi"), 0);
  const list = await ask(one, "ann", "GET", "/rooms/r/bans");
  assert(!list[1].includes("127.0.0.1") && !list[1].includes("address"), list[1]);
  const ann = await join(two, "ann");
  assertEquals((await bar.publish("still here")).length > 0, true);
  assertEquals(await ask(two, "ann", "DELETE", path), [204, ""]);
  await (await join(one, "pi")).leave();
  await Promise.all([bar, ann].map((client) => client.leave()));
});

Deno.test("a user who was kicked can come back, and the client does not by itself", async () => {
  await using instances = await startTwoInstances(AUTH);
  const { one, two } = instances;
  const [foo, ann, bar] = [await join(one, "foo"), await join(two, "ann"), await join(one, "bar")];
  const chat = new ChatClient(`ws://127.0.0.1:${two}`, "foo", {
    room: "r",
    token: () => tokenOf("foo"),
  });
  await chat.ready;
  const closed = Promise.withResolvers<ChatError>();
  const heard: string[] = [];
  chat.onstate = (state, _reason, error) => state === "closed" && closed.resolve(error!);
  for (const type of ["muted", "removed"] as const) {
    chat.addEventListener(type, ({ detail }) => heard.push(`${detail.type} by ${detail.by}`));
  }
  assertEquals(await act(bar, { type: "kick", user: "foo" }), "forbidden");
  assertEquals(await act(ann, { type: "mute", user: "bar", seconds: 60 }), "done");
  assertEquals(await act(ann, { type: "remove", id: await ann.publish("a") }), "done");
  assertEquals(await act(ann, { type: "kick", user: "foo" }), "done");
  assertEquals(await lastWords(foo), [4403, "you were kicked by ann"]);
  const { code, message } = await deadline(closed.promise, TIMEOUT_MS);
  assertEquals([code, message], ["forbidden", "you were kicked by ann"]);
  assertEquals(heard, ["muted by ann", "removed by ann"]);
  assertEquals(await bar.find("kicked"), { type: "kicked", user: "foo", by: "ann" });
  assertEquals((await bar.find("left")).user, "foo");
  assertEquals(await act(ann, { type: "kick", user: "foo" }), "done", "it is done already");
  const listening = await fetch(`http://127.0.0.1:${two}/rooms/r/events`, {
    headers: { authorization: `Bearer ${await tokenOf("foo")}` },
  });
  const back = await join(one, "foo");
  assertEquals((await ask(one, "ann", "DELETE", "/rooms/r/users/foo"))[0], 204);
  assertEquals(await closeCode(back), 4403);
  assert((await listening.text()).includes("you were kicked by ann"), "the stream ends too");
  await Promise.all([ann, bar].map((client) => client.leave()));
});

Deno.test("a client that is banned ends with the reason", async () => {
  await using instance = await startInstance(AUTH);
  await ask(instance.port, "ann", "PUT", "/rooms/r/bans/foo", '{"seconds":60}');
  const chat = new ChatClient(instance.http, "foo", { room: "r", token: () => tokenOf("foo") });
  const error = await assertRejects(
    ...[() => chat.ready, ChatError, "you are banned from this room"] as const,
  );
  assertEquals(error.code, "refused");
});

Deno.test("a moderator is not put out by another one", async () => {
  await using instances = await startTwoInstances(AUTH);
  const { one, two } = instances;
  const [ann, bob] = [await join(one, "ann"), await join(two, "bob")];
  const foo = await join(one, "foo");
  assertEquals(await act(ann, { type: "ban", user: "bob", seconds: 60 }), "forbidden");
  assertEquals(await act(ann, { type: "mute", user: "bob", seconds: 60 }), "forbidden");
  assertEquals(await act(ann, { type: "kick", user: "bob" }), "forbidden");
  assertEquals((await ask(two, "ann", "PUT", "/rooms/r/bans/bob", '{"seconds":60}'))[0], 403);
  assertEquals((await ask(two, "ann", "DELETE", "/rooms/r/users/bob"))[0], 403);
  assertEquals(await act(ann, { type: "ban", user: "bob", seconds: 0 }), "done");
  // A ban that was published before bob was known as a moderator.
  const ban = payloadOf({ type: "banned", user: "bob", by: "ann", until: Date.now() + 60_000 });
  await instances.redis.command("PUBLISH", "chat:r", ban);
  await foo.find("banned");
  await bob.publish("still here");
  await foo.find("message");
  assertEquals(foo.events.map(({ type }) => type), ["welcome", "banned", "message"]);
  await Promise.all([ann, bob, foo].map((client) => client.leave()));
});

Deno.test("a user who is muted listens, and may not speak", async () => {
  await using instances = await startTwoInstances(AUTH);
  const { one, two } = instances;
  const [foo, ann] = [await join(one, "foo"), await join(two, "ann")];
  const text = await joinText(two, "text");
  const mutedUntil = async (port: number) => {
    const device = await join(port, "foo");
    await device.leave();
    return (await device.welcome()).mutedUntil;
  };
  for (const user of ["foo", "text"]) {
    assertEquals(await act(ann, { type: "mute", user, seconds: 60 }), "done");
  }
  foo.send({ type: "message", text: "a", ref: "1" }, {
    ...{ type: "message", text: "b", ref: "2", after: "1" },
  });
  for (const ref of ["1", "2"]) {
    const { code, message } = await foo.find("error", (error) => error.ref === ref);
    assertEquals([code, message], ["forbidden", "message not delivered: you are muted"]);
  }
  text.send("hello");
  await text.until("* text was muted by ann");
  await text.until("message not delivered: you are muted");
  const [, list] = await ask(one, "ann", "GET", "/rooms/r/mutes");
  const { mutes } = JSON.parse(list);
  assertEquals(mutes.length, 2);
  const { until } = mutes.find(({ user }: { user: string }) => user === "foo");
  assertEquals(await mutedUntil(one), until, "who joins is told");
  assertEquals(await ask(one, "ann", "DELETE", "/rooms/r/mutes/foo"), [204, ""]);
  assertEquals(await mutedUntil(two), undefined);
  await text.until("* foo was unmuted by ann");
  foo.send({ type: "message", text: "c", ref: "3", after: "2" });
  await foo.find("ack", ({ ref }) => ref === "3");
  await ann.find("message");
  assertEquals(ann.texts, ["c"]);
  await Promise.all([foo, ann, text].map((client) => client.leave()));
});

Deno.test("what an instance misses in an outage of its subscription, it makes up for", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, ...AUTH });
  const throughProxy = { REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await using two = await startInstance({ ...redis.env, ...AUTH, ...throughProxy });
  const [foo, bar] = [await join(two.port, "foo"), await join(two.port, "bar")];
  const ann = await join(one.port, "ann");
  const id = await bar.publish("a secret");
  await ann.receivedMessages(1);
  proxy.block();
  await untilNotReady(two);
  assertEquals(await act(ann, { type: "ban", user: "foo", seconds: 60 }), "done");
  assertEquals(await act(ann, { type: "remove", id }), "done");
  proxy.unblock();
  assertEquals(await lastWords(foo), [4403, "you were banned by ann"]);
  assertEquals(await bar.find("removed"), { type: "removed", id, by: "ann" });
  await redis.untilReply("SISMEMBER chat-users:r foo", 0);
  await Promise.all([bar, ann].map((client) => client.leave()));
});

Deno.test("without a right token, nobody moderates", async () => {
  await using instance = await startInstance(AUTH);
  const { port } = instance;
  const requests = [
    ["DELETE", "/rooms/r/users/foo"],
    ["PUT", "/rooms/r/bans/foo"],
    ["DELETE", "/rooms/r/bans/foo"],
    ["GET", "/rooms/r/bans"],
    ["PUT", "/rooms/r/mutes/foo"],
    ["DELETE", "/rooms/r/mutes/foo"],
    ["GET", "/rooms/r/mutes"],
  ];
  for (const [method, path] of requests) {
    const [status, line] = await ask(port, "bar", method, path);
    assertEquals([status, line], [403, "the token does not allow to moderate\n"]);
  }
  await using open = await startInstance();
  const foo = await JsonClient.join(open.port, "foo", { room: "r" });
  const id = await foo.publish("my own");
  assertEquals(await act(foo, { type: "remove", id }), "forbidden");
  assertEquals(await act(foo, { type: "kick", user: "foo" }), "forbidden");
  const response = await fetch(`${open.http}/rooms/r/messages/${id}`, { method: "DELETE" });
  assertEquals([response.status, await response.text()], [403, "you may not do this\n"]);
  await foo.leave();
});

Deno.test("a request that is not as it must be is told what would be right", async () => {
  await using instance = await startInstance(AUTH);
  const bad = [
    ["", 'the body is no JSON object: give one such as {"seconds":3600}'],
    ["[]", 'the body is no JSON object: give one such as {"seconds":3600}'],
    ["null", 'the body is no JSON object: give one such as {"seconds":3600}'],
    ["{}", "seconds: this field is missing"],
    ['{"seconds":1.5}', "seconds: Invalid integer: Received 1.5"],
    ['{"seconds":-1}', "seconds: Invalid value: Expected >=0 but received -1"],
    ['{"seconds":315360001}', "seconds: more than 315360000"],
    ['{"seconds":1,"for":"ever"}', "for: there is no such field here"],
    [
      '{"seconds":"\\u001b\\n"}',
      'seconds: Invalid type: Expected number but received "\ufffd\ufffd"',
    ],
    ['{"seconds":1,"address":1}', "address: Invalid type: Expected boolean but received 1"],
  ];
  for (const [body, line] of bad) {
    const answer = await ask(instance.port, "ann", "PUT", "/rooms/r/bans/foo", body);
    assertEquals(answer, [400, `${line}\n`], body);
  }
  const long = await ask(instance.port, "ann", "PUT", "/rooms/r/bans/foo", " ".repeat(2_000));
  assertEquals(long, [413, "the body is too long: at most 1024 bytes are allowed\n"]);
  assertEquals((await ask(instance.port, "ann", "PUT", "/rooms/r/bans/a:b", "{}"))[0], 400);
  const ann = await join(instance.port, "ann");
  for (const user of ["a:b", "", "moderator:ann", "\ud800"]) {
    assertEquals(await act(ann, { type: "kick", user }), "bad_message");
  }
  assertEquals(await act(ann, { type: "remove", id: "1" }), "bad_message");
  await ann.leave();
});
