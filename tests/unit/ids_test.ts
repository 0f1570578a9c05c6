import { assert, assertEquals } from "@std/assert";
import { isId, isLater, isProofOfNoGap, nextId, previousId } from "../../chat/protocol/ids.ts";

Deno.test("isId() accepts no value but a text of two numbers", () => {
  for (const id of ["0-0", "1700000000000-0", "999999999999999-999999999999999"]) {
    assertEquals(isId(id), true, id);
  }
  const values = [
    "",
    "1",
    "1-",
    "-1",
    "01-0",
    "1-00",
    "1-1-1",
    "1-1 ",
    "1-1\n",
    "1000000000000000-0",
  ];
  for (const value of [...values, 1, null, undefined, ["1-1"], { toString: () => "1-1" }]) {
    assertEquals(isId(value), false, `${value}`);
  }
});

Deno.test("nextId() and previousId() return the neighbours of every id that Redis can have", () => {
  const max = "18446744073709551615";
  for (
    const [id, next] of [
      ["0-0", "0-1"],
      ["5-9", "5-10"],
      ["5-9007199254740993", "5-9007199254740994"],
      [`5-${max}`, "6-0"],
      [`18446744073709551614-${max}`, `${max}-0`],
    ]
  ) {
    assertEquals(nextId(id), next);
    assertEquals(previousId(next), id);
  }
  assertEquals(previousId("0-0"), "0-0");
});

Deno.test("isLater() compares the times as numbers, then the sequences", () => {
  const ordered = [
    "0-0",
    "0-1",
    "5-0",
    "5-9",
    "5-10",
    "10-2",
    "999-11",
    "1000-0",
    "1700000000000-3",
  ];
  for (const [i, one] of ordered.entries()) {
    for (const [j, other] of ordered.entries()) {
      assertEquals(isLater(one, other), i > j, `${one} ${other}`);
    }
  }
});

Deno.test("a message that follows a lost end of the log proves no gap", () => {
  assert(isProofOfNoGap("1700000000000-1", "1699999999999-0"));
  assert(isProofOfNoGap("1700000000000-999999999", "1699999999999-0"));
  assert(!isProofOfNoGap("1700000000000-1000000000", "1699999999999-0"));
  assert(!isProofOfNoGap("1700000000000-1000000000", "170000000000-0"));
  // The ones after it do.
  assert(isProofOfNoGap("1700000000000-1000000001", "1700000000000-1000000000"));
});
