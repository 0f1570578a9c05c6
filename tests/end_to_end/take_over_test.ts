import { assert, assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient, type ServerEvent } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { untilReady } from "../support/readiness.ts";
import { startRedis } from "../support/redis.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

const REPLACED = { code: CLOSE.replaced.code, reason: CLOSE.replaced.reason };

/** The subprotocol of a user's secret. */
const secretOf = (user: string, attempt: number) => `secret.the-secret-of-${user}.${attempt}`;

/** Two instances, a watcher on each, and foo, who is on the first one. */
async function startWatched() {
  const chat = await startTwoInstances();
  const watchers = [await TextClient.join(chat.one, "w1"), await TextClient.join(chat.two, "w2")];
  const program = await JsonClient.join(chat.two, "program");
  const foo = await JsonClient.join(chat.one, "foo", {}, secretOf("foo", 1));
  /** What the watchers and the program have received since the last call. */
  async function seen(): Promise<{ people: string[][]; program: ServerEvent[] }> {
    await untilCaughtUp(chat.redis, watchers);
    const ref = crypto.randomUUID();
    await program.publish("end", ref);
    await program.find("message", (message) => message.ref === ref);
    for (const watcher of watchers) await watcher.skip("program: end");
    const people = watchers.map(({ frames }) => frames.splice(0));
    for (const watcher of watchers) watcher.clear();
    const events = program.events.splice(0)
      .filter(({ type }) => ["joined", "left", "replaced", "unknown"].includes(type));
    return { people, program: events };
  }
  await seen();
  return {
    ...{ ...chat, foo, seen },
    async [Symbol.asyncDispose]() {
      await Promise.all([...watchers, program].map((client) => client.leave()));
      await chat[Symbol.asyncDispose]();
    },
  };
}

const NOTHING = { people: [[], []], program: [] };

for (const place of ["one", "two"] as const) {
  Deno.test(`a later connection takes its name over on instance ${place}, unseen`, async () => {
    await using chat = await startWatched();
    const { foo, seen } = chat;
    const later = await JsonClient.join(chat[place], "foo", {}, secretOf("foo", 2));
    assertEquals(await foo.closed, REPLACED);
    assertEquals((await later.welcome()).users, 4);
    assertEquals(await seen(), NOTHING);

    // Three more at once: the last attempt stays, whichever comes first.
    const more = [4, 5, 3].map((attempt, i) =>
      new JsonClient(i === 1 ? chat.two : chat.one, "foo", {}, secretOf("foo", attempt))
    );
    assertEquals(await Promise.race([more[0].closed, more[2].closed]), REPLACED);
    assertEquals(await Promise.all([later, more[0], more[2]].map(({ closed }) => closed)), [
      ...[REPLACED, REPLACED, REPLACED],
    ]);
    await more[1].welcome();
    assertEquals(await seen(), NOTHING);

    const [, last] = more;
    await last.publish("still me");
    assertEquals((await seen()).people, [["foo: still me"], ["foo: still me"]]);
    await last.leave();
    const left = { type: "left", user: "foo" } as const;
    await until(async () => (await chat.redis.users()).length === 3, 20);
    assertEquals(await seen(), {
      people: [["foo: has left the chat!"], ["foo: has left the chat!"]],
      program: [left],
    });
  });

  Deno.test(`a connection with an earlier attempt on instance ${place} is closed`, async () => {
    await using chat = await startWatched();
    const { foo, seen } = chat;
    // The same attempt can only be a copy of the secret.
    const earlier = new JsonClient(chat[place], "foo", {}, secretOf("foo", 1));
    assertEquals(await earlier.closed, REPLACED);
    assertEquals(earlier.events, []);
    assertEquals(await seen(), NOTHING);
    await foo.publish("still here");
    await foo.leave();
  });

  Deno.test(`without the secret a name is taken on instance ${place}`, async () => {
    await using chat = await startWatched();
    const { foo, seen } = chat;
    const others = [
      new JsonClient(chat[place], "foo", {}, secretOf("bar", 2)),
      new JsonClient(chat[place], "foo"),
      new TextClient(chat[place], "foo"),
    ];
    for (const other of others) assertEquals((await other.closed).code, CLOSE.nameTaken.code);
    // A secret does not help against a user without one, or against a reserved name.
    const text = await TextClient.join(chat.one, "text");
    await chat.redis.command("SADD", "chat-users", "bot");
    for (const user of ["text", "bot"]) {
      const late = new JsonClient(chat[place], user, {}, secretOf(user, 2));
      assertEquals((await late.closed).code, CLOSE.nameTaken.code);
    }
    await text.leave();
    await foo.publish("still here");
    assert((await seen()).people.every((frames) => frames.includes("foo: still here")));
    await foo.leave();
  });
}

