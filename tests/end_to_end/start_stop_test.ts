import { renderSettings } from "../../chat/config/help.ts";
import { deadline } from "../../chat/store/deadline.ts";
import config from "../../deno.json" with { type: "json" };
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { launch, messageOf, startInstance } from "../support/instance.ts";
import { RawClient } from "../support/raw_client.ts";
import { freePort } from "../support/ports.ts";
import { makeCertificate, PASSWORD, startRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

/** A start that fails takes no longer, or its test is red. */
const START_DEADLINE_MS = 30_000;

/** Starts an instance that must fail to start, and returns the messages that it printed. */
async function failedStart(env: Record<string, string>, args?: string[]): Promise<string[]> {
  await using instance = launch({ HOST: "127.0.0.1", PORT: "0", ...env }, args);
  assertEquals((await deadline(instance.exit, START_DEADLINE_MS)).code, 1);
  return (await instance.output.end()).map(messageOf);
}

Deno.test("without any setting, an instance runs alone and says so", async () => {
  await using instance = await startInstance();
  await instance.output.find(
    / This instance is alone: set REDIS_HOST=host:port to share its chat with others$/,
  );
  const foo = await TextClient.join(instance.port, "foo");
  const bar = await TextClient.join(instance.port, "bar");
  bar.send("hi");
  await foo.until("bar: hi");
  instance.signal("SIGTERM");
  assertEquals((await instance.exit).code, 0);
  await Promise.all([foo.closed, bar.closed]);
});

Deno.test("an instance that must keep the chat in memory is not told to use Redis", async () => {
  await using instance = await startInstance({ CHAT_STORE: "memory", REDIS_HOST: "r" });
  await instance.output.find(/ This instance is alone: CHAT_STORE is memory$/);
});

Deno.test("the first line shows time, level, instance, address and version", async () => {
  await using instance = await startInstance();
  const [first] = instance.output.all;
  assertMatch(first, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info [\da-f]{12} /);
  assertEquals(
    messageOf(first),
    `Listening on http://127.0.0.1:${instance.port} (deno-redis-chat ${config.version})`,
  );
});

Deno.test("--help prints the settings and exits with 0, whatever is set", async () => {
  await using help = launch({ PORT: "many", REDIS_HSOT: "r" }, ["--help"]);
  assertEquals((await help.exit).code, 0);
  const lines = await help.output.end();
  assertEquals(lines[0], `deno-redis-chat ${config.version}, a chat server for Deno and Redis`);
  assert(lines.join("\n").endsWith(renderSettings()), lines.join("\n"));
});

Deno.test("any other argument ends the start with one line that names it", async () => {
  assertEquals(await failedStart({}, ["--port=9090", "--help"]), [
    "unknown argument --port=9090: only --help is one, settings are environment variables",
  ]);
});

Deno.test("an unknown variable that looks like a setting is named in a warning", async () => {
  const lines = await failedStart({ CHAT_STORE: "redis", REDIS_HSOT: "r", REDIS_PORT: "6379" });
  assertEquals(lines.sort(), [
    "CHAT_STORE is redis: set REDIS_HOST=host:port too, or REDIS_URL",
    "Warning: REDIS_HSOT is not a setting and is ignored. Did you mean REDIS_HOST?",
    "Warning: REDIS_PORT is not a setting and is ignored. " +
    "Put the port into REDIS_HOST: REDIS_HOST=host:port",
  ]);
});

Deno.test("wrong settings end the start with a line for each of them", async () => {
  assertEquals(await failedStart({ PORT: "many", CHAT_STORE: "redis" }), [
    'PORT is "many": give a whole number from 0 to 65535',
    "CHAT_STORE is redis: set REDIS_HOST=host:port too, or REDIS_URL",
  ]);
});

Deno.test("a port in use ends the start with one line", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using redis = await startRedis();
  for (const env of [{ CHAT_STORE: "memory" }, redis.env]) {
    const lines = await failedStart({ PORT: `${listener.addr.port}`, ...env });
    assertEquals(lines.length, 1);
    assertStringIncludes(
      lines[0],
      `cannot start at HOST 127.0.0.1 and PORT ${listener.addr.port}: Address already in use`,
    );
  }
  assertEquals(await redis.instances(), [], "no other instance has to find out that it is gone");
});

Deno.test("without Redis, one line names host, port and cause", async () => {
  const port = freePort();
  const lines = await failedStart({ REDIS_HOST: `127.0.0.1:${port}` });
  assertEquals(lines, [
    `cannot use Redis at 127.0.0.1:${port}, TLS off: connect ECONNREFUSED 127.0.0.1:${port}`,
  ]);
});

Deno.test("a Redis that accepts connections and never replies ends the start", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const lines = await failedStart({ REDIS_HOST: `127.0.0.1:${listener.addr.port}` });
  assertEquals(lines.length, 1, lines.join("\n"));
  assertStringIncludes(lines[0], `cannot use Redis at 127.0.0.1:${listener.addr.port}, TLS off: `);
});

Deno.test("a wrong or missing password ends the start, and is not shown", async () => {
  await using redis = await startRedis();
  const wrong = await failedStart({ ...redis.env, REDIS_PASSWORD: "wrong-secret" });
  assertEquals(wrong.length, 1, wrong.join("\n"));
  assertStringIncludes(wrong[0], `cannot use Redis at 127.0.0.1:${redis.port}, TLS off: WRONGPASS`);
  assert(!wrong[0].includes("wrong-secret"));
  const missing = await failedStart({ ...redis.env, REDIS_PASSWORD: "" });
  assertEquals(missing.length, 1, missing.join("\n"));
  assertStringIncludes(missing[0], `cannot use Redis at 127.0.0.1:${redis.port}, TLS off: NOAUTH`);
});

