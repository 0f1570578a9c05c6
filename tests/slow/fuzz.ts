/**
 * Sends hostile inputs of all kinds to two real servers while honest users talk: `deno task fuzz
 * [SEED] [CASES] [FIRST_BATCH]`.
 *
 * A seed makes the same inputs each time. The exit code is 1 if a server fails, disturbs an honest
 * user, or keeps memory or keys; what was sent at that moment is printed, and `deno task fuzz SEED
 * 1 BATCH` repeats one batch of it.
 */
import { fuzz } from "../support/fuzz/fuzz.ts";

const [seed = Date.now() % 1_000_000, cases = 100_000, first = 0] = Deno.args.map(Number);
console.log(`fuzzing with seed ${seed}`);
const { counts, messages, seconds, memory, problems } = await fuzz(seed, cases, first);
const sum = Object.values(counts).reduce((one, other) => one + other, 0);
console.log(`${sum} cases in ${seconds.toFixed(0)} s, ${(sum / seconds).toFixed(0)} a second`);
console.log(`${JSON.stringify(counts)}; honest users sent ${messages} messages`);
for (const [before, after] of memory) {
  console.log(`memory: ${before.toFixed(0)} MiB after a tenth, ${after.toFixed(0)} MiB at the end`);
}
for (const problem of problems) console.error(`WRONG: ${problem}`);
Deno.exit(problems.length > 0 ? 1 : 0);
