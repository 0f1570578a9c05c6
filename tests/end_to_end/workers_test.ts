import { assert, assertEquals, assertRejects } from "@std/assert";
import { RpcChannel } from "../../chat/workers/rpc_channel.ts";
import type { WorkerRequest } from "../../chat/workers/worker.ts";
import { joinMany } from "../support/recording_client.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { launch, messageOf, startInstance } from "../support/instance.ts";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/redis.ts";
import { sleep } from "../support/wait.ts";

Deno.test("two workers share a port, a chat and a shutdown", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, WORKERS: "2" });
  const names = Array.from({ length: 60 }, (_, i) => `user-${i}`);
  const clients = await joinMany(names, (name) => TextClient.join(instance.port, name));
  await untilCaughtUp(redis, clients);
  const owners = await redis.command("HMGET", "{chat-users}:owners", ...names) as string[];
  const shares = [...Map.groupBy(owners, (owner) => owner.split(" ")[0]).values()].map((some) =>
    some.length
  );
  assertEquals(shares.length, 2, "each worker has some of the sessions");
  console.log(`60 sessions are shared ${shares.join(" to ")}`);

  clients.forEach((client) => client.clear());
  for (const [i, client] of clients.entries()) client.send(`message of ${i}`);
  await Promise.all(clients.map((client) => client.received(59)));
  await untilCaughtUp(redis, clients);
  for (const client of clients) assertEquals(client.frames.length, 59);

  instance.signal("SIGTERM");
  assertEquals((await instance.exit).code, 0);
  for (const client of clients) assertEquals((await client.closed).code, 1001);
  assertEquals(await redis.users(), []);
  assertEquals(await redis.command("KEYS", "chat-*"), []);
  assertEquals(
    (await instance.output.end()).filter((line) => / Listening on /.test(line)).length,
    1,
  );
});

Deno.test("workers are ready only if all of them are", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, WORKERS: "2" });
  const ask = async (path: string) => {
    const response = await fetch(`${instance.http}${path}`, { headers: { connection: "close" } });
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await ask("/readyz"), 200);
  // One of the two loses its connection, and both report it.
  const [first] = (await redis.command("CLIENT", "LIST") as string).split("\n")
    .filter((line) => line.includes("name=chat-subscriber"));
  const id = /^id=(\d+)/.exec(first)![1];
  await redis.command("ACL", "SETUSER", "default", "-subscribe");
  await redis.command("CLIENT", "KILL", "ID", id);
  for (let i = 0; i < 20; i++) assertEquals(await ask("/readyz"), 503);
  assertEquals(await ask("/healthz"), 200);
  await redis.command("ACL", "SETUSER", "default", "+subscribe");
  while (await ask("/readyz") !== 200) await sleep(20);
});

Deno.test("a worker is not ready before it has started", async () => {
  const url = new URL("../../chat/workers/worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const channel = new RpcChannel<WorkerRequest>(worker, () => Promise.resolve());
  await assertRejects(() => channel.call({ method: "ready" }), Error, "has not started");
  worker.terminate();
});

Deno.test("if workers cannot start, the process ends with one line", async () => {
  const port = freePort();
  await using away = launch({
    ...{ HOST: "127.0.0.1", PORT: "0", WORKERS: "2" },
    REDIS_HOST: `127.0.0.1:${port}`,
  });
  assertEquals((await away.exit).code, 1);
  const lines = (await away.output.end()).map(messageOf);
  assertEquals(lines.length, 1, lines.join("\n"));
  assert(lines[0].startsWith(`cannot use Redis at 127.0.0.1:${port}, TLS off: `), lines[0]);

  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using redis = await startRedis();
  await using taken = launch({
    ...{ HOST: "127.0.0.1", PORT: `${listener.addr.port}`, WORKERS: "2" },
    ...redis.env,
  });
  assertEquals((await taken.exit).code, 1);
  const printed = (await taken.output.end()).map(messageOf);
  assertEquals(printed.length, 1, printed.join("\n"));
  assert(printed[0].startsWith(`cannot start at HOST 127.0.0.1 and PORT ${listener.addr.port}: `));
});