Deno.test("an unknown Redis database ends the start with one line", async () => {
  await using redis = await startRedis();
  const url = `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redis.port}/99`;
  assertEquals(await failedStart({ REDIS_URL: url }), [
    `cannot use Redis at 127.0.0.1:${redis.port}, TLS off: ERR DB index is out of range`,
  ]);
});

Deno.test("an instance subscribes to Redis before it listens", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  assertEquals(await redis.command("PUBSUB", "NUMSUB", "chat"), ["chat", 1]);
  const response = await fetch(`${instance.http}/readyz`);
  assertEquals([response.status, await response.text()], [200, "ready\n"]);
});

Deno.test("TLS, a user name and a URL work with a Redis that requires them", async () => {
  const folder = await Deno.makeTempDir();
  const tls = await makeCertificate(folder);
  await using redis = await startRedis({ tls });
  await redis.setUser("chat", "on", ">p@ss", "~*", "&*", "+@all");
  const trust = { DENO_CERT: tls.cert };
  {
    await using instance = await startInstance({
      ...trust,
      REDIS_URL: `rediss://chat:p%40ss@localhost:${redis.port}`,
    });
    await (await TextClient.join(instance.port, "foo")).leave();
  }
  {
    await using instance = await startInstance({ ...trust, ...redis.env, REDIS_TLS: "on" });
    await (await TextClient.join(instance.port, "bar")).leave();
  }
  const untrusted = await failedStart({ ...redis.env, REDIS_TLS: "on" });
  assertEquals(untrusted.length, 1, untrusted.join("\n"));
  assertStringIncludes(untrusted[0], "certificate");
  const plain = await failedStart({ ...redis.env, REDIS_TLS: "off" });
  assertEquals(plain.length, 1, plain.join("\n"));
  assertMatch(plain[0], /^cannot use Redis at \S+, TLS off: .+ \(is TLS off there\?\)$/);
  assert(![...untrusted, ...plain].join().includes(PASSWORD));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a Redis without TLS ends a start with TLS, and the line asks for it", async () => {
  await using redis = await startRedis();
  const [line, ...more] = await failedStart({ ...redis.env, REDIS_TLS: "on" });
  assertMatch(line, /^cannot use Redis at \S+, TLS on: .+ \(is TLS on there\?\)$/);
  assertEquals(more, []);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} shuts an instance down in order`, async () => {
    await using redis = await startRedis();
    await using instance = await startInstance(redis.env);
    await using other = await startInstance(redis.env);
    const leaving = await Promise.all(
      ["a", "b", "c"].map((user) => TextClient.join(instance.port, user)),
    );
    const red = await TextClient.join(instance.port, "a", { room: "red" });
    const staying = await TextClient.join(other.port, "staying");

    instance.signal(signal);
    for (const client of [...leaving, red]) {
      assertEquals(await client.closed, { code: 1001, reason: "the server is shutting down" });
    }
    assertEquals((await instance.exit).code, 0);
    assertEquals(await redis.users(), ["staying"]);
    assertEquals(await redis.users("red"), []);
    await untilCaughtUp(redis, [staying]);
    assertEquals(staying.frames.sort(), [
      "Welcome staying!",
      ...["a", "b", "c"].map((user) => `${user}: has left the chat!`),
    ]);
    const clients = (await redis.command("CLIENT", "LIST") as string).match(/name=chat-\S+/g);
    assertEquals(clients?.length, 2, "only the other instance's connections are left");
    await staying.leave();
  });
}

Deno.test("an instance shuts down in order while a client never reads", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const stuck = await RawClient.join(instance.port, "stuck");
  instance.signal("SIGTERM");
  assertEquals((await instance.exit).code, 0);
  assertEquals(await redis.users(), []);
  stuck.close();
});

Deno.test("an instance exits with 0 while Redis does not reply", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const foo = await TextClient.join(instance.port, "foo");
  redis.process.signal("SIGSTOP");
  instance.signal("SIGTERM");
  assertEquals((await foo.closed).code, 1001);
  assertEquals((await instance.exit).code, 0);
  redis.process.signal("SIGCONT");
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`one ${signal} that arrives twice shuts an instance down in order`, async () => {
    await using redis = await startRedis();
    await using instance = await startInstance(redis.env);
    const foo = await TextClient.join(instance.port, "foo");
    // So the process is still there when the second one comes.
    redis.process.signal("SIGSTOP");
    instance.signal(signal);
    await instance.output.find(/ Stopping/);
    instance.signal(signal);
    assertEquals((await foo.closed).code, 1001);
    assertEquals((await instance.exit).code, 0);
    redis.process.signal("SIGCONT");
  });
}

Deno.test("a second signal ends the process at once", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const foo = await TextClient.join(instance.port, "foo");
  redis.process.signal("SIGSTOP");
  let code: number | undefined;
  instance.exit.then((status) => code = status.code);
  // The first ones count as one.
  await until(() => {
    instance.signal("SIGTERM");
    return code !== undefined;
  }, 20);
  assertEquals(code, 130);
  redis.process.signal("SIGCONT");
  await foo.closed;
});
