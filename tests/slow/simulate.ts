/**
 * Simulates a room with faults, seed by seed: `deno task simulate [SEEDS] [FIRST_SEED] [LINES]`.
 *
 * tests/support/simulation/checker.ts says what is checked. For each seed that breaks a promise, it
 * prints which one, and the last LINES of what was done and recorded. The exit code is then 1. The
 * seed decides what is done, but not how long each thing takes: a seed that fails once may need
 * some runs to fail again.
 */
import { describe, simulateMany } from "../support/simulation/simulate.ts";

const [count = 2_000, first = 1, lines = 0] = Deno.args.map(Number);
const start = performance.now();
const failed: number[] = [];
let appended = 0;
await simulateMany(first, count, (outcome) => {
  appended += outcome.history.appended.length;
  if (outcome.violations.length === 0) return;
  failed.push(outcome.seed);
  console.error(describe(outcome, lines));
});
const seconds = ((performance.now() - start) / 1000).toFixed(0);
console.log(`${count} seeds from ${first}: ${appended} messages in ${seconds} s`);
console.log(`${failed.length} failed: ${failed.sort((one, other) => one - other).join(", ")}`);
Deno.exit(failed.length > 0 ? 1 : 0);
