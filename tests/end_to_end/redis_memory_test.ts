import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startRedis } from "../support/redis.ts";

const MIB = 2 ** 20;

Deno.test("a room takes little more than HISTORY_BYTES in Redis, whatever is sent", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, HISTORY_BYTES: `${4 * MIB}` });
  const foo = await JsonClient.join(instance.port, "foo");
  // As JSON, each NUL has six characters.
  const text = "\0".repeat(10 * 1024);
  const sizes: number[] = [];
  for (let n = 0; n < 16 * MIB / (60 * text.length); n++) {
    await Promise.all(Array.from({ length: 10 }, () => foo.publish(text)));
    foo.events.length = 0;
    const usage = await redis.command("MEMORY", "USAGE", "{chat}:log", "SAMPLES", "0");
    sizes.push(usage as number / MIB);
  }
  const highest = Math.max(...sizes);
  assert(highest > 3.5 && highest <= 1.2 * 4, `${highest} MiB, ${sizes.at(-1)} at the end`);
  await foo.leave();
});

Deno.test("50,000 refs of one user take one key", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const foo = await JsonClient.join(instance.port, "foo");
  const keysBefore = await redis.command("DBSIZE") as number;
  for (let n = 0; n < 50_000; n += 500) {
    const refs = Array.from({ length: 500 }, (_, i) => `${n + i}`.padStart(64, "-"));
    foo.send(...refs.map((ref) => ({ type: "message", text: "a", ref })));
    await foo.find("ack", ({ ref }) => ref === refs.at(-1));
    foo.events.length = 0;
  }
  // The log, and the refs of the last five minutes.
  assertEquals(await redis.command("DBSIZE"), keysBefore + 2);
  const bytes = await redis.command("MEMORY", "USAGE", "{chat}:refs:foo:0", "SAMPLES", "0");
  assert(bytes as number < 50_000 * 250, `${bytes}`);
  assertEquals(await redis.command("HLEN", "{chat}:refs:foo:0"), 50_000);
  await foo.leave();
});
