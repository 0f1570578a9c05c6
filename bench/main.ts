/**
 * Measures this server and its peers in one run on one Redis.
 *
 * `deno task bench [--quick] [--rounds=N] [--limits] [--against=DIR] [NAMES…]`
 *
 * - NAMES of scenarios and of systems restrict the run to these.
 * - `--limits` runs this build with all limits of clients, at values that nothing meets. Otherwise
 *   they are off, as they are in the base build.
 * - `--against=DIR` adds the build in another checkout to fan-out and publish-rate, as `JSON base`
 *   and `text base`. The table ends with the ratio of the two builds.
 *
 * The results of a complete run go to `bench/results`, those of any other run to
 * `bench/results/partial`.
 *
 * @module
 */
import { Bench, type Scenario } from "./bench.ts";
import { drawChart } from "./chart.ts";
import { commitOf, describeMachine } from "./machine.ts";
import { pinSelf } from "./process.ts";
import type { Failure, Measured, Results } from "./results.ts";
import { ceiling } from "./scenarios/ceiling.ts";
import { fanOut } from "./scenarios/fan_out.ts";
import { idleMemory } from "./scenarios/idle_memory.ts";
import { joinStorm } from "./scenarios/join_storm.ts";
import { paced } from "./scenarios/paced.ts";
import { publishRate } from "./scenarios/publish_rate.ts";
import { resumeStorm } from "./scenarios/resume_storm.ts";
import { slowReaders } from "./scenarios/slow_readers.ts";
import { workers } from "./scenarios/workers.ts";
import { type System, withBase } from "./systems.ts";
import { writeTable } from "./table.ts";

const SCENARIOS: readonly Scenario[] = [
  fanOut,
  paced,
  joinStorm,
  idleMemory,
  slowReaders,
  workers,
  publishRate,
  resumeStorm,
  ceiling,
];

/** The rounds of a complete run. What varies most is measured in several turns of each round. */
const FULL_ROUNDS = 2;

/** What the command line asks for. */
interface Options {
  readonly isQuick: boolean;
  readonly rounds: number;
  /** The checkout of the base build. */
  readonly against: string | undefined;
  readonly scenarios: readonly Scenario[];
  readonly systems: readonly System[];
  readonly isComplete: boolean;
}

function readArguments(args: readonly string[]): Options {
  const isQuick = args.includes("--quick");
  const rounds = Number(args.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 0);
  const directory = args.find((arg) => arg.startsWith("--against="))?.slice(10);
  const against = directory === undefined ? undefined : checkout(directory);
  const allScenarios = against === undefined
    ? SCENARIOS
    : SCENARIOS.map((scenario) =>
      scenario === fanOut || scenario === publishRate
        ? { ...scenario, systems: withBase(scenario.systems, against) }
        : scenario
    );
  const allSystems = [...new Set(allScenarios.flatMap(({ systems }) => systems))];
  const names = args.filter((arg) =>
    arg !== "--quick" && arg !== "--limits" && !/^--rounds=[1-9]\d*$/.test(arg) &&
    !arg.startsWith("--against=")
  );
  const isNamed = ({ name }: { name: string }) =>
    names.some((wanted) => wanted.toLowerCase() === name.toLowerCase());
  const known = [...allScenarios, ...allSystems];
  for (const wanted of names) {
    if (known.some(({ name }) => name.toLowerCase() === wanted.toLowerCase())) continue;
    const all = known.map(({ name }) => name).join(", ");
    fail(`${wanted} is unknown: use --quick, --rounds=N, --against=DIR, ${all}`);
  }
  const scenarios = allScenarios.filter(isNamed);
  const systems = allSystems.filter((one) => isNamed(one) || one.baseOf && isNamed(one.baseOf));
  return {
    isQuick,
    rounds: rounds || (isQuick ? 1 : FULL_ROUNDS),
    against,
    scenarios: scenarios.length > 0 ? scenarios : allScenarios,
    systems: systems.length > 0 ? systems : allSystems,
    isComplete: !isQuick && !against && names.length === 0 &&
      (rounds === 0 || rounds >= FULL_ROUNDS),
  };
}

/** Returns the absolute path of a checkout of this server. */
function checkout(directory: string): string {
  try {
    Deno.statSync(`${directory}/deno.json`);
    return Deno.realPathSync(directory);
  } catch {
    return fail(`--against=${directory}: no checkout of this server is there`);
  }
}

function fail(reason: string): never {
  console.error(reason);
  Deno.exit(1);
}

/** Prepares the systems; returns those that cannot be started, with the reason. */
async function prepare(systems: readonly System[]): Promise<Map<System, string>> {
  const missing = new Map<System, string>();
  for (const system of systems) {
    await system.prepare().catch((error) => missing.set(system, error.message));
  }
  return missing;
}

/**
 * Measures what the options ask for.
 *
 * @param save called after each scenario, so that an interrupted run leaves its results
 */
async function run(
  { isQuick, rounds, against, scenarios, systems }: Options,
  save: (results: Results) => Promise<void>,
): Promise<Results> {
  const missing = await prepare(systems);
  const failures: Failure[] = [...missing].map(([system, reason]) => {
    console.log(`${system.name} is missing: ${reason}`);
    return { system: system.name, reason: `missing: ${reason}` };
  });
  const startedAt = new Date().toISOString();
  const machine = await describeMachine();
  const baseCommit = against === undefined ? undefined : await commitOf(against);
  const measured: Measured[] = [];
  const results = { startedAt, isQuick, rounds, machine, baseCommit, measured, failures };
  await pinSelf();
  await using bench = await Bench.start(isQuick);
  for (const scenario of scenarios) {
    const chosen = scenario.systems.filter((one) => systems.includes(one) && !missing.has(one));
    if (chosen.length === 0) {
      const all = scenario.systems.map(({ name }) => name).join(", ");
      console.log(scenario.name.padEnd(13), `nothing to measure: its systems are ${all}`);
      continue;
    }
    for await (const outcome of scenario.measure(chosen, bench, rounds)) {
      const id = { scenario: scenario.name, system: outcome.system.name, round: outcome.round };
      const start = [scenario.name.padEnd(13), outcome.system.name.padEnd(10)];
      if ("failure" in outcome) {
        console.log(...start, `FAILED: ${outcome.failure}`);
        failures.push({ ...id, reason: outcome.failure });
        continue;
      }
      const { sample } = outcome;
      measured.push({ ...id, ...sample });
      const shown = scenario.columns.map(([, show]) => show(sample.values)).join("  |  ");
      console.log(...start, sample.situation.padEnd(28), shown);
    }
    await save(results);
  }
  return results;
}

async function write(
  results: Results,
  scenarios: readonly Scenario[],
  directory: URL,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const files = [
    ["table.md", writeTable(results, scenarios)],
    ["results.json", JSON.stringify(results)],
    ["chart.svg", drawChart(results)],
  ] as const;
  for (const [name, content] of files) {
    if (content === undefined) continue;
    const path = new URL(name, directory);
    await Deno.writeTextFile(path, content);
    // The gate checks the format of every file in the repository.
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--quiet", path.pathname],
    }).output();
    if (!success) throw new Error(`cannot format ${path.pathname}`);
  }
}

const options = readArguments(Deno.args);
const partial = new URL("results/partial/", import.meta.url);
const directory = options.isComplete ? new URL("results/", import.meta.url) : partial;
const results = await run(options, (results) => write(results, options.scenarios, partial));
await write(results, options.scenarios, directory);
console.log(`\n${await Deno.readTextFile(new URL("table.md", directory))}`);
console.log(`Written to ${directory.pathname}`);
