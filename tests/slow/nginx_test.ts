/**
 * The server behind Debian's nginx with deploy/nginx.conf. `NGINX_ATTACK=long` attacks it with ten
 * times as many connections.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { countSockets, type Instance, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { freePort } from "../support/ports.ts";
import { run, type Running } from "../support/process.ts";
import { startRedis } from "../support/redis.ts";
import { joinTalkers } from "../support/talkers.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { until } from "../support/wait.ts";

const NGINX = "/usr/sbin/nginx";

const CONFIG = new URL("../../deploy/nginx.conf", import.meta.url);

const ATTACK_SIZE = Deno.env.get("NGINX_ATTACK") === "long" ? 1 : 0.1;

interface Nginx extends AsyncDisposable {
  readonly port: number;
  /** Returns the access log and the error log. */
  readLogs(): Promise<string>;
}

/** Starts nginx with the configuration of deploy/, on other ports. */
async function startNginx(serverPort: number): Promise<Nginx> {
  const folder = await Deno.makeTempDir({ prefix: "nginx-" });
  const port = freePort();
  const changes = {
    "listen 80": `listen 127.0.0.1:${port}`,
    "server 127.0.0.1:8080": `server 127.0.0.1:${serverPort}`,
    "/var/log/nginx/access.log": `${folder}/access.log`,
    "/var/log/nginx/error.log": `${folder}/error.log`,
    "worker_rlimit_nofile 65536;": "",
    "worker_connections 32768;": "worker_connections 16384;",
  };
  let config = await Deno.readTextFile(CONFIG);
  for (const [before, after] of Object.entries(changes)) {
    assertEquals(config.split(before).length, 2, before);
    config = config.replace(before, after);
  }
  await Deno.writeTextFile(`${folder}/nginx.conf`, config);
  const args = ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", "stderr"];
  const nginx = run(NGINX, [...args, "-g", `daemon off; pid ${folder}/pid;`]);
  await Promise.race([
    until(() => isListening(port), 20),
    nginx.exit.then(async () =>
      assert(false, `apt-get install nginx? ${await nginx.output.end()}`)
    ),
  ]);
  return {
    port,
    async readLogs() {
      const logs = ["access", "error"].map((log) => Deno.readTextFile(`${folder}/${log}.log`));
      return (await Promise.all(logs)).join("\n");
    },
    async [Symbol.asyncDispose]() {
      nginx.signal("SIGTERM");
      await Promise.all([nginx.exit, nginx.output.end()]);
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

function attack(port: number, count: number, seconds: number, kind: string): Running {
  const program = new URL("../support/attacker.ts", import.meta.url).pathname;
  const numbers = [port, Math.round(count * ATTACK_SIZE), seconds].map(String);
  return run(Deno.execPath(), ["run", "-A", program, ...numbers, kind]);
}

function percentile(values: readonly number[], share: number): string {
  return `${values.toSorted((a, b) => a - b)[Math.floor(values.length * share)].toFixed(1)} ms`;
}

/** Returns how much memory a process has had at most. */
function peakMib({ pid }: Instance): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

Deno.test("behind nginx, a conversation goes on, and the logs have no query", async () => {
  await using instance = await startInstance({
    TRUST_PROXY: "1",
    MAX_CONNECTIONS_PER_ADDRESS: "2",
  });
  await using nginx = await startNginx(instance.port);
  const foo = await TextClient.join(nginx.port, "foo");
  const bar = await JsonClient.join(nginx.port, "bar");
  await bar.publish("hi");
  await foo.until("bar: hi");
  const url = `http://127.0.0.1:${nginx.port}/chat/baz?token=topsecret`;
  const refused = await fetch(url, { headers: { "x-forwarded-for": "192.0.2.1" } });
  assertEquals([refused.status, await refused.text()], [
    429,
    "too many connections are open from your address\n",
  ]);
  await foo.leave();
  await bar.leave();
  assert(instance.output.all.every((line) => !line.includes("TRUST_PROXY")));
  await instance[Symbol.asyncDispose]();
  const away = await fetch(url);
  await away.body?.cancel();
  assertEquals(away.status, 502);
  await until(async () => (await nginx.readLogs()).includes('"GET /chat/baz" 502'), 20);
  const logs = await nginx.readLogs();
  assert(logs.includes('"GET /chat/baz" 429') && !logs.includes("topsecret"), logs);
});

Deno.test("behind nginx, a token may be as long as without it", async () => {
  await using instance = await startInstance({ AUTH_SECRET: SECRET, TRUST_PROXY: "1" });
  await using nginx = await startNginx(instance.port);
  const token = await makeToken({ more: "x".repeat(5_990) });
  assertEquals(8_100 < token.length && token.length < 8_192, true, `${token.length}`);
  await using client = new ChatClient(`ws://127.0.0.1:${nginx.port}`, "foo", { token });
  await deadline(client.ready, 10_000);
  const response = await fetch(`http://127.0.0.1:${nginx.port}/rooms/red/users?token=${token}`);
  assertEquals((await response.text(), response.status), 200);
});

Deno.test("behind nginx, hostile connections leave no descriptors, and users talk on", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, LIMITS: "on", TRUST_PROXY: "1" });
  await using nginx = await startNginx(instance.port);
  const talkers = await joinTalkers(nginx.port, 20);
  await until(() => talkers.latenciesMs.length >= 100, 100);
  const before = countSockets(instance);
  const calm = talkers.latenciesMs.splice(0);
  const seconds = Math.ceil(60 * ATTACK_SIZE);
  const attackers = [
    attack(nginx.port, 10_000, seconds, "idle@127.0.1.1"),
    attack(nginx.port, 5_000, seconds, "half@127.0.1.2"),
    attack(nginx.port, 20_000, seconds, "reset@127.0.1.3"),
    attack(nginx.port, 150, seconds, "websocket@127.0.1.4"),
    attack(nginx.port, 150, seconds, "websocket@127.0.1.5"),
    attack(nginx.port, 50, seconds, "behind@127.0.1.6"),
    attack(nginx.port, 50, seconds, "chunks@127.0.1.7"),
  ];
  for (const attacker of attackers) {
    assertEquals((await attacker.exit).code, 0);
    console.log((await attacker.output.end()).at(-1));
  }
  const attacked = talkers.latenciesMs.splice(0);
  console.log(`${countSockets(instance)} sockets after the attack, ${before} before`);
  assert(peakMib(instance) < 500, `${peakMib(instance)} MiB of memory`);
  await until(() => countSockets(instance) <= before, 100).finally(() => {
    console.log(`${countSockets(instance)} sockets in the end`);
  });
  for (const [when, values] of Object.entries({ calm, attacked })) {
    console.log(`${when}: p50 ${percentile(values, 0.5)}, p99 ${percentile(values, 0.99)}`);
  }
  await talkers.assertNothingLost();
  console.log(instance.output.all.join("\n"));
  await Promise.all(talkers.clients.map((client) => client.leave()));
});