Deno.test("a page that connects, closes and connects again is in, each time", async () => {
  await using chat = await startWatched();
  const { foo } = chat;
  const ports = [chat.one, chat.two];
  let attempt = 1;
  let last = foo;
  for (let i = 0; i < 40; i++) {
    // The first connection is closed before its welcome, as React's double mount does.
    const first = new JsonClient(ports[i % 2], "foo", {}, secretOf("foo", ++attempt));
    if (i % 4 < 2) await first.opened;
    const gone = first.leave();
    const second = new JsonClient(ports[(i >> 1) % 2], "foo", {}, secretOf("foo", ++attempt));
    await second.welcome();
    await Promise.all([last.closed, gone]);
    last = second;
  }
  await last.publish("here I am");
  await last.leave();
});

Deno.test("an instance that was cut off closes a session that was taken over", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  await using one = await startInstance({ ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  await using two = await startInstance(redis.env);
  const foo = await JsonClient.join(one.port, "foo", {}, secretOf("foo", 1));
  const watchers = [await TextClient.join(one.port, "w1"), await TextClient.join(two.port, "w2")];
  await untilCaughtUp(redis, watchers);
  watchers.forEach((watcher) => watcher.clear());
  proxy.block();
  const later = await JsonClient.join(two.port, "foo", {}, secretOf("foo", 2));
  proxy.unblock();
  assertEquals(await foo.closed, REPLACED);
  await untilReady(one);
  await later.publish("it is me");
  await Promise.all(watchers.map((watcher) => watcher.until("foo: it is me")));
  await untilCaughtUp(redis, watchers);
  for (const { frames } of watchers) assertEquals(frames, ["foo: it is me"]);
  await Promise.all([later, ...watchers].map((client) => client.leave()));
});

Deno.test("a client that leaves is answered, and then closed when its name is free", async () => {
  await using chat = await startWatched();
  let { foo } = chat;
  for (let i = 0; i < 20; i++) {
    foo.send(
      { type: "message", text: "last words", ref: `${i}` },
      { type: "leave" },
      { type: "message", text: "too late", ref: "too late" },
    );
    assertEquals(await foo.closed, { code: CLOSE.left.code, reason: CLOSE.left.reason });
    assertEquals(foo.all("ack").map(({ ref }) => ref), [`${i}`]);
    // Another user, on the other instance.
    foo = await JsonClient.join([chat.two, chat.one][i % 2], "foo");
  }
  await foo.leave();
  // A client that leaves before it has joined.
  const early = new JsonClient(chat.one, "early");
  await early.opened;
  early.send({ type: "leave" });
  assertEquals((await early.closed).code, CLOSE.left.code);
  assertEquals(early.events.map(({ type }) => type), ["welcome"]);
});

Deno.test("a malformed secret is refused, and no secret is ever shown", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, LOG_LEVEL: "debug" });
  async function ask(...subprotocols: string[]): Promise<Response> {
    return await fetch(`${instance.http}/chat/foo`, {
      headers: { "sec-websocket-protocol": subprotocols.join(", ") },
    });
  }
  const hidden = "a-hidden-value-0123456789";
  const malformed = [
    `secret.${hidden}`,
    `secret.${hidden}.0`,
    `secret.${hidden}.01`,
    `secret.${hidden}.-1`,
    `secret.${hidden}.1.5`,
    `secret.${hidden}.9007199254740992`,
    `secret.${hidden}+.1`,
    `secret.${hidden.repeat(3)}.1`,
    "secret.too-short.1",
    "secret.",
  ];
  for (const secret of malformed) {
    const response = await ask("chat.json.v1", secret);
    assertEquals(response.status, 400, secret);
    assertEquals(
      await response.text(),
      "a subprotocol that begins with secret. is not secret.{secret}.{attempt}: 16 to 64 of the " +
        "characters A-Z a-z 0-9 _ -, and a positive integer\n",
    );
  }
  const good = `secret.${hidden}.9007199254740991`;
  for (const asked of [[good], [good, "chat.xml"], ["chat.json.v1", good, good]]) {
    const response = await ask(...asked);
    assertEquals(response.status, 400);
    assert(!(await response.text()).includes(hidden));
  }
  assertEquals((await ask(good, "chat.json.v1")).status, 426);
  const foo = await JsonClient.join(instance.port, "foo", {}, good);
  assertEquals(foo.subprotocol, "chat.json.v1");
  const owner = await redis.command("HGET", "{chat-users}:owners", "foo") as string;
  assert(/^\S+ \d+ [\da-f-]{36} 9007199254740991 [\w-]{22} ::foo$/.test(owner), owner);
  assert(!owner.includes(hidden));
  await foo.leave();
  instance.signal("SIGTERM");
  assert(!(await instance.output.end()).join("\n").includes(hidden));
});
