/**
 * Injects faults for minutes, and checks at the end that nothing is lost: `deno task soak [MINUTES]
 * [SEED] [CONVERSATIONS]`.
 *
 * First, clients join, leave and publish while instances are killed and processes are paused. A
 * user has up to three devices. Then Redis must have exactly the devices that are connected. The
 * one instance that is never killed may use at most 20 % more memory than after the first minute.
 * After that come the conversations of {@linkcode chatWithFaults}. The exit code is 1 if any of
 * this fails.
 */
import { chatWithFaults } from "../support/fault_injection.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { makeRandom } from "../support/random.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { sleep } from "../support/wait.ts";

const MINUTE_MS = 60_000;
const minutes = Number(Deno.args[0] ?? 5);
const seed = Number(Deno.args[1] ?? Date.now() % 1_000_000);
const conversations = Number(Deno.args[2] ?? 20);

const random = makeRandom(seed);
const below = (limit: number) => Math.floor(random() * limit);

/** Measures the least memory, in MiB, that a process uses within ten seconds: without garbage. */
async function measureMemory(pid: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 100; i++, await sleep(100)) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    least = Math.min(least, Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024);
  }
  return least;
}

const redis = await startRedis();
const env = { ...redis.env, AUTH_SECRET: SECRET, MAX_DEVICES: "3" };
const instances: Instance[] = await Promise.all([1, 2, 3].map(() => startInstance(env)));
const online = new Map<TextClient, string>();
const pauses = new Set<Promise<void>>();
const counts = { joins: 0, refusals: 0, leaves: 0, messages: 0, kills: 0, stalls: 0, outages: 0 };

async function join(): Promise<void> {
  const { port } = instances[below(3)];
  const name = `user-${below(150)}`;
  const client = new TextClient(port, name, { token: await makeToken({ sub: name }) });
  // Clients that stay for minutes must not fill the memory of this process.
  const clearing = setInterval(() => client.frames.splice(0), 1_000);
  let isClosed = false;
  client.closed.then(() => {
    isClosed = true;
    online.delete(client);
    clearInterval(clearing);
  });
  const first = await client.next().catch(() => "closed");
  if (first !== `Welcome ${name}!`) return void counts.refusals++;
  counts.joins++;
  // The connection may have been closed right after the welcome.
  if (!isClosed) online.set(client, name);
}

function pick(): TextClient | undefined {
  return [...online.keys()][below(online.size)];
}

let isKilling = false;
async function kill(): Promise<void> {
  if (isKilling) return;
  isKilling = true;
  const slot = 1 + below(2);
  await instances[slot][Symbol.asyncDispose]();
  counts.kills++;
  // An instance does not start while Redis is paused.
  let next: Instance | undefined;
  while (!next) next = await startInstance(env).catch(() => undefined);
  instances[slot] = next;
  isKilling = false;
}

function pause(process: { signal(signal: Deno.Signal): void }, milliseconds: number): void {
  process.signal("SIGSTOP");
  const pausing = sleep(milliseconds).then(() => process.signal("SIGCONT"));
  pauses.add(pausing);
  pausing.then(() => pauses.delete(pausing));
}

function act(): Promise<void> | void {
  const dice = random();
  if (online.size < 150 || dice < 0.4) return join();
  if (dice < 0.7) return counts.leaves++, pick()?.leave();
  if (dice < 0.996) return counts.messages++, pick()?.send("x".repeat(below(2_000)));
  if (pauses.size > 0) return;
  if (dice < 0.998) return kill();
  if (dice < 0.999) return counts.stalls++, pause(instances[below(3)], below(16_000));
  return counts.outages++, pause(redis.process, below(6_000));
}

// The longest pauses come in the first minute. What arrives during a pause is handled all at once
// after it. malloc keeps the memory that this takes, so it must be part of the first measurement.
setTimeout(() => pause(instances[0], 16_000), 5_000);
setTimeout(() => pause(redis.process, 6_000), 30_000);

console.log(`soaking for ${minutes} minutes with seed ${seed}`);
const start = Date.now();
let memoryBefore: number | undefined;
async function report(): Promise<void> {
  const memory = await measureMemory(instances[0].pid);
  memoryBefore ??= memory;
  console.log(`${online.size} online, ${memory.toFixed(0)} MiB, ${JSON.stringify(counts)}`);
}
for (let due = start + MINUTE_MS; Date.now() < start + minutes * MINUTE_MS; await sleep(below(5))) {
  Promise.resolve(act()).catch(() => {});
  if (Date.now() < due) continue;
  due += MINUTE_MS;
  report();
}

await Promise.all(pauses);
while (isKilling) await sleep(100);
// Within this time dead instances are reaped, and users who have lost their names are disconnected.
await sleep(15_000);
const owners = await redis.command("HGETALL", "{chat-users}:owners") as string[];
const devices = owners.flatMap((owner, i) =>
  i % 2 === 0 ? [] : owner.split("\n").map(() => owners[i - 1])
);
const names = [...online.values()].sort();
const actual = JSON.stringify([devices.sort(), await redis.users()]);
const expected = JSON.stringify([names, [...new Set(names)]]);
const memoryAfter = await measureMemory(instances[0].pid);
console.log(JSON.stringify(counts));
const [before, after] = [memoryBefore, memoryAfter].map((memory) => `${memory?.toFixed(0)} MiB`);
console.log(`memory: ${before} after the first minute, ${after} now`);
if (actual !== expected) console.error(`WRONG: Redis has ${actual}\nbut online are ${expected}`);
const grew = memoryBefore !== undefined && memoryAfter > memoryBefore * 1.2;
if (grew) console.error("WRONG: the memory grew by more than 20 %");
if (actual === expected && !grew) {
  console.log(`right: Redis has exactly the ${online.size} who are online`);
}

for (const process of [...instances, redis]) await process[Symbol.asyncDispose]();

let wrong = 0;
for (let first = 0; first < conversations; first += 4) {
  const seeds = Array.from(
    { length: Math.min(4, conversations - first) },
    (_, i) => seed + first + i,
  );
  await Promise.all(seeds.map(async (seed) => {
    try {
      const { faults, seconds } = await chatWithFaults(seed, 10_000, 20);
      console.log(`seed ${seed}: right after ${seconds.toFixed(0)} s with ${faults}`);
    } catch (error) {
      wrong++;
      console.error(`WRONG: seed ${seed}: ${(error as Error).message.slice(0, 2_000)}`);
    }
  }));
}
Deno.exit(actual === expected && !grew && wrong === 0 ? 0 : 1);
