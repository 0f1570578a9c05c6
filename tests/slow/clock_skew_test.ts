import { assert, assertEquals } from "@std/assert";
import { CLOCK_ONE_HOUR_AHEAD, type Instance, startInstance } from "../support/instance.ts";
import { startRedis } from "../support/redis.ts";
import { countLeft, TextClient } from "../support/text_client.ts";
import { sleep } from "../support/wait.ts";

/** Reads the clock of an instance from the date of a response. */
async function readClock({ http }: Instance): Promise<number> {
  const { headers, body } = await fetch(http);
  await body?.cancel();
  return Date.parse(headers.get("date")!);
}

Deno.test("instances whose clocks differ by an hour agree on the users in a room", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance({ ...redis.env, ...CLOCK_ONE_HOUR_AHEAD });
  const skewMs = await readClock(two) - await readClock(one);
  assert(skewMs > 3_500_000, "faketime is not installed");
  const here = await TextClient.join(one.port, "here");
  await TextClient.join(two.port, "there");
  // Longer than a lease lasts: neither instance may reap the other.
  const end = performance.now() + 12_000;
  while (performance.now() < end) {
    assertEquals(await redis.users(), ["here", "there"]);
    assertEquals((await redis.instances()).length, 2);
    assertEquals(await redis.command("EXISTS", "chat-reaped"), 0);
    await sleep(500);
  }
  two.signal("SIGKILL");
  await here.until("there: has left the chat!");
  assertEquals(await redis.users(), ["here"]);
  assertEquals(countLeft(here.frames), new Map([["there", 1]]));
  await here.leave();
});
