/**
 * Minutes of random kills, pauses and churn, and then 20 conversations that are cut off again and again:
 * `deno task soak [MINUTES] [SEED] [CONVERSATIONS]`. Ends with exit code 1 unless, when all is quiet again, Redis has
 * exactly those who are connected, the one instance that was never killed uses no more memory than after the first
 * minute (within 20 %), and in each conversation everyone got every message once and in the same order.
 */
import { TextClient } from "../support/text_client.ts";
import { chatWithFaults } from "../support/fault_injection.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { makeRandom } from "../support/random.ts";
import { startRedis } from "../support/redis.ts";

const MINUTE = 60_000;
const minutes = Number(Deno.args[0] ?? 5);
const seed = Number(Deno.args[1] ?? Date.now() % 1_000_000);

const conversations = Number(Deno.args[2] ?? 20);

const random = makeRandom(seed);
const below = (most: number) => Math.floor(random() * most);
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The least memory that a process uses in ten seconds, in MiB: what lies above it is garbage that comes and goes. */
async function memoryOf(pid: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 100; i++, await sleep(100)) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    least = Math.min(least, Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024);
  }
  return least;
}

const redis = await startRedis();
const instances: Instance[] = await Promise.all([1, 2, 3].map(() => startInstance(redis.env)));
const online = new Map<TextClient, string>();
const pauses = new Set<Promise<void>>();
const done = { joins: 0, refusals: 0, leaves: 0, messages: 0, kills: 0, stalls: 0, outages: 0 };

async function join(): Promise<void> {
  const { port } = instances[below(3)];
  const name = `user-${below(400)}`;
  const client = new TextClient(port, name);
  // A crowd that stays for minutes must not fill this process with what it heard.
  const keepsNothing = setInterval(() => client.frames.splice(0), 1_000);
  let isClosed = false;
  client.closed.then(() => {
    isClosed = true;
    online.delete(client);
    clearInterval(keepsNothing);
  });
  const first = await client.next().catch(() => "closed");
  if (first !== `Welcome ${name}!`) return void done.refusals++;
  done.joins++;
  // The close may have been read together with the welcome.
  if (!isClosed) online.set(client, name);
}

function anyone(): TextClient | undefined {
  return [...online.keys()][below(online.size)];
}

let killing = false;
async function kill(): Promise<void> {
  if (killing) return;
  killing = true;
  const slot = 1 + below(2);
  await instances[slot][Symbol.asyncDispose]();
  done.kills++;
  // While Redis hangs a start fails, as it should.
  let next: Instance | undefined;
  while (!next) next = await startInstance(redis.env).catch(() => undefined);
  instances[slot] = next;
  killing = false;
}

function pause(process: { signal(signal: Deno.Signal): void }, milliseconds: number): void {
  process.signal("SIGSTOP");
  const over = sleep(milliseconds).then(() => process.signal("SIGCONT"));
  pauses.add(over);
  over.then(() => pauses.delete(over));
}

function act(): Promise<void> | void {
  const dice = random();
  if (online.size < 150 || dice < 0.4) return join();
  if (dice < 0.7) return done.leaves++, anyone()?.leave();
  if (dice < 0.996) return done.messages++, anyone()?.send("x".repeat(below(2_000)));
  if (pauses.size > 0) return;
  if (dice < 0.998) return kill();
  if (dice < 0.999) return done.stalls++, pause(instances[below(3)], below(16_000));
  return done.outages++, pause(redis.process, below(6_000));
}

// The worst that chance has in store for the instance whose memory is looked at: what came during its longest stall, all
// at once. What malloc has taken for that it keeps, and so it belongs into the first minute.
setTimeout(() => pause(instances[0], 16_000), 5_000);
setTimeout(() => pause(redis.process, 6_000), 30_000);

console.log(`soaking for ${minutes} minutes with seed ${seed}`);
const start = Date.now();
let memoryThen: number | undefined;
async function report(): Promise<void> {
  const memory = await memoryOf(instances[0].pid);
  memoryThen ??= memory;
  console.log(`${online.size} online, ${memory.toFixed(0)} MiB, ${JSON.stringify(done)}`);
}
for (let due = start + MINUTE; Date.now() < start + minutes * MINUTE; await sleep(below(5))) {
  Promise.resolve(act()).catch(() => {});
  if (Date.now() < due) continue;
  due += MINUTE;
  report();
}

await Promise.all(pauses);
while (killing) await sleep(100);
// Whatever is dead by now is freed, and whoever lost a name is told, within a lease's life and a look.
await sleep(15_000);
const seen = JSON.stringify(await redis.users());
const right = JSON.stringify([...online.values()].sort());
const memoryNow = await memoryOf(instances[0].pid);
console.log(JSON.stringify(done));
console.log(
  `memory: ${memoryThen?.toFixed(0)} MiB after the first minute, ${memoryNow.toFixed(0)} MiB now`,
);
if (seen !== right) console.error(`WRONG: Redis has ${seen}\nbut online are ${right}`);
const grew = memoryThen !== undefined && memoryNow > memoryThen * 1.2;
if (grew) console.error("WRONG: the memory grew by more than 20 %");
if (seen === right && !grew) {
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
Deno.exit(seen === right && !grew && wrong === 0 ? 0 : 1);
