/**
 * The results as Markdown.
 *
 * @module
 */
import type { Scenario } from "./bench.ts";
import { claims } from "./claims.ts";
import { digits, percent } from "./format.ts";
import { medians, others, type Results, situationsOf } from "./results.ts";

/** Writes everything that came of a run. */
export function writeTable(results: Results, scenarios: readonly Scenario[]): string {
  const { machine, rounds, isQuick, startedAt, failures } = results;
  const { median, most } = others(results);
  const parts = [
    "# Results of `deno task bench`",
    `${machine.hardware}; ${machine.system}. ${machine.versions}. Commit ${machine.commit}, ` +
    `${startedAt.slice(0, 10)}. ` +
    (rounds > 1
      ? `Medians of ${rounds} rounds, in each of which every system had its turn. `
      : "One round. ") +
    (isQuick ? "**A quick run**: short windows, one round, figures to about a quarter. " : "") +
    "Servers on one core, Redis and the load generator on the other. The load generator never " +
    "sleeps, because a server on the same machine would pay for waking it; its share is the time " +
    "in which it had something to do. Whatever else ran on the machine, servers that waited for " +
    `their turn among it, used ${percent(median)} of a core (median), at most ${percent(most)}.`,
    "## What has to hold",
    markdownTable(["claim", "measured", "at most", ""], claimRows(results)),
  ];
  if (failures.length > 0) parts.push("## What could not be measured", failureLines(results));
  for (const scenario of scenarios) parts.push(...scenarioParts(results, scenario));
  return parts.join("\n\n") + "\n";
}

function claimRows(results: Results): string[][] {
  return claims(results).map(({ what, atMost, measured }) => [
    what,
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

function scenarioParts(results: Results, { name, about, systems, columns }: Scenario): string[] {
  const situations = situationsOf(results, name);
  if (situations.length === 0) return [];
  const parts = [`## ${name}`, about];
  // One system: what was measured of it goes across; several: they do, and each figure has its table.
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

/** What stands where nothing was measured: a system that was not asked for is another thing than one that failed. */
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
