/**
 * The bench: our server and its peers, measured in the same run on one Redis.
 *
 * `deno task bench [--quick] [--rounds=N] [NAMES…]`: names of scenarios and of systems choose among them. A whole run is
 * written to `bench/results`, every other to `bench/results/partial`.
 *
 * @module
 */
import { Bench, type Scenario } from "./bench.ts";
import { drawChart } from "./chart.ts";
import { describeMachine } from "./machine.ts";
import { pinSelf } from "./process.ts";
import type { Failure, Measured, Results } from "./results.ts";
import { ceiling } from "./scenarios/ceiling.ts";
import { fanOut } from "./scenarios/fan_out.ts";
import { growth } from "./scenarios/growth.ts";
import { idleMemory } from "./scenarios/idle_memory.ts";
import { joinStorm } from "./scenarios/join_storm.ts";
import { paced } from "./scenarios/paced.ts";
import { publishRate } from "./scenarios/publish_rate.ts";
import { resumeStorm } from "./scenarios/resume_storm.ts";
import { slowReaders } from "./scenarios/slow_readers.ts";
import { workers } from "./scenarios/workers.ts";
import type { System } from "./systems.ts";
import { writeTable } from "./table.ts";

const SCENARIOS: readonly Scenario[] = [
  fanOut,
  growth,
  paced,
  joinStorm,
  idleMemory,
  slowReaders,
  workers,
  publishRate,
  resumeStorm,
  ceiling,
];

const SYSTEMS: readonly System[] = [...new Set(SCENARIOS.flatMap(({ systems }) => systems))];

/** What the command line asks for. */
interface Asked {
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly scenarios: readonly Scenario[];
  readonly systems: readonly System[];
  readonly isWhole: boolean;
}

function readArguments(args: readonly string[]): Asked {
  const isQuick = args.includes("--quick");
  const rounds = Number(args.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 0);
  const isNamed = ({ name }: { name: string }) =>
    names.some((wanted) => wanted.toLowerCase() === name.toLowerCase());
  const names = args.filter((arg) => arg !== "--quick" && !/^--rounds=[1-9]\d*$/.test(arg));
  const known = [...SCENARIOS, ...SYSTEMS].map(({ name }) => name);
  for (const wanted of names) {
    if (known.some((name) => name.toLowerCase() === wanted.toLowerCase())) continue;
    console.error(`${wanted} is not known: --quick, --rounds=N, ${known.join(", ")}`);
    Deno.exit(1);
  }
  const scenarios = SCENARIOS.filter(isNamed);
  const systems = SYSTEMS.filter(isNamed);
  return {
    isQuick,
    rounds: rounds || (isQuick ? 1 : 3),
    scenarios: scenarios.length > 0 ? scenarios : SCENARIOS,
    systems: systems.length > 0 ? systems : SYSTEMS,
    isWhole: !isQuick && names.length === 0 && (rounds === 0 || rounds >= 3),
  };
}

/** Makes ready whoever can be; says why of the others. */
async function prepare(systems: readonly System[]): Promise<Map<System, string>> {
  const missing = new Map<System, string>();
  for (const system of systems) {
    await system.prepare().catch((error) => missing.set(system, error.message));
  }
  return missing;
}

/** Measures; what there is after each scenario is kept, in case that the run is broken off. */
async function run(
  { isQuick, rounds, scenarios, systems }: Asked,
  keep: (results: Results) => Promise<void>,
): Promise<Results> {
  const missing = await prepare(systems);
  const failures: Failure[] = [...missing].map(([system, reason]) => {
    console.log(`${system.name} is missing: ${reason}`);
    return { system: system.name, reason: `missing: ${reason}` };
  });
  const startedAt = new Date().toISOString();
  const machine = await describeMachine();
  const measured: Measured[] = [];
  const results = { startedAt, isQuick, rounds, machine, measured, failures };
  await pinSelf();
  await using bench = await Bench.open(isQuick);
  for (const scenario of scenarios) {
    const chosen = scenario.systems.filter((one) => systems.includes(one) && !missing.has(one));
    if (chosen.length === 0) {
      const all = scenario.systems.map(({ name }) => name).join(", ");
      console.log(scenario.name.padEnd(13), `nothing to measure: its systems are ${all}`);
      continue;
    }
    for await (const outcome of scenario.measure(chosen, bench, rounds)) {
      const about = { scenario: scenario.name, system: outcome.system.name, round: outcome.round };
      const start = [scenario.name.padEnd(13), outcome.system.name.padEnd(10)];
      if ("failed" in outcome) {
        console.log(...start, `FAILED: ${outcome.failed}`);
        failures.push({ ...about, reason: outcome.failed });
        continue;
      }
      const { sample } = outcome;
      measured.push({ ...about, ...sample });
      const shown = scenario.columns.map(([, show]) => show(sample.values)).join("  |  ");
      console.log(...start, sample.situation.padEnd(28), shown);
    }
    await keep(results);
  }
  return results;
}

async function write(results: Results, folder: URL): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const files = [
    ["table.md", writeTable(results, SCENARIOS)],
    ["results.json", JSON.stringify(results)],
    ["chart.svg", drawChart(results)],
  ] as const;
  for (const [name, content] of files) {
    if (content === undefined) continue;
    const path = new URL(name, folder);
    await Deno.writeTextFile(path, content);
    // What stands in the repository is formatted as all of it is.
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--quiet", path.pathname],
    }).output();
    if (!success) throw new Error(`cannot format ${path.pathname}`);
  }
}

const asked = readArguments(Deno.args);
const partial = new URL("results/partial/", import.meta.url);
const folder = asked.isWhole ? new URL("results/", import.meta.url) : partial;
await write(await run(asked, (results) => write(results, partial)), folder);
console.log(`\n${await Deno.readTextFile(new URL("table.md", folder))}`);
console.log(`Written to ${folder.pathname}`);
