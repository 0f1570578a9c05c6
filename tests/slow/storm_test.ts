import { assert } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { run } from "../support/process.ts";
import { sleep } from "../support/wait.ts";

/** How many messages are timed, and how long is between them. */
const COUNT = 200;
const INTERVAL_MS = 50;

/** Nine of ten messages must be faster than this. Without portions it was 161 ms. */
const MAX_MS = 50;

Deno.test("frames of 1,000 lines delay no other client, and their sender is cut off", async () => {
  await using instance = await startInstance({ LIMITS: "on" });
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user) => JsonClient.join(instance.port, user)),
  );
  const program = new URL("../support/storm.ts", import.meta.url).pathname;
  await using storm = run(Deno.execPath(), ["run", "-A", program, `${instance.port}`, "600000"]);
  await storm.output.find(/^joined$/);
  const times: number[] = [];
  for (let i = 0; i < COUNT; i++) {
    const start = performance.now();
    const isNext = ({ text }: { text: string }) => text === `${i}`;
    foo.send({ type: "message", text: `${i}` });
    await bar.find("message", isNext);
    times.push(performance.now() - start);
    await sleep(INTERVAL_MS);
  }
  times.sort((a, b) => a - b);
  const slowest = times[Math.ceil(COUNT * 0.9)];
  assert(slowest < MAX_MS, `${slowest} ms`);
  await storm.output.find(/^disconnected$/);
  await Promise.all([foo.leave(), bar.leave()]);
});
