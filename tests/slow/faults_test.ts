import { chatWithFaults } from "../support/fault_injection.ts";

Deno.test("clients receive 10,000 messages once and in order in spite of faults", async () => {
  const outcomes = await Promise.all([1, 2, 3].map((seed) => chatWithFaults(seed, 10_000, 15)));
  for (const [i, { faults, seconds }] of outcomes.entries()) {
    console.log(`seed ${i + 1}: ${seconds.toFixed(0)} s with ${faults}`);
  }
});
