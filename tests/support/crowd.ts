import { assertEquals } from "@std/assert";
import type { Instance } from "./instance.ts";
import { joinMany } from "./recording_client.ts";
import type { TestRedis } from "./redis.ts";
import { TextClient, untilCaughtUp } from "./text_client.ts";

/** 300 clients on two instances. */
export interface Crowd {
  /** The users, sorted. */
  readonly names: readonly string[];
  readonly clients: readonly TextClient[];
}

/** Joins a crowd, and waits until each client has seen all the others join. */
export async function joinCrowd(redis: TestRedis, one: Instance, two: Instance): Promise<Crowd> {
  const names = Array.from({ length: 300 }, (_, i) => `user-${i}`).sort();
  const clients = await joinMany(
    names,
    (name, i) => TextClient.join([one, two][i % 2].port, name),
  );
  await untilCaughtUp(redis, clients);
  for (const client of clients) client.clear();
  return { names, clients };
}

/**
 * Asserts that a crowd is complete and works: a message from each instance reaches everyone, and
 * nobody has received anything else since their records were cleared.
 */
export async function assertCrowdWorks(redis: TestRedis, { names, clients }: Crowd): Promise<void> {
  assertEquals(await redis.users(), names);
  clients[0].send("from the first");
  await clients[1].until(`${names[0]}: from the first`);
  clients[1].send("from the second");
  await clients[0].until(`${names[1]}: from the second`);
  await untilCaughtUp(redis, clients);
  const published = [`${names[0]}: from the first`, `${names[1]}: from the second`];
  for (const [i, client] of clients.entries()) {
    // A sender does not receive its own message.
    assertEquals(client.frames, i < 2 ? [published[1 - i]] : published, names[i]);
  }
}
