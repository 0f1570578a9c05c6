import { assertEquals } from "@std/assert";
import { fuzz } from "../support/fuzz/fuzz.ts";

// `deno task fuzz` sends more, and other ones.
Deno.test("20,000 hostile inputs disturb no honest user, and no server", async () => {
  const { problems } = await fuzz(1, 20_000);
  assertEquals(problems.join("\n"), "");
});
