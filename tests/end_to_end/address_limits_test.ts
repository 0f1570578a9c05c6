import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { deadline } from "../../chat/store/deadline.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { type Instance, messageOf, startInstance } from "../support/instance.ts";
import { countResponses, encodeRequests } from "../support/http2.ts";
import { frame, handshake, RawClient, requestUpgrade } from "../support/raw_client.ts";
import { JsonClient } from "../support/json_client.ts";
import { TextClient } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

function request(path: string, ...headers: string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: localhost", ...headers, "", ""].join("\r\n");
}

/** Sends a request from another address of this machine; returns the response's head. */
async function requestFrom(address: string, { port }: Instance, head: string) {
  const socket: Socket = connect({ host: "127.0.0.1", port, localAddress: address });
  socket.on("error", () => {});
  socket.write(head);
  const [data] = await once(socket, "data");
  return { status: Number(`${data}`.split(" ")[1]), text: `${data}`, socket };
}

async function statusOf(instance: Instance, ...headers: string[]): Promise<number> {
  const { status, socket } = await requestFrom("127.0.0.1", instance, request("/", ...headers));
  socket.destroy();
  return status;
}

Deno.test("above MAX_CONNECTIONS_PER_ADDRESS an address gets 429, and others get in", async () => {
  await using instance = await startInstance({ MAX_CONNECTIONS_PER_ADDRESS: "2" });
  const foo = await TextClient.join(instance.port, "foo");
  const bar = await TextClient.join(instance.port, "bar");
  for (let i = 0; i < 3; i++) {
    const head = await requestUpgrade(instance.port, "baz");
    assertMatch(head, /^HTTP\/1.1 429 Too Many Requests\r\n/);
    assertMatch(head, /\r\nretry-after: 10\r\n/);
  }
  const refused = await fetch(`${instance.http}/rooms/chat/users`);
  assertEquals([refused.status, await refused.text()], [
    429,
    "too many connections are open from your address\n",
  ]);
  for (const path of ["/healthz", "/readyz"]) {
    const response = await fetch(instance.http + path);
    assertEquals((await response.text(), response.status), 200);
  }
  const other = await requestFrom("127.0.1.1", instance, handshake("/chat/other"));
  assertEquals(other.status, 101);
  other.socket.destroy();
  await bar.leave();
  await until(
    async () => (await requestUpgrade(instance.port, "baz")).startsWith("HTTP/1.1 101 "),
    20,
  );
  await foo.leave();
  await assertLogged(instance, rowOf("an address exceeds a limit").lines);
  const lines = instance.output.all.slice(2).map(messageOf);
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(lines[0], /^127\.0\.0\.1 exceeds MAX_CONNECTIONS_PER_ADDRESS: /);
  assertMatch(lines[1], / the last one from 127\.0\.0\.1$/);
});

Deno.test("a stream takes a place, whatever its request asks for besides", async () => {
  await using instance = await startInstance({ MAX_CONNECTIONS_PER_ADDRESS: "2" });
  const head = request("/rooms/chat/events", "Connection: upgrade", "Upgrade: websocket");
  const streams = [];
  for (let i = 0; i < 3; i++) streams.push(await requestFrom("127.0.0.1", instance, head));
  assertEquals(streams.map(({ status }) => status), [200, 200, 429]);
  for (const { socket } of streams) socket.destroy();
});

Deno.test("whatever ends gives its place back", async () => {
  await using instance = await startInstance({ MAX_CONNECTIONS_PER_ADDRESS: "5" });
  const requests = [
    request("/"),
    request("/client.js"),
    request("/sw.js"),
    request("/nowhere"),
    request("/rooms/chat/messages"),
    request("/rooms/a%20b/messages"),
    request("/").replace("GET", "HEAD"),
    request("/client.js").replace("GET", "HEAD"),
    request("/rooms/chat/users").replace("GET", "HEAD"),
    request("/").replace("GET", "OPTIONS"),
    request("/chat/foo"),
    handshake("/chat/a%00"),
    handshake("/chat/foo").replace("dGhlIHNhbXBsZSBub25jZQ==", ""),
    handshake("/chat/foo"),
  ];
  for (const head of requests) {
    for (let i = 0; i < 20; i++) {
      await until(async () => {
        const { status, socket } = await requestFrom("127.0.0.1", instance, head);
        if (i % 2) socket.destroy();
        else socket.resetAndDestroy();
        return status !== 429;
      }, 10);
    }
  }
});

