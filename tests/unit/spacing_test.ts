import { assert, assertEquals } from "@std/assert";
import { spaceOut } from "../../chat/http/spacing.ts";
import { sleep } from "../support/wait.ts";

Deno.test("of a connection, at most 200 requests wait, and each for 10 ms more", async () => {
  const start = performance.now();
  const all = Promise.all(Array.from({ length: 10_000 }, () => spaceOut("192.0.2.1:5")));
  assert(await spaceOut("192.0.2.1:6"));
  assert(performance.now() - start < 1_000, "another connection does not wait for them");
  assertEquals((await all).filter((goesOn) => goesOn).length, 200);
  assert(performance.now() - start > 1_900);
});

Deno.test("20 requests may follow one another at once, and more after a pause", async () => {
  for (let i = 0; i < 20; i++) assert(await spaceOut("192.0.2.1:7"));
  assertEquals(await spaceOut("192.0.2.1:7"), false);
  await sleep(60);
  assert(await spaceOut("192.0.2.1:7"));
});
