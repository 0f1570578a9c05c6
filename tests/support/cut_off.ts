/**
 * A conversation that is cut off again and again, at moments that a seed chooses, and what everyone has heard at its
 * end.
 */
import { assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { type Instance, startInstance } from "./instance.ts";
import { startProxy } from "./proxy.ts";
import { makeRandom } from "./random.ts";
import { freePort, startRedis, type TestRedis } from "./redis.ts";

/** So many messages of one client are on their way at a time. */
const UNDER_WAY = 8;

/** The ways to cut someone off, each of which is used at least once. */
const CUTS = ["socket closed", "TCP reset", "instance killed", "Redis restarted"] as const;

/** What came of it. */
export interface Outcome {
  readonly cuts: string;
  readonly seconds: number;
}

/**
 * Lets four clients on two instances talk, one of whom reaches both through proxies that are cut, until so many messages
 * are acknowledged; fails unless everyone got each of them once and all in the same order.
 *
 * @param seed chooses who is cut off when
 * @param messages how many messages
 * @param seconds over how long to spread the cuts, which is about how long it takes
 */
export async function talkWhileCutOff(
  seed: number,
  messages: number,
  seconds: number,
): Promise<Outcome> {
  const random = makeRandom(seed);
  const below = (most: number) => Math.floor(random() * most);
  const folder = await Deno.makeTempDir();
  let redis: TestRedis = await startRedis({ folder, keeps: true });
  const env = { ...redis.env, HISTORY_LIMIT: "100000" };
  const ports = [freePort(), freePort()];
  const instances: Instance[] = await Promise.all(
    ports.map((port) => startInstance({ ...env, PORT: `${port}` })),
  );
  const proxies = await Promise.all(ports.map((port) => startProxy(port)));

  const direct = ports.map((port) => `ws://127.0.0.1:${port}`);
  const cutOff = proxies.map(({ port }) => `ws://127.0.0.1:${port}`);
  const clients = ["cut-off", "one", "two", "three"].map((user, i) => {
    const urls = i === 0 ? cutOff : i % 2 ? direct : direct.toReversed();
    return new ChatClient(urls, user);
  });
  const heard = clients.map((client) => {
    const ids: string[] = [];
    client.onmessage = ({ id, user, text }) => ids.push(`${id} ${user}: ${text}`);
    client.ongap = (after) => ids.push(`a gap after ${after}`);
    return ids;
  });
  await Promise.all(
    clients.map((client) => new Promise((resolve) => client.onwelcome = resolve)),
  );

  const start = Date.now();
  const said = new Set<string>();
  async function talk(client: ChatClient, user: string, count: number): Promise<void> {
    const pause = seconds * 1000 / count * UNDER_WAY;
    const underWay = new Set<Promise<void>>();
    for (let n = 0; n < count; n++) {
      const text = `message ${n}`;
      const sending = client.send(text).then((id) => {
        said.add(`${id} ${user}: ${text}`);
        underWay.delete(sending);
      });
      underWay.add(sending);
      if (underWay.size < UNDER_WAY) continue;
      await Promise.race(underWay);
      const late = Date.now() - start - n * pause / UNDER_WAY;
      if (late < 0) await new Promise((resolve) => setTimeout(resolve, -late));
    }
    await Promise.all(underWay);
  }

  const cuts: string[] = [];
  async function cut(how: typeof CUTS[number]): Promise<void> {
    cuts.push(how);
    switch (how) {
      case "socket closed":
        return proxies.forEach((proxy) => proxy.drop("in order"));
      case "TCP reset":
        return proxies.forEach((proxy) => proxy.drop("by reset"));
      case "instance killed": {
        const which = below(2);
        await instances[which][Symbol.asyncDispose]();
        instances[which] = await startInstance({ ...env, PORT: `${ports[which]}` });
        return;
      }
      case "Redis restarted":
        await redis[Symbol.asyncDispose]();
        redis = await startRedis({ port: redis.port, folder, keeps: true });
    }
  }
  let isTalking = true;
  async function cutAllTheTime(): Promise<void> {
    const due = CUTS.map((how) => ({ how, order: random() })).sort((a, b) => a.order - b.order);
    while (isTalking) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000 * random() / 6));
      if (isTalking) await cut(due.pop()?.how ?? CUTS[below(3)]);
    }
  }

  const cutting = cutAllTheTime();
  await Promise.all(
    ["cut-off", "one", "two", "three"].map((user, i) => talk(clients[i], user, messages / 4)),
  );
  isTalking = false;
  await cutting;
  // What is said last comes last, and so everything else has come by then, or never will.
  const last = await clients[1].send("the end");
  const isDone = (ids: string[]) => ids.at(-1)?.startsWith(last);
  for (const giveUp = Date.now() + 60_000; !heard.every(isDone) && Date.now() < giveUp;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  await Promise.all(clients.map((client) => client.close()));
  for (const process of [...proxies, ...instances, redis]) await process[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });

  said.add(`${last} one: the end`);
  assertEquals(said.size, messages + 1);
  for (const ids of heard) {
    assertEquals(ids, heard[0]);
    assertEquals(ids.length, messages + 1);
    assertEquals(new Set(ids), said);
  }
  return { cuts: cuts.join(", "), seconds: (Date.now() - start) / 1000 };
}
