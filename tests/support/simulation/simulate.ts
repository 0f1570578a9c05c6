import { sleep } from "../wait.ts";
import { check } from "./checker.ts";
import { type Action, makeSchedule, type Schedule } from "./schedule.ts";
import type { History, Transcript } from "./transcript.ts";
import { World } from "./world.ts";

/**
 * How long each step at the end of a run may take, in milliseconds: a name whose release was lost
 * in a failover is free after the next sweep of its room.
 */
const SETTLE_TIMEOUT_MS = 30_000;

/** How many simulations run side by side: mostly, each of them waits. */
const SIDE_BY_SIDE = 6;

/** What one simulation showed. */
export interface Outcome {
  readonly seed: number;
  /** What was promised and not kept. */
  readonly violations: readonly string[];
  readonly transcripts: readonly Transcript[];
  readonly history: History;
  readonly actions: readonly { readonly at: number; readonly action: Action }[];
}

/**
 * Runs a simulation. The schedule says what is done; how long each thing takes, and so what meets
 * what, differs a little from run to run.
 */
export async function simulate(schedule: Schedule): Promise<Outcome> {
  const { seed } = schedule;
  await using world = await World.start(schedule);
  const actions: { at: number; action: Action }[] = [];
  for (const { afterMs, action } of schedule.steps) {
    await sleep(afterMs);
    actions.push({ at: performance.now(), action });
    await world.act(action);
  }
  const late = await world.settle(SETTLE_TIMEOUT_MS);
  const history = await world.history();
  const transcripts = world.clients.map(({ transcript }) => ({
    ...transcript,
    entries: [...transcript.entries],
  }));
  const violations = [...late, ...check(history, transcripts)];
  return { seed, violations, transcripts, history, actions };
}

/** Describes a failed simulation: its violations, and the end of what was done and recorded. */
export function describe(outcome: Outcome, lines: number): string {
  const { seed, violations, transcripts, history, actions } = outcome;
  const all = [
    ...history.appended.map(({ at, id, prev, text }) => ({
      ...{ at, who: "log", what: `${id} after ${prev}: ${text}` },
    })),
    ...actions.map(({ at, action }) => ({ at, who: "fault", what: JSON.stringify(action) })),
    ...transcripts.flatMap(({ user, entries }) =>
      entries.map(({ at, ...entry }) => ({ at, who: user, what: JSON.stringify(entry) }))
    ),
  ].sort((one, other) => one.at - other.at);
  const tail = all.slice(all.length - lines)
    .map(({ at, who, what }) => `${at.toFixed(1)} ${who} ${what.slice(0, 250)}`);
  return [`seed ${seed}:`, ...violations, "the transcripts end with:", ...tail].join("\n");
}

/** Runs the simulations of some seeds, and calls a function with the outcome of each. */
export async function simulateMany(
  first: number,
  count: number,
  onOutcome: (outcome: Outcome) => void,
): Promise<void> {
  let next = first;
  async function simulateNext(): Promise<void> {
    while (next < first + count) onOutcome(await simulate(makeSchedule(next++)));
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, simulateNext));
}
