import { assertEquals } from "@std/assert";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { frame, RawClient } from "../support/raw_client.ts";
import { startRedis } from "../support/redis.ts";

const [CONTINUATION, TEXT] = [0, 1];

/** More than the longest string of V8, 512 MiB. */
const FRAGMENTS = 513;
const FRAGMENT = new Uint8Array(1024 * 1024).fill(0x78);

for (const workers of ["1", "2"]) {
  Deno.test(`513 MiB in fragments end only their session, WORKERS=${workers}`, async () => {
    await using redis = await startRedis();
    const env = { ...redis.env, WORKERS: workers, IDLE_SECONDS: "20" };
    await using instance = await startInstance(env);
    const watcher = await JsonClient.join(instance.port, "watcher");
    const talker = await JsonClient.join(instance.port, "talker");
    const hostile = await RawClient.join(instance.port, "hostile");
    await hostile.write(frame(TEXT, FRAGMENT, { isLast: false }));
    const middle = frame(CONTINUATION, FRAGMENT, { isLast: false });
    for (let i = 2; i < FRAGMENTS; i++) await hostile.write(middle);
    await hostile.write(frame(CONTINUATION, FRAGMENT));

    await assertLogged(instance, rowOf("a client sends more than Deno can hold").lines);
    await talker.publish("still here");
    await watcher.find("message", ({ text }) => text === "still here");
    await watcher.find("left", ({ user }) => user === "hostile");
    await hostile.ended();
    hostile.close();
    await (await JsonClient.join(instance.port, "hostile")).leave();
    await Promise.all([watcher, talker].map((client) => client.leave()));
    instance.signal("SIGTERM");
    assertEquals((await instance.exit).code, 0);
    const stack = (await instance.output.end()).filter((line) => /^ +at /.test(line));
    console.log(stack.join("\n"));
  });
}
