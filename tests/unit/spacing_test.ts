import { assert } from "@std/assert";
import { spaceOut } from "../../chat/http/spacing.ts";
import { deadline } from "../../chat/store/deadline.ts";

Deno.test("of a connection, at most 200 requests wait, and each for 10 ms more", async () => {
  const start = performance.now();
  const all = Promise.all(Array.from({ length: 10_000 }, () => spaceOut("192.0.2.1:5")));
  await spaceOut("192.0.2.1:6");
  assert(performance.now() - start < 1_000, "another connection does not wait for them");
  await deadline(all, 10_000);
  assert(performance.now() - start > 1_900);
  const again = performance.now();
  await Promise.all(Array.from({ length: 10 }, () => spaceOut("192.0.2.1:5")));
  assert(performance.now() - again > 95, "they wait again");
});
