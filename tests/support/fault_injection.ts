import { assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { type Instance, startInstance } from "./instance.ts";
import { freePort } from "./ports.ts";
import { startProxy } from "./proxy.ts";
import { makeRandom } from "./random.ts";
import { startRedis } from "./redis.ts";
import { sleep, until } from "./wait.ts";

/** How many messages each client sends before it waits for an ack. */
const MAX_IN_FLIGHT = 8;

const USERS = ["interrupted", "one", "two", "three"];

/** Each of these faults is injected at least once. */
const FAULTS = ["socket closed", "TCP reset", "instance killed", "Redis restarted"] as const;

/** What {@linkcode chatWithFaults} did. */
export interface Outcome {
  /** The faults, separated by commas. */
  readonly faults: string;
  readonly seconds: number;
}

/**
 * Lets four clients send messages through two instances while faults interrupt them. One of the
 * clients connects through proxies, which some of the faults disconnect.
 *
 * @param seed decides which fault is injected when
 * @param messageCount how many messages are sent in all
 * @param seconds about how long the clients take to send them
 * @throws {AssertionError} unless each client receives every message once, all in the same order,
 * in which each sender's messages are as they were sent
 */
export async function chatWithFaults(
  seed: number,
  messageCount: number,
  seconds: number,
): Promise<Outcome> {
  const random = makeRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  let redis = await startRedis({ folder, appendOnly: true });
  stack.defer(() => redis[Symbol.asyncDispose]());
  const env = { ...redis.env, HISTORY_LIMIT: "100000" };
  const ports = [freePort(), freePort()];
  const instances: Instance[] = await Promise.all(
    ports.map((port) => startInstance({ ...env, PORT: `${port}` })),
  );
  for (const i of [0, 1]) stack.defer(() => instances[i][Symbol.asyncDispose]());
  const proxies = await Promise.all(ports.map((port) => startProxy(port)));
  for (const proxy of proxies) stack.use(proxy);

  const direct = ports.map((port) => `ws://127.0.0.1:${port}`);
  const proxied = proxies.map(({ port }) => `ws://127.0.0.1:${port}`);
  const clients = USERS.map((user, i) => {
    const urls = i === 0 ? proxied : i % 2 ? direct : direct.toReversed();
    return new ChatClient(urls, user);
  });
  stack.defer(async () => void await Promise.all(clients.map((client) => client.close())));
  const received = clients.map((client) => {
    const messages: string[] = [];
    client.onmessage = ({ id, user, text }) => messages.push(`${id} ${user}: ${text}`);
    client.ongap = (after) => messages.push(`a gap after ${after}`);
    return messages;
  });
  await Promise.all(
    clients.map((client) => new Promise((resolve) => client.onwelcome = resolve)),
  );

  const start = Date.now();
  const published = new Set<string>();
  async function publish(client: ChatClient, user: string): Promise<void> {
    const count = messageCount / USERS.length;
    const intervalMs = seconds * 1000 / count;
    const inFlight = new Set<Promise<void>>();
    for (let n = 0; n < count; n++) {
      const text = `message ${n}`;
      const sending = client.send(text).then((id) => {
        published.add(`${id} ${user}: ${text}`);
        inFlight.delete(sending);
      });
      inFlight.add(sending);
      if (inFlight.size < MAX_IN_FLIGHT) continue;
      await Promise.race(inFlight);
      const earlyMs = start + n * intervalMs - Date.now();
      if (earlyMs > 0) await sleep(earlyMs);
    }
    await Promise.all(inFlight);
  }

  const faults: string[] = [];
  async function inject(fault: typeof FAULTS[number]): Promise<void> {
    faults.push(fault);
    switch (fault) {
      case "socket closed":
        return proxies.forEach((proxy) => proxy.disconnect("in order"));
      case "TCP reset":
        return proxies.forEach((proxy) => proxy.disconnect("by reset"));
      case "instance killed": {
        const victim = below(2);
        await instances[victim][Symbol.asyncDispose]();
        instances[victim] = await startInstance({ ...env, PORT: `${ports[victim]}` });
        return;
      }
      case "Redis restarted":
        await redis[Symbol.asyncDispose]();
        redis = await startRedis({ port: redis.port, folder, appendOnly: true });
    }
  }
  let isPublishing = true;
  async function injectFaults(): Promise<void> {
    const due = FAULTS.map((fault) => ({ fault, order: random() }))
      .sort((a, b) => a.order - b.order);
    while (isPublishing) {
      await sleep(seconds * 1000 * random() / 6);
      if (isPublishing) await inject(due.pop()?.fault ?? FAULTS[below(3)]);
    }
  }

  const injecting = injectFaults();
  await Promise.all(USERS.map((user, i) => publish(clients[i], user)));
  isPublishing = false;
  await injecting;
  // Every other message has been received before the last one, or will never be.
  const last = await clients[1].send("the end");
  const hasLast = (messages: string[]) => messages.at(-1)?.startsWith(last) ?? false;
  // If one never gets there, the comparison below shows why.
  await until(() => received.every(hasLast), 20).catch(() => {});

  published.add(`${last} one: the end`);
  assertEquals(published.size, messageCount + 1);
  for (const messages of received) {
    assertEquals(messages, received[0]);
    assertEquals(messages.length, messageCount + 1);
    assertEquals(new Set(messages), published);
  }
  for (const user of USERS) {
    const texts = received[0].map((message) => message.split(" ").slice(1).join(" "))
      .filter((text) => text.startsWith(`${user}: message`));
    assertEquals(texts, texts.map((_, n) => `${user}: message ${n}`), "one sender's order");
  }
  return { faults: faults.join(", "), seconds: (Date.now() - start) / 1000 };
}