Deno.test("joins and requests above the rate of an address get 429 and Retry-After", async () => {
  await using instance = await startInstance({
    MAX_JOINS_PER_SECOND: "1",
    MAX_REQUESTS_PER_SECOND: "1",
  });
  const joins: string[] = [];
  for (let i = 0; i < 8; i++) joins.push(await requestUpgrade(instance.port, `user-${i}`));
  const [last] = joins.slice(-1);
  assertEquals(joins.slice(0, 5).every((head) => head.startsWith("HTTP/1.1 101 ")), true);
  assertMatch(last, /^HTTP\/1.1 429 [^]*\r\nretry-after: 1\r\n/);
  const asked = await requestFrom("127.0.0.1", instance, request("/chat/foo"));
  asked.socket.destroy();
  assertMatch(asked.text, /^HTTP\/1.1 429 [^]*\r\nretry-after: 1\r\n/);
  assertMatch(asked.text, /\r\n\r\ntoo many joins a second from your address\n$/);
  const statuses: number[] = [];
  for (let i = 0; i < 8; i++) statuses.push(await statusOf(instance));
  assertEquals(statuses.slice(0, 4), Array(4).fill(200));
  assertEquals(statuses.includes(429), true);
  const { status, socket } = await requestFrom("127.0.1.1", instance, request("/"));
  socket.destroy();
  assertEquals(status, 200);
});

for (const [what, path] of [["requests that are refused", "/nowhere"], ["probes", "/readyz"]]) {
  Deno.test(`${what} do not delay others, however many come at once`, async () => {
    await using instance = await startInstance({ MAX_REQUESTS_PER_SECOND: "1" });
    const requests = request(path).repeat(300);
    const { text, socket } = await requestFrom("127.0.1.1", instance, requests);
    let received = text;
    socket.on("data", (data) => received += data);
    for (let i = 0; i < 15; i++) await (await fetch(`${instance.http}/healthz`)).text();
    const { length } = received.match(/HTTP\/1.1 \d/g) ?? [];
    assert(length < 100, `${length} responses while others had 15`);
    // Deno would go on, and keep all that comes meanwhile.
    await once(socket, "close");
    assertEquals(received.match(/HTTP\/1.1 (?!404)\d/g)?.length, 21);
  });
}

Deno.test("requests of one HTTP/2 connection are refused one after the other", async () => {
  await using instance = await startInstance({ MAX_REQUESTS_PER_SECOND: "1" });
  const socket = connect({ host: "127.0.0.1", port: instance.port, localAddress: "127.0.1.1" });
  const received: Uint8Array[] = [];
  socket.on("data", (data: Uint8Array) => received.push(data));
  socket.write(encodeRequests("/nowhere", 150));
  for (let i = 0; i < 15; i++) await (await fetch(`${instance.http}/healthz`)).text();
  const count = countResponses(Buffer.concat(received));
  assert(count > 0 && count < 100, `${count} responses while others had 15`);
  socket.destroy();
});

const LENGTH = 3 * 1024 * 1024;

for (const long of ["x".repeat(LENGTH), new Uint8Array(LENGTH)]) {
  const what = typeof long === "string" ? "text" : "binary";
  Deno.test(`a ${what} frame that is far too long costs its address joins`, async () => {
    await using instance = await startInstance({ MAX_JOINS_PER_SECOND: "1" });
    const client = await TextClient.join(instance.port, "foo");
    client.send(long);
    await client.closed;
    // Three times five joins, of which five are possible at once.
    const head = await requestUpgrade(instance.port, "bar");
    assertMatch(head, /^HTTP\/1.1 429 [^]*\r\nretry-after: 1\d\r\n/);
  });
}

