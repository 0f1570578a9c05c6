import { assertEquals } from "@std/assert";
import { describe, simulateMany } from "../support/simulation/simulate.ts";

// `deno task simulate` runs more seeds, and shows more of one that fails.
Deno.test("a room keeps its promises in 50 simulations with faults", async () => {
  const failures: string[] = [];
  let appended = 0;
  await simulateMany(1, 50, (outcome) => {
    appended += outcome.history.appended.length;
    if (outcome.violations.length > 0) failures.push(describe(outcome, 40));
  });
  assertEquals(failures.join("\n\n"), "");
  // So a simulation in which nobody gets to send anything fails, too.
  assertEquals(appended > 1_000, true, `only ${appended} messages`);
});
