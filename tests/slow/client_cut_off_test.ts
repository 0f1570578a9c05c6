import { talkWhileCutOff } from "../support/cut_off.ts";

Deno.test("10,000 messages arrive once and in order while a client is cut off", async () => {
  const outcomes = await Promise.all(
    [1, 2, 3].map((seed) => talkWhileCutOff(seed, 10_000, 15)),
  );
  for (const [i, { cuts, seconds }] of outcomes.entries()) {
    console.log(`seed ${i + 1}: ${seconds.toFixed(0)} s with ${cuts}`);
  }
});
