import { assert, assertEquals, assertMatch } from "@std/assert";
import { deadline } from "../../chat/store/deadline.ts";
import { testAtOnce } from "../support/at_once.ts";
import { startFakeRedis } from "../support/fake_redis.ts";
import { assertLogged, assertNotReady, FAULTS, rowOf } from "../support/fault_table.ts";
import { type Instance, launch, messageOf, startInstance } from "../support/instance.ts";
import { startProxy } from "../support/proxy.ts";
import { getStatus, untilReady } from "../support/readiness.ts";
import { makeCertificate, PASSWORD, startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { sleep, until } from "../support/wait.ts";

const test = testAtOnce("faults of Redis, as docs/operations.md has them");

const NOT_DELIVERED = "message not delivered. please try again";

/** A start that fails takes no longer, or its test is red. */
const START_DEADLINE_MS = 30_000;

/** How many messages of the log match a pattern. */
function countLines({ output }: Instance, pattern: RegExp): number {
  return output.all.map(messageOf).filter((line) => pattern.test(line)).length;
}

async function assertRefused(port: number, user: string): Promise<void> {
  assertEquals((await new TextClient(port, user).closed).code, 1013);
}

/**
 * Lets a fault happen to a Redis that refuses messages and joins, and then mends it. Asserts that
 * users, `/readyz` and the log are as the row says, and that each line is logged once.
 */
async function refuseAndMend(
  fault: string,
  redis: TestRedis,
  begin: () => Promise<unknown>,
  mend: () => Promise<unknown>,
  env: Record<string, string> = redis.env,
): Promise<void> {
  const row = rowOf(fault);
  await using one = await startInstance(env);
  const foo = await TextClient.join(one.port, "foo");
  await begin();
  await assertNotReady(one, row);
  foo.send("hi");
  assertEquals(await foo.next(), NOT_DELIVERED);
  await assertRefused(one.port, "bar");
  await assertLogged(one, row.lines.slice(0, -1));
  await mend();
  await assertLogged(one, row.lines.slice(-1));
  await untilReady(one);
  foo.send("hi again");
  for (const line of row.lines) assertEquals(countLines(one, line), 1, `${line}`);
  await (await TextClient.join(one.port, "bar")).leave();
  await foo.leave();
}

/** Starts a Redis and a replica of it, and waits until the replica has its data. */
async function startPrimaryAndReplica(
  stack: AsyncDisposableStack,
): Promise<{ old: TestRedis; next: TestRedis }> {
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const [old, next] = await Promise.all(["old", "next"].map(async (name) => {
    await Deno.mkdir(`${folder}/${name}`);
    return stack.use(await startRedis({ folder: `${folder}/${name}` }));
  }));
  await next.command("CONFIG", "SET", "masterauth", PASSWORD);
  await next.command("REPLICAOF", "127.0.0.1", `${old.port}`);
  await until(async () => /link_status:up/.test(`${await next.command("INFO")}`), 20);
  return { old, next };
}

/** Ends the connections of all instances to a Redis. */
async function killConnections(redis: TestRedis): Promise<void> {
  await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
  await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

/** Starts an instance that must fail to start with the line of the row. */
async function assertStartFails(fault: string, env: Record<string, string>): Promise<void> {
  const { lines: [line] } = rowOf(fault);
  await using instance = launch({ HOST: "127.0.0.1", PORT: "0", ...env });
  assertEquals((await deadline(instance.exit, START_DEADLINE_MS)).code, 1);
  const lines = await instance.output.end();
  assertEquals(lines.length, 1, lines.join("\n"));
  assertMatch(messageOf(lines[0]), line);
  assert(!lines[0].includes(PASSWORD));
}

Deno.test("every row of the fault table has a test", async () => {
  let source = "";
  for (
    const folder of [new URL(".", import.meta.url), new URL("../end_to_end/", import.meta.url)]
  ) {
    for await (const { name } of Deno.readDir(folder)) {
      source += await Deno.readTextFile(new URL(name, folder));
    }
  }
  for (const { fault, lines } of FAULTS) {
    assert(source.includes(`"${fault}"`), `no test for ${fault}`);
    assert(lines.length > 0, `no log line for ${fault}`);
  }
});

test("fault: Redis is unreachable", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  await refuseAndMend(
    "Redis is unreachable",
    redis,
    async () => await redis[Symbol.asyncDispose](),
    async () => stack.use(await startRedis({ port: redis.port })),
  );
});

test("fault: Redis hangs", async () => {
  await using redis = await startRedis();
  const row = rowOf("Redis hangs");
  await using one = await startInstance(redis.env);
  redis.process.signal("SIGSTOP");
  await assertLogged(one, row.lines.slice(0, 1));
  await assertNotReady(one, row);
  redis.process.signal("SIGCONT");
  await assertLogged(one, row.lines.slice(1));
  await untilReady(one);
});

test("fault: Redis is out of memory", async () => {
  await using redis = await startRedis();
  await refuseAndMend(
    "Redis is out of memory",
    redis,
    () => redis.command("CONFIG", "SET", "maxmemory", "1"),
    () => redis.command("CONFIG", "SET", "maxmemory", "0"),
  );
});

test("trouble that comes and goes is one incident, with WORKERS too", async () => {
  await using redis = await startRedis();
  const row = rowOf("Redis is out of memory");
  await using one = await startInstance({ ...redis.env, WORKERS: "2" });
  for (let i = 0; i < 3; i++) {
    await redis.command("CONFIG", "SET", "maxmemory", "1");
    await assertNotReady(one, row);
    await redis.command("CONFIG", "SET", "maxmemory", "0");
    await untilReady(one);
  }
  await assertLogged(one, row.lines);
  const [begins, ends] = row.lines.map((line) => () => countLines(one, line));
  // The other worker ends its incident at about the same time.
  await until(() => ends() === begins(), 20);
  // On a slow machine, five seconds can pass between two troubles, which are two incidents then.
  assert(begins() >= 2 && begins() < 6, `${begins()} incidents of two workers`);
});

test("fault: Redis cannot save a snapshot", async () => {
  const folder = await Deno.makeTempDir();
  await using redis = await startRedis({ folder });
  await refuseAndMend("Redis cannot save a snapshot", redis, async () => {
    // Redis cannot put its file where a folder is.
    await Deno.mkdir(`${folder}/dump.rdb/full`, { recursive: true });
    await redis.command("CONFIG", "SET", "save", "3600 1");
    await redis.command("BGSAVE");
  }, async () => {
    await Deno.remove(`${folder}/dump.rdb`, { recursive: true });
    await redis.command("BGSAVE");
  });
});

test("fault: a right is missing", async () => {
  await using redis = await startRedis();
  const row = rowOf("a right is missing");
  await using one = await startInstance(redis.env);
  const foo = await TextClient.join(one.port, "foo");
  await redis.command("ACL", "SETUSER", "default", "-xadd");
  foo.send("hi");
  assertEquals(await foo.next(), NOT_DELIVERED);
  await assertLogged(one, row.lines.slice(0, 1));
  await assertNotReady(one, row);
  await redis.command("ACL", "SETUSER", "default", "+xadd");
  await assertLogged(one, row.lines.slice(1));
  await untilReady(one);
  for (const line of row.lines) assertEquals(countLines(one, line), 1, `${line}`);
  await foo.leave();
});

test("fault: the right to subscribe is missing", async () => {
  await using redis = await startRedis();
  const row = rowOf("the right to subscribe is missing");
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const [foo, bar] = await Promise.all([
    TextClient.join(one.port, "foo"),
    TextClient.join(two.port, "bar"),
  ]);
  const connections = async () => {
    const info = await redis.command("INFO", "stats") as string;
    return Number(/total_connections_received:(\d+)/.exec(info)![1]);
  };
  await redis.command("ACL", "SETUSER", "default", "-subscribe");
  await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
  await assertLogged(one, row.lines.slice(0, 2));
  await assertNotReady(one, row);
  await assertRefused(one.port, "late");
  const before = await connections();
  await sleep(10_000);
  // Two instances, and a pause of at least a second between two attempts.
  const attempts = await connections() - before;
  assert(attempts <= 30, `${attempts} connections in 10 s`);
  foo.send("hi");
  await redis.command("ACL", "SETUSER", "default", "+subscribe");
  await bar.until("foo: hi");
  await assertLogged(one, row.lines.slice(2));
  for (const line of row.lines) assertEquals(countLines(one, line), 1, `${line}`);
  await Promise.all([foo.leave(), bar.leave()]);
});

test("fault: a key has a wrong type", async () => {
  await using redis = await startRedis();
  const row = rowOf("a key has a wrong type");
  await using one = await startInstance(redis.env);
  await redis.command("SET", "chat-users:red", "not a set");
  const foo = await TextClient.join(one.port, "foo", { room: "red" });
  await assertLogged(one, row.lines);
  assertEquals(await getStatus(one, "/readyz"), 200);
  await foo.leave();
});

test("fault: Redis becomes a replica, and its address moves", async () => {
  await using stack = new AsyncDisposableStack();
  const { old, next } = await startPrimaryAndReplica(stack);
  await using proxy = await startProxy(old.port);
  const env = { ...old.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await refuseAndMend(
    "Redis becomes a replica",
    old,
    async () => {
      await next.command("REPLICAOF", "NO", "ONE");
      await old.command("REPLICAOF", "127.0.0.1", "1");
    },
    async () => await proxy.redirect(next.port),
    env,
  );
});

test("fault: the address moves and the subscriber stays", async () => {
  await using stack = new AsyncDisposableStack();
  const { old, next } = await startPrimaryAndReplica(stack);
  await using proxy = await startProxy(old.port);
  const row = rowOf("the address moves and the subscriber stays");
  await using one = await startInstance({ ...old.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  const foo = await TextClient.join(one.port, "foo");
  const bar = await TextClient.join(one.port, "bar");
  await next.command("REPLICAOF", "NO", "ONE");
  proxy.redirect(next.port);
  // The connection for commands moves, and the one that receives stays.
  await old.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await one.output.find(/chat-commands is back/);
  foo.send("hi");
  await assertNotReady(one, row);
  await bar.until("foo: hi");
  await assertLogged(one, row.lines);
  for (const line of row.lines) assertEquals(countLines(one, line), 1, `${line}`);
  await untilReady(one);
  await next.untilReply("PUBSUB CHANNELS", ["chat"]);
  await Promise.all([foo.leave(), bar.leave()]);
});

test("when only the subscriber moves, the connection for commands follows it", async () => {
  await using old = await startRedis();
  await using next = await startRedis();
  await using proxy = await startProxy(old.port);
  await using one = await startInstance({ ...old.env, REDIS_HOST: `127.0.0.1:${proxy.port}` });
  const foo = await TextClient.join(one.port, "foo");
  const bar = await TextClient.join(one.port, "bar");
  proxy.redirect(next.port);
  await old.command("CLIENT", "KILL", "TYPE", "pubsub");
  await next.untilReply("SCARD chat-users", 2);
  await untilReady(one);
  foo.send("hi");
  await bar.until("foo: hi");
  await Promise.all([foo.leave(), bar.leave()]);
});

for (
  const { fault, begin, mend } of [
    {
      fault: "the password of Redis is changed",
      begin: (redis: TestRedis) => redis.command("CONFIG", "SET", "requirepass", "another"),
      mend: (redis: TestRedis) => redis.command("CONFIG", "SET", "requirepass", PASSWORD),
    },
    {
      fault: "Redis has too many clients",
      begin: (redis: TestRedis) => redis.command("CONFIG", "SET", "maxclients", "1"),
      mend: (redis: TestRedis) => redis.command("CONFIG", "SET", "maxclients", "100"),
    },
  ]
) {
  test(`fault: ${fault}`, async () => {
    await using redis = await startRedis();
    await refuseAndMend(fault, redis, async () => {
      await begin(redis);
      await killConnections(redis);
    }, () => mend(redis));
  });
}

test("fault: the certificate of Redis expires", async () => {
  const folder = await Deno.makeTempDir();
  const lifeMs = 12_000;
  const made = performance.now();
  const tls = await makeCertificate(folder, lifeMs / 1000 - 2 * 86_400);
  await using redis = await startRedis({ tls });
  const env = { ...redis.env, REDIS_TLS: "on", DENO_CERT: tls.cert };
  const row = rowOf("the certificate of Redis expires");
  await using one = await startInstance(env);
  // Its time is given in whole seconds.
  await sleep(made + lifeMs + 1_000 - performance.now());
  await killConnections(redis);
  await assertLogged(one, row.lines);
  await assertNotReady(one, row);
  for (const line of row.lines) assertEquals(countLines(one, line), 1, `${line}`);
  await assertStartFails("the certificate is expired at the start", env);
  await Deno.remove(folder, { recursive: true });
});

test("fault: the certificate is not valid yet at the start", async () => {
  const folder = await Deno.makeTempDir();
  const tls = await makeCertificate(folder, 3_600);
  await using redis = await startRedis({ tls });
  const env = { ...redis.env, REDIS_TLS: "on", DENO_CERT: tls.cert };
  await assertStartFails("the certificate is not valid yet at the start", env);
  await Deno.remove(folder, { recursive: true });
});

test("fault: Redis is replaced by an older version", async () => {
  await using redis = await startRedis();
  using fake = startFakeRedis("5.0.7");
  await using proxy = await startProxy(redis.port);
  const env = { ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}` };
  await refuseAndMend("Redis is replaced by an older version", redis, async () => {
    proxy.redirect(fake.port);
    await killConnections(redis);
  }, async () => {
    proxy.redirect(redis.port);
    await Promise.resolve(proxy.disconnect("in order"));
  }, env);
});

test("fault: Redis is too old at the start", async () => {
  using fake = startFakeRedis("5.0.7");
  const env = { REDIS_HOST: `127.0.0.1:${fake.port}` };
  await assertStartFails("Redis is too old at the start", env);
});

test("fault: Redis is a cluster", async () => {
  const folder = await Deno.makeTempDir();
  await using redis = await startRedis({ folder, args: ["--cluster-enabled", "yes"] });
  await assertStartFails("Redis is a cluster", redis.env);
  await Deno.remove(folder, { recursive: true });
});

test("fault: Redis has data of an older version", async () => {
  await using redis = await startRedis();
  const leftovers = [
    ["ZADD", "chat-leases", "0", "3f9a1c2e7b40-1"],
    ["SADD", "chat-instances", "3f9a1c2e7b40"],
    ["XADD", "{chat}:log", "*", "prev", "0-0", "rest", '"user":"foo","text":"hi"}'],
  ];
  for (const leftover of leftovers) {
    await redis.command(...leftover);
    await assertStartFails("Redis has data of an older version", redis.env);
    await redis.command("DEL", leftover[1]);
  }
  // Other keys are no data of an older version.
  await redis.command("SADD", "chat-users", "bot");
  await redis.command("XADD", "{chat}:log", "*", "note", "somebody put this here");
  await (await startInstance(redis.env))[Symbol.asyncDispose]();
});

test("fault: Redis has data of another format", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await redis.command("ZINCRBY", "chat-leases", "1", "format");
  await assertStartFails("Redis has data of another format", redis.env);
  // The format is written again when Redis has lost all data.
  await redis.command("FLUSHALL");
  await redis.untilReply("ZSCORE chat-leases format", "2");
  await untilReady(one);
  await (await startInstance(redis.env))[Symbol.asyncDispose]();
});

test("fault: a right is missing at the start", async () => {
  await using redis = await startRedis();
  await redis.command("ACL", "SETUSER", "default", "-xadd");
  await assertStartFails("a right is missing at the start", redis.env);
});

test("fault: the address leads to another server", async () => {
  await using web = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("hi"),
  );
  const env = { REDIS_HOST: `127.0.0.1:${web.addr.port}` };
  await assertStartFails("the address leads to another server", env);
});

test("fault: Redis may delete keys", async () => {
  await using redis = await startRedis();
  await redis.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
  const row = rowOf("Redis may delete keys");
  await using one = await startInstance(redis.env);
  assertEquals(countLines(one, row.lines[0]), 1);
  assertEquals(await getStatus(one, "/readyz"), 200);
});

Deno.test("fault: the disk of Redis is full", { ignore: !await canMount() }, async () => {
  const folder = await Deno.makeTempDir();
  await mount(folder);
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => {
    await new Deno.Command("umount", { args: [folder] }).output();
    await Deno.remove(folder);
  });
  const redis = stack.use(await startRedis({ folder, appendOnly: true }));
  // With "always", Redis would exit.
  await redis.command("CONFIG", "SET", "appendfsync", "everysec");
  await refuseAndMend("the disk of Redis is full", redis, async () => {
    await Deno.writeFile(`${folder}/full`, new Uint8Array(1 << 20)).catch(() => {});
  }, () => Deno.remove(`${folder}/full`));
});

/** Mounts a file system of one megabyte; resolves to whether that is allowed. */
async function mount(folder: string): Promise<boolean> {
  const args = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder];
  return (await new Deno.Command("mount", { args }).output()).success;
}

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  const isMounted = await mount(folder);
  if (isMounted) await new Deno.Command("umount", { args: [folder] }).output();
  await Deno.remove(folder);
  return isMounted;
}

/** Asserts that an instance whose Redis user has few rights does all of its work. */
async function assertUserCanChat(redis: TestRedis, env: Record<string, string>): Promise<void> {
  await using one = await startInstance(env);
  const foo = await TextClient.join(one.port, "foo", { room: "red" });
  const bar = await TextClient.join(one.port, "bar", { room: "red" });
  foo.send("hi");
  await bar.until("foo: hi");
  const response = await fetch(`${one.http}/rooms/red/users`);
  assertEquals((await response.json()).total, 2);
  await untilReady(one);
  await killConnections(redis);
  await one.output.find(/chat-commands is back/);
  await untilReady(one);
  await bar.leave();
  await foo.until("bar: has left the chat!");
  await foo.leave();
  assertEquals(one.output.all.filter((line) => line.includes("NOPERM")), []);
}

test("fault: an instance is gone", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  await TextClient.join(two.port, "foo");
  two.signal("SIGKILL");
  await assertLogged(one, rowOf("an instance is gone").lines);
});

test("fault: Redis has lost names", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  const foo = await TextClient.join(one.port, "foo");
  await redis.command("DEL", "chat-users", "{chat-users}:owners");
  await assertLogged(one, rowOf("Redis has lost names").lines);
  assertEquals(await redis.users(), ["foo"]);
  await foo.leave();
});

Deno.test("the documented user may do what the chat needs, and nothing else", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));
  const [, user] = /^ACL SETUSER (chat on .+)$/m.exec(page)!;
  const rights = user.split(" ").filter((word) => /^\+[a-z]/.test(word)).map((word) =>
    word.slice(1).split("|")[0]
  );
  const called = await findCommands();
  assertEquals(
    rights.sort(),
    [...called, "info", "eval", "evalsha", "subscribe", "unsubscribe"].sort(),
  );

  await using redis = await startRedis();
  const isRedis60 = /redis_version:6\.0\./.test(`${await redis.command("INFO")}`);
  const allowed = isRedis60 ? user.replace("resetchannels &chat* ", "") : user;
  const [, prefixed] = /^`(&app:.+?)`/m.exec(page)!;
  const { REDIS_HOST } = redis.env;
  const env = { REDIS_HOST, REDIS_USERNAME: "chat", REDIS_PASSWORD: "PASSWORD" };
  await redis.command("ACL", "SETUSER", ...allowed.split(" "));
  await assertUserCanChat(redis, env);
  const ofPrefix = allowed.replace(/&chat.* ~\{chat\*/, prefixed)
    .replace(/~chat\* ~\{chat\*/, prefixed.replace(/&\S+ /, ""));
  await redis.command("ACL", "SETUSER", ...ofPrefix.replace("chat on", "app on").split(" "));
  await assertUserCanChat(redis, { ...env, REDIS_USERNAME: "app", REDIS_PREFIX: "app:" });

  await redis.command("ACL", "SETUSER", "chat", "-info", "-memory");
  await using one = await startInstance({ ...env, HISTORY_BYTES: "1000" });
  for (const fault of ["INFO is denied", "MEMORY USAGE is denied"]) {
    const [expected] = rowOf(fault).lines;
    assertEquals(one.output.all.map(messageOf).filter((line) => expected.test(line)).length, 1);
  }
  assertEquals(await getStatus(one, "/readyz"), 200);
});

Deno.test("the probe calls every command that the chat calls", async () => {
  const probe = await Deno.readTextFile(new URL("probe.lua", SCRIPTS));
  const probed = [...probe.matchAll(/\{ '([A-Z]+)'/g)].map(([, name]) => name.toLowerCase());
  const needed = await findCommands();
  // Without it, only HISTORY_BYTES has no effect.
  needed.delete("memory");
  assertEquals([...new Set(probed)].sort(), [...needed].sort());
});

const SCRIPTS = new URL("../../chat/store/redis/scripts/", import.meta.url);

/** Finds the commands that the store and its scripts call, apart from the probe. */
async function findCommands(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const folder of [SCRIPTS, new URL("../", SCRIPTS)]) {
    for await (const { name, isFile } of Deno.readDir(folder)) {
      if (!isFile || name === "probe.lua") continue;
      const source = await Deno.readTextFile(new URL(name, folder));
      const calls = /\b(?:p?call\(|run[^"'()]*\()\s*(?:\.\.\.\[)?["']([A-Z]+)["']/g;
      // `remove.lua` lists some of its commands in a table.
      const listed = /^ +\{ '([A-Z]+)', /gm;
      for (const [, command] of [...source.matchAll(calls), ...source.matchAll(listed)]) {
        names.add(command.toLowerCase());
      }
    }
  }
  // It calls the scripts themselves.
  names.delete("evalsha");
  return names;
}
