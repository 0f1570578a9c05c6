import { assertEquals } from "@std/assert";
import { healthCheck } from "../support/dockerfile.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { freePort } from "../support/ports.ts";
import { run } from "../support/process.ts";
import { untilNotReady } from "../support/readiness.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";

/** Runs the image's health check against a server, and returns its exit code and its output. */
async function check(
  { port }: Pick<Instance, "port">,
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const [deno, ...args] = healthCheck;
  assertEquals(deno, "deno");
  const settings = { HOST: "127.0.0.1", PORT: `${port}`, ...env };
  await using process = run(Deno.execPath(), args, settings);
  const { code } = await process.exit;
  return { code, output: (await process.output.end()).join("\n") };
}

const HEALTHY = { code: 0, output: "HTTP/1.0 200 OK" };

Deno.test("the health check succeeds if the server responds, whatever proxy is set", async () => {
  await using instance = await startInstance();
  const proxy = `http://127.0.0.1:${freePort()}`;
  assertEquals(await check(instance), HEALTHY);
  assertEquals(await check(instance, { HTTP_PROXY: proxy, http_proxy: proxy }), HEALTHY);
});

for (const host of ["", "0.0.0.0", "127.0.0.2", "::", "::1"]) {
  Deno.test(`the health check finds a server with HOST=${host}`, async () => {
    await using instance = await startInstance({ HOST: host });
    assertEquals(await check(instance, { HOST: host }), HEALTHY);
  });
}

Deno.test("the health check fails if nothing listens", async () => {
  assertEquals((await check({ port: freePort() })).code, 1);
});

Deno.test("the health check fails if the server hangs", async () => {
  await using instance = await startInstance({}, { mayBeStopped: true });
  instance.signal("SIGSTOP");
  assertEquals(await check(instance), { code: 1, output: "no response within 4000 ms" });
});

Deno.test("the health check fails if another server responds with an error", async () => {
  await using other = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return new Response("not here", { status: 404 });
  });
  assertEquals(await check(other.addr), { code: 1, output: "HTTP/1.0 404 Not Found" });
});

Deno.test("the health check succeeds while Redis is away", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  redis.process.signal("SIGSTOP");
  await untilNotReady(instance);
  assertEquals(await check(instance), HEALTHY);
});

Deno.test("the health check fails while the server shuts down", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const foo = await TextClient.join(instance.port, "foo");
  // The server waits for Redis, so that it still runs after the check.
  redis.process.signal("SIGSTOP");
  let ended = false;
  instance.exit.then(() => ended = true);
  instance.signal("SIGTERM");
  await instance.output.find(/ Stopping/);
  const { code } = await check(instance);
  assertEquals({ code, ended }, { code: 1, ended: false });
  assertEquals((await instance.exit).code, 0);
  await foo.closed;
});
