import { assertEquals } from "@std/assert";
import { startInstance } from "./instance.ts";
import { JsonClient } from "./json_client.ts";
import type { TestRedis } from "./redis.ts";

/** Two users on two instances of a Redis, who are alone in the room `r`. */
export async function startPair(redis: TestRedis) {
  const instances = await Promise.all([1, 2].map(() => startInstance(redis.env)));
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user, i) => JsonClient.join(instances[i].port, user, { room: "r" })),
  );
  let spoken = 0;
  return {
    ...{ instances, foo, bar },
    /** Lets each user say something, and waits until both have heard it. */
    async talk(): Promise<void> {
      for (const speaker of [foo, bar]) {
        const text = `words ${++spoken}`;
        await speaker.publish(text);
        for (const client of [foo, bar]) await client.find("message", (one) => one.text === text);
      }
    },
    /** Everything that an instance has logged that contains a text. */
    logged: (text: string) =>
      instances.map(({ output }) => output.all.filter((line) => line.includes(text)).length),
    async [Symbol.asyncDispose]() {
      for (const client of [foo, bar]) await client.leave();
      for (const instance of instances) await instance[Symbol.asyncDispose]();
    },
  };
}

/** Asserts that a client got each of the pair's words once, in order. */
export function assertWords(client: JsonClient, count: number): void {
  const words = client.texts.filter((text) => text.startsWith("words"));
  assertEquals(words, Array.from({ length: count }, (_, i) => `words ${i + 1}`));
}

/** Follows the rule of the protocol; returns how many gaps a client sees. */
export function countGaps(client: JsonClient, since?: string): number {
  let position = since;
  let gaps = 0;
  for (const event of client.events) {
    if (event.type === "welcome") position ??= event.last;
    else if (event.type === "resync") {
      position = event.last;
      if (event.gap) gaps++;
    } else if (event.type === "message") {
      if (event.prev !== position) gaps++;
      position = event.id;
    }
  }
  return gaps;
}
