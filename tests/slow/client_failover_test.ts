import { assert, assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { until } from "../support/wait.ts";

/** Joins a client for each user, and notes when each was last connected. */
async function joinClients(
  users: readonly string[],
  urls: readonly string[],
  roomOf: (index: number) => string,
) {
  const connectedAt = new Map<string, number>();
  const clients = await joinMany(users, async (user, i) => {
    const client = new ChatClient(urls, user, { room: roomOf(i) });
    client.addEventListener("welcome", () => connectedAt.set(user, performance.now()));
    await client.ready;
    return client;
  });
  return { clients, connectedAt };
}

/** Prints how long after a time clients were connected again. */
function printTimes(killed: number, connectedAt: ReadonlyMap<string, number>): void {
  const times = [...connectedAt.values()].map((at) => at - killed).filter((ms) => ms > 0);
  times.sort((a, b) => a - b);
  const [p50, p99, max] = [0.5, 0.99, 1].map((q) => times[Math.ceil(q * times.length) - 1] / 1000);
  const seconds = `p50 ${p50.toFixed(2)} s, p99 ${p99.toFixed(2)} s, max ${max.toFixed(2)} s`;
  console.log(`${times.length} clients of the killed instance were back: ${seconds}`);
}

Deno.test("300 clients outlive the kill of one of two instances, and nobody notices", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const urls = [one, two].map(({ port }) => `ws://127.0.0.1:${port}`);
  const users = Array.from({ length: 300 }, (_, i) => `user-${i}`);
  const { clients, connectedAt } = await joinClients(users, urls, () => "chat");
  const watcher = await JsonClient.join(two.port, "watcher");
  const received = clients.map((client) => {
    const texts: string[] = [];
    client.onmessage = ({ user, text }) => texts.push(`${user} ${text}`);
    client.ongap = (after) => texts.push(`gap after ${after}`);
    return texts;
  });
  const sendAll = (text: string) => clients.map((client) => client.send(text));

  await Promise.all(sendAll("before"));
  const sent = sendAll("meanwhile");
  const killed = performance.now();
  one.signal("SIGKILL");
  sent.push(...sendAll("after"));
  await Promise.all(sent);
  await until(() => received.every((texts) => texts.length >= 900), 20);
  printTimes(killed, connectedAt);
  await two.output.find(/ Instance [\da-f]{12} is gone/);
  await watcher.publish("end");
  await until(() => received.every((texts) => texts.at(-1) === "watcher end"), 20);

  const expected = ["before", "meanwhile", "after"].flatMap((text) =>
    users.map((user) => `${user} ${text}`)
  );
  assertEquals(received[0].toSorted(), [...expected, "watcher end"].sort());
  for (const texts of received) assertEquals(texts, received[0]);
  const types = watcher.events.filter(({ type }) => type === "left" || type === "joined");
  assertEquals(types, []);
  assertEquals(await redis.users(), [...users, "watcher"].sort());
  await Promise.all([...clients.map((client) => client.close()), watcher.leave()]);
});

Deno.test("clients of a killed instance spread over the others, and leave it alone", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  await using three = await startInstance(redis.env);
  const ports = [one, two, three].map(({ port }) => `${port}`);
  const attempts = new Map<string, string[]>();
  const { WebSocket } = globalThis;
  globalThis.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[] | WebSocketOptions) {
      const { pathname, port } = new URL(url);
      const user = pathname.slice("/chat/".length);
      attempts.set(user, [...attempts.get(user) ?? [], port]);
      super(url, protocols);
    }
  };
  try {
    const users = Array.from({ length: 600 }, (_, i) => `user-${i}`);
    const urls = ports.map((port) => `ws://127.0.0.1:${port}`);
    const { clients, connectedAt } = await joinClients(users, urls, (i) => `room-${i % 20}`);
    const onDead = users.filter((user) => attempts.get(user)!.at(-1) === ports[0]);
    const killed = performance.now();
    one.signal("SIGKILL");
    await until(() => onDead.every((user) => connectedAt.get(user)! > killed), 20);
    printTimes(killed, connectedAt);

    const counts = ports.map((port) =>
      users.filter((user) => attempts.get(user)!.at(-1) === port).length
    );
    console.log(`${onDead.length} of 600 clients had to move, and now there are ${counts}`);
    assertEquals(counts[0], 0);
    for (const count of counts.slice(1)) assert(count > 225 && count < 375, `${counts}`);
    for (const tried of attempts.values()) {
      const isTwice = tried.some((port, i) => port === ports[0] && tried[i + 1] === port);
      assert(!isTwice, `${tried}`);
    }
    await Promise.all(clients.map((client) => client.close()));
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});
