import { assertEquals } from "@std/assert";
import { type Measured, medianRatio } from "./results.ts";

function measure(system: string, round: number, cpu: number): Measured {
  return { scenario: "fan-out", situation: "alone", system, round, values: { cpu } };
}

Deno.test("a slow phase of the machine does not change the ratio of two systems", () => {
  const measured = [1, 1, 3, 3, 3].flatMap((slowness, round) => [
    measure("one", round, 2 * slowness),
    measure("other", round, slowness),
  ]);
  const ratio = (systems: readonly [string, string]) =>
    medianRatio({ measured }, "fan-out", "alone", systems, "cpu");
  assertEquals(ratio(["one", "other"]), 2);
  assertEquals(ratio(["one", "nobody"]), undefined);
  assertEquals(ratio(["nobody", "one"]), undefined);
  // The phase ends between the two turns of a round.
  measured[8] = measure("one", 4, 2);
  assertEquals(ratio(["one", "other"]), 2);
});