Deno.test("a flood of tiny frames ends its connection, and costs its address joins", async () => {
  const env = { MAX_JOINS_PER_SECOND: "1", MAX_LINES_PER_SECOND: "10" };
  await using instance = await startInstance(env);
  const flooder = await RawClient.join(instance.port, "flooder");
  await flooder.write(new Uint8Array(Array(1_500).fill([...frame(1, "1")]).flat()));
  await deadline(flooder.ended(), 30_000);
  flooder.close();
  // Five joins are possible at once.
  assertMatch(await requestUpgrade(instance.port, "foo"), /^HTTP\/1.1 429 /);
});

Deno.test("with TRUST_PROXY the limits are those of the address that the proxy names", async () => {
  await using instance = await startInstance({ MAX_REQUESTS_PER_SECOND: "1", TRUST_PROXY: "1" });
  const statuses: number[] = [];
  for (let i = 0; i < 30; i++) {
    // The first address is the client's own invention.
    statuses.push(await statusOf(instance, `X-Forwarded-For: 10.0.0.${i}, 192.0.2.${i % 3}`));
  }
  assertEquals(statuses.slice(0, 15), Array(15).fill(200));
  assertEquals(statuses.includes(429), true);
  assertEquals(await statusOf(instance, "X-Forwarded-For: 2001:db8::1"), 200);
  assertEquals(instance.output.all.slice(2).map(messageOf).map((line) => line.split(" ")[0]), [
    "192.0.2.0",
  ]);
});

Deno.test("a proxy that is not declared is named once", async () => {
  await using instance = await startInstance({ MAX_REQUESTS_PER_SECOND: "1" });
  const statuses: number[] = [];
  for (let i = 0; i < 10; i++) {
    statuses.push(await statusOf(instance, `X-Forwarded-For: 192.0.2.${i}`));
  }
  assertEquals(statuses.includes(429), true);
  assertEquals(instance.output.all.filter((line) => line.includes("TRUST_PROXY=1")).length, 1);
});

