import { assert, assertEquals, assertMatch } from "@std/assert";
import { untilOpen } from "../../chat/http/upgrade.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { run } from "../support/process.ts";
import { RawClient, requestUpgrade } from "../support/raw_client.ts";
import { getStatus, untilReady } from "../support/readiness.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { joinTalkers } from "../support/talkers.ts";
import { countSockets } from "../support/instance.ts";
import { sleep } from "../support/wait.ts";

const ATTACK_SECONDS = 30;
const ATTEMPTS = 2_000;

/** When the attack is over, new users must get in within this time. */
const RECOVERY_MS = 10_000;

const CANNOT_CONNECT =
  / Newcomers cannot connect to port \d+ \(Too many open files\); sessions go on, trying again$/;

/** Joins until it succeeds; fails if the connection or the welcome takes too long. */
async function untilJoined(instance: Instance, name: string, ms: number): Promise<JsonClient> {
  const start = performance.now();
  for (;;) {
    const client = new JsonClient(instance.port, name);
    try {
      await deadline(client.welcome(), ms);
      return client;
    } catch (error) {
      if (performance.now() - start > ms) throw error;
      await sleep(100);
    }
  }
}

function attack(instance: Instance, ...kinds: string[]) {
  const program = new URL("../support/attacker.ts", import.meta.url).pathname;
  const numbers = [instance.port, ATTEMPTS, ATTACK_SECONDS].map(String);
  return run(Deno.execPath(), ["run", "-A", program, ...numbers, ...kinds]);
}

/** Starts an instance with few descriptors; the test must not end it, nor make it log a stack. */
function testOpenFiles(
  name: string,
  openFiles: number,
  body: (chat: { redis: TestRedis; instance: Instance }) => Promise<void>,
  env: Record<string, string> = {},
): void {
  Deno.test(name, async () => {
    await using redis = await startRedis();
    await using instance = await startInstance({ ...redis.env, ...env }, { openFiles });
    await body({ redis, instance }).catch((error) => {
      console.log(instance.output.all.join("\n"));
      throw error;
    });
    instance.signal("SIGTERM");
    assertEquals((await instance.exit).code, 0);
    const lines = await instance.output.end();
    console.log(lines.slice(2).join("\n"));
    assertEquals(lines.filter((line) => line.includes("nobody expected")), []);
  });
}

for (const workers of [1, 2]) {
  testOpenFiles(
    `50 users lose nothing while 2,000 connections are attempted, WORKERS=${workers}`,
    512,
    async ({ instance }) => {
      const talkers = await joinTalkers(instance.port, 50);
      await using attacker = attack(instance, "idle", "websocket", "reset");
      assertEquals((await attacker.exit).code, 0);
      const sockets = countSockets(instance);
      console.log(`${(await attacker.output.end()).at(-1)}, ${sockets} sockets are left`);
      const newcomers = await Promise.all(
        Array.from({ length: 50 }, (_, i) => untilJoined(instance, `new-${i}`, RECOVERY_MS)),
      );
      await newcomers[0].publish("hi");
      await newcomers[49].find("message", ({ text }) => text === "hi");
      await Promise.all(newcomers.map((client) => client.leave()));
      await talkers.assertNothingLost();
    },
    { WORKERS: `${workers}` },
  );
}

Deno.test("a socket that neither opens nor fails has leaked after ten seconds", async () => {
  const socket = new EventTarget() as WebSocket;
  assertEquals(await untilOpen(socket, new Request("http://127.0.0.1/")), false);
});

testOpenFiles("with 128 descriptors, the 105th join ends nothing", 128, async (chat) => {
  const { redis, instance } = chat;
  const talkers = await joinTalkers(instance.port, 20);
  const others: JsonClient[] = [];
  for (let i = 0; i < 110; i++) {
    const client = new JsonClient(instance.port, `other-${i}`);
    if (await client.welcome().then(() => true, () => false)) others.push(client);
  }
  await instance.output.find(CANNOT_CONNECT);
  await instance.output.find(
    / The server is full with \d+ connections \(the limit of open files\)/,
  );
  assert(others.length > 50, `only ${others.length} have joined`);

  // The server can be reached, newcomers are refused before the upgrade, and Redis has its reserve.
  for (let i = 0; i < 20; i++) {
    assertEquals(await getStatus(instance, "/healthz"), 200);
    const refusal = await requestUpgrade(instance.port, `late-${i}`);
    assertMatch(refusal, /^HTTP\/1.1 503 Service Unavailable\r\n/);
    assertMatch(refusal, /\r\nretry-after: 10\r\n/);
  }
  await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
  await instance.output.find(/ is back/);
  await untilReady(instance);

  await others.pop()!.leave();
  others.push(await untilJoined(instance, "late", RECOVERY_MS));
  await assertLogged(instance, rowOf("too many open files").lines);
  await instance.output.find(/ No newcomer was refused in the last 10 s; \d+ were before$/);
  await Promise.all(others.map((client) => client.leave()));
  await talkers.assertNothingLost();
  const lines = instance.output.all.filter((line) => CANNOT_CONNECT.test(line));
  assertEquals(lines.length, 1, lines.join("\n"));
  // Nobody has asked for the page, and to make it would have stopped the chat.
  assertEquals(instance.output.all.filter((line) => line.includes("thread")), []);
});

/** Returns no listener while another process listens on the port. */
function listenIfFree(port: number): Deno.Listener | undefined {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
  }
}

testOpenFiles("a port that another process has taken is taken back", 128, async ({ instance }) => {
  const talkers = await joinTalkers(instance.port, 20);
  const idle: RawClient[] = [];
  // The server does not listen while it can open nothing, but it tries to again and again.
  let taken: Deno.Listener | undefined;
  while (!taken) {
    const client = await RawClient.connect(instance.port).catch(() => undefined);
    if (client) idle.push(client);
    else if (idle.length > 60) taken = listenIfFree(instance.port);
  }
  for (const client of idle) client.close();
  await instance.output.find(/ Newcomers cannot connect to port \d+ \(Address already in use\)/);
  taken.close();
  await untilJoined(instance, "late", RECOVERY_MS);
  await assertLogged(instance, rowOf("another program takes the port").lines);
  await talkers.assertNothingLost();
});
