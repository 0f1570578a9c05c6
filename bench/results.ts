/**
 * What a run has measured, and the medians of it.
 *
 * @module
 */
import type { Values } from "./bench.ts";
import type { Machine } from "./machine.ts";

/** One measurement of one round. */
export interface Measured {
  readonly scenario: string;
  readonly situation: string;
  readonly system: string;
  readonly round: number;
  readonly values: Values;
}

/** Something that could not be measured. */
export interface Failure {
  readonly scenario?: string;
  readonly system: string;
  readonly round?: number;
  readonly reason: string;
}

/** Everything that came of a run. */
export interface Results {
  readonly startedAt: string;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly machine: Machine;
  readonly measured: Measured[];
  readonly failures: Failure[];
}

/** Of these it counts how many there were in all rounds: one is one too many. */
const COUNTED = ["lost", "repeated", "disordered", "gone", "wrong", "unrecovered"];

/** What one system came to in one situation, over all rounds: the medians; `undefined` if it was not measured. */
export function medians(
  { measured }: Pick<Results, "measured">,
  scenario: string,
  situation: string,
  system: string,
): Values | undefined {
  const values = measured.filter((one) =>
    one.scenario === scenario && one.situation === situation && one.system === system
  ).map((one) => one.values);
  if (values.length === 0) return undefined;
  return Object.fromEntries(
    Object.keys(values[0]).map((name) => {
      const all = values.map((one) => one[name]);
      return [name, COUNTED.includes(name) ? all.reduce((a, b) => a + b) : median(all)];
    }),
  );
}

/** The situations of a scenario, in the order in which they were measured. */
export function situationsOf({ measured }: Pick<Results, "measured">, scenario: string): string[] {
  const ofScenario = measured.filter((one) => one.scenario === scenario);
  return [...new Set(ofScenario.map((one) => one.situation))];
}

/** How much of a core all that is not part of the bench used: the median and the most. */
export function others({ measured }: Pick<Results, "measured">): { median: number; most: number } {
  const all = measured.map(({ values }) => values.othersShare).filter((share) => share >= 0);
  return all.length === 0
    ? { median: 0, most: 0 }
    : { median: median(all), most: Math.max(...all) };
}

/** The one in the middle, or the mean of both. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half) - 1]) / 2;
}
