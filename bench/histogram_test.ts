import { assert, assertEquals } from "@std/assert";
import { Histogram } from "./histogram.ts";

Deno.test("Histogram.quantile is exact to 1.6 %", () => {
  for (const scale of [0.001, 0.01, 0.1, 1, 10, 100]) {
    const histogram = new Histogram();
    for (let i = 1; i <= 1000; i++) histogram.add(i * scale);
    for (const share of [0.001, 0.5, 0.99, 1]) {
      const exact = share * 1000 * scale;
      assert(Math.abs(histogram.quantile(share) - exact) <= exact * 0.016 + 0.001);
    }
  }
});

Deno.test("Histogram.clear removes all durations", () => {
  const histogram = new Histogram();
  histogram.add(5);
  histogram.clear();
  assertEquals(histogram.quantile(0.5), 0);
});