Deno.test("a proxy that passes on no upgrade is named once", async () => {
  await using instance = await startInstance();
  const handshake = {
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  for (const headers of [{}, handshake, handshake]) {
    const response = await fetch(`${instance.http}/chat/foo`, { headers });
    assertEquals(response.status, 426);
    await response.body?.cancel();
  }
  await instance.output.find(/ must pass on Upgrade and Connection$/);
  assertEquals(instance.output.all.filter((line) => line.includes("Upgrade")).length, 1);
});

Deno.test("a TRUST_PROXY that is too high is named once, when somebody joins", async () => {
  await using instance = await startInstance({ TRUST_PROXY: "2" });
  const join = async (...headers: string[]) => {
    assertMatch(await requestUpgrade(instance.port, "foo", ...headers), /^HTTP\/1.1 101 /);
  };
  const warnings = () => instance.output.all.filter((line) => line.includes("TRUST_PROXY"));
  await statusOf(instance);
  await join("X-Forwarded-For: 192.0.2.1, 10.0.0.1");
  assertEquals(warnings(), []);
  for (let i = 0; i < 2; i++) await join("X-Forwarded-For: 192.0.2.1");
  await join();
  assertEquals(warnings().length, 1);
  assertMatch(warnings()[0], /TRUST_PROXY is 2, but a join came with 1 forwarded addresses: /);
});

Deno.test("a Host header that is more than a host is refused with 400", async () => {
  await using instance = await startInstance();
  for (const host of ["a/chat/foo?", "a?", "a#", "user@a", "a\\b"]) {
    const client = await RawClient.connect(instance.port);
    await client.write(`GET /chat/foo HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assertMatch(await client.readUntil("\r\n\r\n"), /^HTTP\/1.1 400 /, host);
    client.close();
  }
});

Deno.test("above 20 new rooms at once an address gets too_many", async () => {
  await using instance = await startInstance({ MAX_NEW_ROOMS_PER_SECOND: "1" });
  const join = (room: string) => JsonClient.join(instance.port, "foo", { room });
  const [old, ...clients] = await Promise.all(
    Array.from({ length: 31 }, (_, i) => join(`room-${i}`)),
  );
  await old.publish("hi");
  clients.forEach((client, i) => client.send({ type: "message", text: "hi", ref: `${i}` }));
  const replies = await Promise.all(
    clients.map((client) =>
      Promise.race([client.find("ack", () => true), client.find("error", () => true)])
    ),
  );
  const refused = replies.filter(({ type }) => type === "error");
  assert(refused.length >= 5, `${refused.length} are refused`);
  assertEquals(replies.length - refused.length >= 19, true);
  for (const error of refused) assertEquals(Reflect.get(error, "code"), "too_many");
  await old.publish("a room that has messages costs nothing");
  await Promise.all([old, ...clients].map((client) => client.leave()));
});

Deno.test("what an address makes the server deliver has a rate, whoever receives it", async () => {
  await using instance = await startInstance({ MAX_DELIVERED_BYTES_PER_SECOND: "40000" });
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user) => JsonClient.join(instance.port, user)),
  );
  // 40,000 at once: each message takes about 15,100 for each of the two.
  for (const ref of ["1", "2"]) {
    for (const client of [foo, bar]) {
      client.send({ type: "message", text: "x".repeat(14_500), ref });
    }
  }
  await until(() =>
    [foo, bar].every((one) => one.all("ack").length + one.all("error").length === 2)
  );
  assertEquals([foo, bar].flatMap((client) => client.all("ack")).length, 1);
  for (const { code } of [foo, bar].flatMap((client) => client.all("error"))) {
    assertEquals(code, "too_many");
  }
  assert(instance.output.all.some((line) => line.includes("exceeds MAX_DELIVERED_BYTES_")));
  await Promise.all([foo.leave(), bar.leave()]);
});

Deno.test("joins cost an address what their rooms are told of them", async () => {
  await using instance = await startInstance({ MAX_DELIVERED_BYTES_PER_SECOND: "1300" });
  const foo = await TextClient.join(instance.port, "foo");
  const bar = await TextClient.join(instance.port, "bar");
  assertMatch(
    await requestUpgrade(instance.port, "baz"),
    /^HTTP\/1.1 429 .*\r\nretry-after: 1\r\n/s,
  );
  const asked = await fetch(`${instance.http}/chat/baz`);
  assertEquals([asked.status, await asked.text()], [
    429,
    "too many joins a second from your address\n",
  ]);
  const alone = await TextClient.join(instance.port, "baz", { room: "other" });
  const { status, socket } = await requestFrom("127.0.1.1", instance, handshake("/chat/other"));
  assertEquals(status, 101);
  socket.destroy();
  await until(async () => (await requestUpgrade(instance.port, "qux")).startsWith("HTTP/1.1 101 "));
  await Promise.all([foo, bar, alone].map((client) => client.leave()));
});

Deno.test("bytes over the rate of an address wait, whoever of its clients sends them", async () => {
  await using instance = await startInstance({ MAX_ADDRESS_BYTES_PER_SECOND: "1000" });
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user) => JsonClient.join(instance.port, user)),
  );
  await foo.publish("a".repeat(7_500));
  bar.send({ type: "message", text: "b".repeat(1_000), ref: "1" });
  const { code, ref } = await bar.find("error");
  assertEquals([code, ref], ["too_many", undefined]);
  await bar.find("ack");
  await Promise.all([foo.leave(), bar.leave()]);
});
