import { Keys } from "../../../chat/store/redis/keys.ts";
import { type Instance, messageOf, startInstance } from "../instance.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { until } from "../wait.ts";
import { Dice } from "./dice.ts";
import { jsonEvents, rawFrames } from "./frames.ts";
import { ATTACKED, type Kind, MEDDLED, QUIET } from "./kind.ts";
import { entries, keys, payloads } from "./redis_inputs.ts";
import { handshakes, httpRequests } from "./requests.ts";
import { Witnesses } from "./witnesses.ts";

// deno-lint-ignore no-explicit-any -- each kind makes its own inputs, and runs them
const KINDS: Readonly<Record<string, Kind<any>>> = {
  ...{ handshakes, rawFrames, jsonEvents, httpRequests, payloads, entries, keys },
};

const KIND_NAMES = Object.entries(KINDS)
  .flatMap(([name, { share }]) => new Array<string>(share).fill(name));

/** How many batches run at a time. */
const LANES = 16;

/** A run of so many inputs waits until the memory has returned, for a minute at most. */
const LONG_RUN = 100_000;

/** How much of the inputs of a batch is shown. */
const MAX_SHOWN_CHARS = 200;

/** A line of the log that no input may cause. */
const UNEXPECTED = /nobody expected|request failed|join failed|panicked|Uncaught|^ +at /;

/** What a run has found. */
export interface Outcome {
  /** How many inputs there were of each kind. */
  readonly counts: Readonly<Record<string, number>>;
  /** How many messages the honest users have exchanged meanwhile. */
  readonly messages: number;
  readonly seconds: number;
  /** The memory of each server in MiB: after a tenth of the inputs, and at the end. */
  readonly memory: readonly (readonly [before: number, after: number])[];
  /** What went wrong; empty if nothing did. */
  readonly problems: readonly string[];
}

/**
 * Sends many hostile inputs to two servers that share a Redis, one with the default limits and one
 * without, while honest users talk.
 *
 * @param seed decides what the inputs are
 * @param count how many inputs to send, about
 * @param first the number of the first batch, to repeat one
 */
export async function fuzz(seed: number, count: number, first = 0): Promise<Outcome> {
  await using redis = await startRedis();
  await using limited = await startInstance({ ...redis.env, LIMITS: "on", TRUST_PROXY: "1" });
  await using unlimited = await startInstance(redis.env);
  const instances = [limited, unlimited];
  const witnesses = [
    await Witnesses.join(QUIET, limited.port, unlimited.port),
    await Witnesses.join(ATTACKED, unlimited.port, limited.port),
    await Witnesses.join(MEDDLED, limited.port, unlimited.port),
  ];
  const start = performance.now();
  const counts: Record<string, number> = {};
  const problems: string[] = [];
  const running = new Map<number, string>();
  const memoryBefore = Promise.withResolvers<number[]>();
  let next = first, sent = 0, linesRead = instances.map(() => 0);

  async function runBatch(): Promise<void> {
    const batch = next++;
    const dice = new Dice(Math.imul(seed, 1_000_003) + batch);
    const name = dice.pick(KIND_NAMES);
    const { size, make, run } = KINDS[name];
    const inputs = Array.from({ length: 1 + dice.below(size) }, () => make(dice));
    sent += inputs.length;
    counts[name] = (counts[name] ?? 0) + inputs.length;
    running.set(batch, `batch ${batch}, ${name}: ${abridge(JSON.stringify(inputs))}`);
    const room = name === "payloads" ? 1 : 2;
    const address = dice.chance(0.1) ? "127.9.9.9" : `127.1.${dice.below(256)}.${dice.below(256)}`;
    await run(inputs, {
      port: dice.pick(instances).port,
      address,
      last: () => witnesses[room].last,
      redis: redis.command as (...words: unknown[]) => Promise<unknown>,
    }).catch((error) => problems.push(`${running.get(batch)}\n${error}`));
    findUnexpected();
    running.delete(batch);
    if (sent >= count / 10) memoryBefore.resolve(instances.map(measureMemory));
  }

  function findUnexpected(): void {
    const found = witnesses.flatMap(({ room, problems }) =>
      problems.splice(0).map((problem) => `in the room ${room}, ${problem}`)
    );
    linesRead = instances.map(({ output }, i) => {
      const lines = output.all.slice(linesRead[i]);
      found.push(...lines.filter((line) => UNEXPECTED.test(messageOf(line))));
      return output.all.length;
    });
    if (found.length > 0 && problems.length === 0) problems.push(...running.values());
    problems.push(...found);
  }

  await Promise.all(Array.from({ length: LANES }, async () => {
    while (sent < count && problems.length === 0) await runBatch();
  }));
  const seconds = (performance.now() - start) / 1000;
  const messages = witnesses.reduce((sum, { sent }) => sum + sent, 0);
  if (problems.length === 0) await Promise.all(witnesses.map((pair) => pair.finish()));
  findUnexpected();
  await Promise.all(witnesses.map((pair) => pair.leave()));
  if (problems.length > 0) return { counts, messages, seconds, memory: [], problems };
  for (const instance of instances) {
    await until(async () => (await fetch(`${instance.http}/readyz`)).ok, 100)
      .catch(() => problems.push("an instance is not ready any more"));
  }
  problems.push(...await findKeys(redis));
  const before = await memoryBefore.promise;
  const hasReturned = () => instances.every((one, i) => measureMemory(one) <= before[i] * 1.2);
  if (count >= LONG_RUN) await until(hasReturned, 500).catch(() => {});
  const memory = instances.map((one, i) => [before[i], measureMemory(one)] as const);
  return { counts, messages, seconds, memory, problems };
}

/** Shortens repetitions, and the whole. */
function abridge(text: string): string {
  return text.replace(/(.{1,12}?)\1{9,}/g, (all, one) => `${one}×${all.length / one.length}`)
    .slice(0, MAX_SHOWN_CHARS);
}

function measureMemory({ pid }: Instance): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

/** Finds keys that nobody should have left, once all users have left their rooms. */
async function findKeys(redis: TestRedis): Promise<string[]> {
  const expected = new Keys({ prefix: "", database: 0 });
  const read = async () => {
    const all = await redis.command("KEYS", "*") as string[];
    return all.filter((key) =>
      // That a room was shared is remembered for as long as its log may live.
      !expected.typeOf(key) || /users(?!.*:shared$)/.test(key) && !key.includes(MEDDLED)
    );
  };
  await until(async () => (await read()).length === 0, 100).catch(() => {});
  return (await read()).map((key) => `Redis still has ${key}`);
}
