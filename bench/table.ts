/**
 * The results as Markdown.
 *
 * @module
 */
import type { Scenario } from "./bench.ts";
import { claims } from "./claims.ts";
import { digits, percent, us } from "./format.ts";
import { medianRatio, medians, othersShares, type Results, situationsOf } from "./results.ts";
import type { System } from "./systems.ts";

/** Writes all results of a run. */
export function writeTable(results: Results, scenarios: readonly Scenario[]): string {
  const { machine, rounds, isQuick, startedAt, failures } = results;
  const { median, max } = othersShares(results);
  const parts = [
    "# Results of `deno task bench`",
    `${machine.hardware}; ${machine.system}. ${machine.versions}. Commit ${machine.commit}, ` +
    `${startedAt.slice(0, 10)}. ` +
    (rounds > 1
      ? `The figures are medians of ${rounds} rounds. Every system is measured in every round. `
      : "One round. ") +
    (isQuick ? "**A quick run**: it is short, and its figures may be off by a quarter. " : "") +
    "The servers run on one core, Redis and the load generator on the other. The load generator " +
    "polls and never sleeps, because on one machine the server would pay for waking it. Its " +
    "share of a core is the time in which it had something to do. The rest of the machine, " +
    `including servers that waited for their turn, used ${percent(median)} of a core (median), ` +
    `and at most ${percent(max)}.`,
    "## Claims that must hold",
    "The ratio of two systems is the median of the ratios in each turn, because a slow phase of " +
    "the machine is in the turns of both.",
    markdownTable(["claim", "measured", "at most", "result"], claimRows(results)),
  ];
  if (failures.length > 0) parts.push("## Failures", failureLines(results));
  for (const scenario of scenarios) parts.push(...scenarioParts(results, scenario));
  for (const scenario of scenarios) parts.push(...baseParts(results, scenario));
  return parts.join("\n\n") + "\n";
}

function claimRows(results: Results): string[][] {
  return claims(results).map(({ claim, atMost, measured }) => [
    claim,
    measured === undefined ? "not measured" : digits(measured),
    digits(atMost),
    measured === undefined ? "" : measured <= atMost ? "holds" : "**does not hold**",
  ]);
}

function failureLines({ failures }: Results): string {
  return failures.map(({ system, scenario, round, reason }) => {
    const where = scenario === undefined ? "" : `, ${scenario}, round ${round}`;
    return `- **${system}**${where}: ${reason.replaceAll("\n", " ")}`;
  }).join("\n");
}

function scenarioParts(results: Results, scenario: Scenario): string[] {
  const { name, description, systems, columns } = scenario;
  const situations = situationsOf(results, name);
  if (situations.length === 0) return [];
  const parts = [`## ${name}`, description];
  // With one system, its figures are the columns. With several, each figure has its own table.
  if (systems.length === 1) {
    const rows = situations.map((situation) => {
      const values = medians(results, name, situation, systems[0].name);
      const absent = whyAbsent(results, name, systems[0].name);
      return [situation, ...columns.map(([, show]) => values ? show(values) : absent)];
    });
    return [...parts, markdownTable(["", ...columns.map(([title]) => title)], rows)];
  }
  for (const [title, show] of columns) {
    const rows = situations.map((situation) => [
      situation,
      ...systems.map((system) => {
        const values = medians(results, name, situation, system.name);
        return values ? show(values) : whyAbsent(results, name, system.name);
      }),
    ]);
    parts.push(`${title}:`, markdownTable(["", ...systems.map((system) => system.name)], rows));
  }
  return parts;
}

/** Compares this build with the base build, if a scenario has measured both. */
function baseParts(results: Results, { name, systems }: Scenario): string[] {
  const bases = systems.filter(({ baseOf }) => baseOf !== undefined);
  const situations = situationsOf(results, name);
  if (bases.length === 0 || situations.length === 0) return [];
  const cell = (situation: string, base: System) => {
    const cpu = (system: System) => medians(results, name, situation, system.name)?.cpu;
    const oldCpu = cpu(base), newCpu = cpu(base.baseOf!);
    const ratio = medianRatio(results, name, situation, [base.baseOf!.name, base.name], "cpu");
    if (oldCpu === undefined || newCpu === undefined || !ratio) return "not measured";
    return `${digits(ratio)} (${us(newCpu)} / ${us(oldCpu)})`;
  };
  return [
    `## ${name}: this build against the base build`,
    `The base build is commit ${results.baseCommit}. The figures are the ratio of the CPU per ` +
    "delivery or message, new / base: the median of each turn's ratio, and in parentheses both " +
    "medians in µs.",
    markdownTable(
      ["", ...bases.map(({ baseOf }) => baseOf!.name)],
      situations.map((situation) => [situation, ...bases.map((base) => cell(situation, base))]),
    ),
  ];
}

/**
 * The text for a figure that was not measured: it tells a failure from a system that was not
 * chosen.
 */
function whyAbsent({ failures }: Results, scenario: string, system: string): string {
  const failure = failures.find((one) =>
    one.system === system && [undefined, scenario].includes(one.scenario)
  );
  if (!failure) return "–";
  return failure.scenario === undefined ? "missing" : "failed";
}

function markdownTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, i) => i === 0 ? "---" : "--:");
  return [head, rule, ...rows].map(line).join("\n");
}
