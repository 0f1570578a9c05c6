/**
 * The results of a run, and their medians.
 *
 * @module
 */
import type { Values } from "./bench.ts";
import type { Machine } from "./machine.ts";

/** The measurement of one system in one situation and one round. */
export interface Measured {
  readonly scenario: string;
  readonly situation: string;
  readonly system: string;
  readonly round: number;
  readonly values: Values;
}

/** A measurement that failed. */
export interface Failure {
  readonly scenario?: string;
  readonly system: string;
  readonly round?: number;
  readonly reason: string;
}

/** All results of a run. */
export interface Results {
  readonly startedAt: string;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly machine: Machine;
  /** The commit of the base build, if there is one. */
  readonly baseCommit: string | undefined;
  readonly measured: Measured[];
  readonly failures: Failure[];
}

/** Counts of errors, which are summed over all rounds: a median would hide a single error. */
const SUMMED = ["lost", "duplicated", "outOfOrder", "disconnected", "rejected", "notRecovered"];

/**
 * Returns the medians of a system's values in a situation over all rounds; `undefined` if it was
 * not measured.
 */
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
      return [name, SUMMED.includes(name) ? all.reduce((a, b) => a + b) : median(all)];
    }),
  );
}

/**
 * Returns the median ratio of two systems' values, each of one round; `undefined` if a value was
 * not measured. Two turns of a round follow one another, so a slow phase of the machine is in both.
 */
export function medianRatio(
  { measured }: Pick<Results, "measured">,
  scenario: string,
  situation: string,
  [one, other]: readonly [one: string, other: string],
  name: string,
): number | undefined {
  const valuesOf = (system: string) =>
    new Map(
      measured.filter((it) =>
        it.scenario === scenario && it.situation === situation && it.system === system
      ).map(({ round, values }) => [round, values[name]]),
    );
  const others = valuesOf(other);
  const ratios = [...valuesOf(one)].map(([round, value]) => value / (others.get(round) ?? NaN));
  return ratios.length === 0 || ratios.some(Number.isNaN) ? undefined : median(ratios);
}

/** Returns the situations of a scenario, in the order in which they were measured. */
export function situationsOf({ measured }: Pick<Results, "measured">, scenario: string): string[] {
  const ofScenario = measured.filter((one) => one.scenario === scenario);
  return [...new Set(ofScenario.map((one) => one.situation))];
}

/**
 * Returns the share of a core that processes outside a measurement used: the median and the
 * maximum.
 */
export function othersShares(
  { measured }: Pick<Results, "measured">,
): { median: number; max: number } {
  const all = measured.map(({ values }) => values.othersShare).filter((share) => share >= 0);
  return all.length === 0 ? { median: 0, max: 0 } : { median: median(all), max: Math.max(...all) };
}

/** Returns the middle value, or the mean of the two middle values. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half) - 1]) / 2;
}
