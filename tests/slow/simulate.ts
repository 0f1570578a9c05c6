/**
 * Simulates a room with faults, seed by seed: `deno task simulate [SEEDS] [FIRST_SEED] [LINES]`.
 *
 * tests/support/simulation/checker.ts says what is checked. For each seed that breaks a promise, it
 * prints which one, and the last LINES of the transcripts. The exit code is then 1. The seed decides
 * what is done, but not how fast: a seed that fails once may need some runs to fail again.
 */
import { describe, simulate } from "../support/simulation/simulate.ts";

/** How many seeds run side by side: mostly, a simulation waits. */
const SIDE_BY_SIDE = 6;

const count = Number(Deno.args[0] ?? 2_000);
const first = Number(Deno.args[1] ?? 1);
const lines = Number(Deno.args[2] ?? 0);
let next = first, appended = 0;
const failed: number[] = [];
const start = performance.now();

async function simulateAll(): Promise<void> {
  while (next < first + count) {
    const seed = next++;
    const outcome = await simulate(seed).catch((error) => error as Error);
    if (outcome instanceof Error) {
      failed.push(seed);
      console.error(`seed ${seed}:`, outcome);
      continue;
    }
    appended += outcome.appended;
    if (outcome.violations.length === 0) continue;
    failed.push(seed);
    console.error(describe(outcome, lines));
  }
}

await Promise.all(Array.from({ length: SIDE_BY_SIDE }, simulateAll));
const seconds = (performance.now() - start) / 1000;
console.log(
  `${count} seeds from ${first}, ${appended} messages, ${seconds.toFixed(0)} s: ` +
    `${failed.length} failed${failed.length > 0 ? `, ${failed.sort((a, b) => a - b)}` : ""}`,
);
Deno.exit(failed.length > 0 ? 1 : 0);
