import { once } from "node:events";
import { connect } from "node:net";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { startHttpServer } from "../support/http_server.ts";
import { messageOf, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { run } from "../support/process.ts";
import { handshake, RawClient, requestUpgrade } from "../support/raw_client.ts";
import { TextClient } from "../support/text_client.ts";
import { sleep, until } from "../support/wait.ts";

/** Requests upgrades from 127.0.1.1 and resets them. */
function attack(port: number, attempts: number, seconds: number) {
  const program = new URL("../support/attacker.ts", import.meta.url).pathname;
  const numbers = [port, attempts, seconds].map(String);
  return run(Deno.execPath(), ["run", "-A", program, ...numbers, "reset"]);
}

Deno.test("above MAX_CONNECTIONS newcomers get 503 and Retry-After", async () => {
  await using instance = await startInstance({ MAX_CONNECTIONS: "2" });
  const foo = await TextClient.join(instance.port, "foo");
  const bar = await TextClient.join(instance.port, "bar");
  for (let i = 0; i < 3; i++) {
    const head = await requestUpgrade(instance.port, "baz");
    assertMatch(head, /^HTTP\/1.1 503 /);
    assertMatch(head, /\r\nretry-after: 10\r\n/);
    // A page asks why, and counts as no newcomer.
    const asked = await fetch(`${instance.http}/chat/baz`);
    assertEquals([asked.status, await asked.text()], [503, "the server is full\n"]);
    assertEquals(asked.headers.get("retry-after"), "10");
    assertEquals(asked.headers.get("access-control-expose-headers"), "retry-after");
  }
  const ready = await fetch(`${instance.http}/readyz`);
  assertEquals([ready.status, await ready.text()], [200, "ready\n"]);
  bar.send("still here");
  await foo.until("bar: still here");
  await bar.leave();
  assertEquals((await fetch(`${instance.http}/chat/baz`, { method: "HEAD" })).status, 426);
  await (await TextClient.join(instance.port, "baz")).leave();
  await foo.leave();
  await assertLogged(instance, rowOf("the server is full").lines);
  assertEquals(instance.output.all.slice(2).map(messageOf), [
    "The server is full with 2 connections (MAX_CONNECTIONS): newcomers get 503",
    "No newcomer was refused in the last 10 s; 3 were before",
  ]);
});

Deno.test("a join that a full server refuses costs its address nothing", async () => {
  const env = { MAX_CONNECTIONS: "2", MAX_DELIVERED_BYTES_PER_SECOND: "1200" };
  await using server = await startHttpServer(undefined, env);
  const foo = await TextClient.join(server.port, "foo");
  const bar = await TextClient.join(server.port, "bar", { room: "other" });
  for (let i = 0; i < 3; i++) {
    assertMatch(await requestUpgrade(server.port, "baz"), /^HTTP\/1.1 503 /);
  }
  await bar.leave();
  await (await TextClient.join(server.port, "baz")).leave();
  await foo.leave();
});

Deno.test("a client that does not answer a close frame counts until it is gone", async () => {
  await using instance = await startInstance({ MAX_CONNECTIONS: "3" });
  const foo = await TextClient.join(instance.port, "foo");
  const silent = await Promise.all([1, 2].map(async () => {
    const client = await RawClient.connect(instance.port);
    await client.write(handshake("/chat/foo"));
    await client.readUntil("is already taken");
    return client;
  }));
  assertMatch(await requestUpgrade(instance.port, "bar"), /^HTTP\/1.1 503 /);
  silent[0].close();
  await until(
    async () => (await requestUpgrade(instance.port, "bar")).startsWith("HTTP/1.1 101 "),
    20,
  );
  silent[1].close();
  await foo.leave();
});

Deno.test("2,000 clients of one address that connect at once all get in", async () => {
  await using instance = await startInstance();
  const clients = await Promise.all(
    Array.from(
      { length: 2_000 },
      (_, i) => JsonClient.join(instance.port, `user-${i}`, { room: `room-${i % 100}` }),
    ),
  );
  await clients[0].publish("hi");
  await clients[1_900].find("message", ({ text }) => text === "hi");
  assertEquals(instance.output.all.length, 2);
});

Deno.test("sessions end whose connection is reset during the upgrade", async () => {
  await using server = await startHttpServer();
  await using attacker = attack(server.port, 300, 1);
  await attacker.exit;
  await until(() => server.sessionCount() === 0, 20);
  for (let i = 0; i < 300; i++) {
    const client = await TextClient.join(server.port, `attacker-${i}`);
    await client.leave();
  }
});

Deno.test("an address whose upgrades leak is refused with 429, and others get in", async () => {
  await using instance = await startInstance();
  const descriptors = () => [...Deno.readDirSync(`/proc/${instance.pid}/fd`)].length;
  const before = descriptors();
  await using _attacker = attack(instance.port, 40_000, 50);
  await assertLogged(instance, rowOf("an address resets its connections").lines);
  // Deno does not always know the address of a peer that has reset its connection.
  await instance.output.find(/ 127\.0\.1\.1 is refused /);
  const client = connect({ host: "127.0.0.1", port: instance.port, localAddress: "127.0.1.1" });
  client.write(handshake("/chat/foo"));
  const [response] = await once(client, "data");
  assertMatch(`${response}`, /^HTTP\/1.1 429 Too Many Requests\r\n[^]*\nretry-after: (600|599)\r/);
  client.destroy();
  await sleep(1_000);
  const leaked = descriptors() - before;
  assert(leaked <= 60, `${leaked} descriptors have leaked`);
  await (await TextClient.join(instance.port, "foo")).leave();
  assertEquals(instance.output.all.filter((line) => line.includes("127.0.1.1")).length, 1);
});

Deno.test("slow readers are logged with one line a second at most", async () => {
  await using instance = await startInstance({ MAX_BUFFERED_BYTES: "131072" });
  const stuck = await Promise.all(
    Array.from({ length: 20 }, (_, i) => RawClient.join(instance.port, `stuck-${i}`)),
  );
  const talker = await TextClient.join(instance.port, "talker");
  const counts = () =>
    instance.output.all.flatMap((line) =>
      / Sessions closed because their clients read too slowly \(4408\): (\d+)$/.exec(line)?.[1] ??
        []
    ).map(Number);
  for (let i = 0; i < 1_600; i++) talker.send("x".repeat(4_000));
  await until(() => counts().reduce((a, b) => a + b, 0) === 20, 20);
  assert(counts().length < 10, `${counts().length} lines`);
  await assertLogged(instance, rowOf("clients read too slowly").lines);
  await talker.leave();
  stuck.forEach((client) => client.close());
});
