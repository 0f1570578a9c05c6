import { assertEquals } from "@std/assert";
import * as v from "valibot";
import { FromClientSchema, isClientMessage } from "../../chat/protocol/from_client_schema.ts";
import { makeRandom } from "../support/random.ts";

Deno.test("the fast path for messages accepts exactly what the schema accepts", () => {
  const random = makeRandom(18);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)];
  const strings = ["", "a", "message", "ping", "\ud800", "😀", "é\n", "x".repeat(64)];
  const texts = [...strings, "x".repeat(65), "😀".repeat(64), "😀".repeat(65), "x".repeat(128)];
  const others = [null, 0, 1.5, true, [], ["a"], {}, { ref: "a" }];
  const keys = ["ref", "user", "id", "__proto__", "constructor", "Type", "text "];
  let accepted = 0;
  for (let i = 0; i < 20_000; i++) {
    const value: Record<string, unknown> = {};
    if (random() < 0.95) value.type = random() < 0.9 ? "message" : pick([...strings, ...others]);
    if (random() < 0.95) value.text = random() < 0.9 ? pick(texts) : pick(others);
    for (const field of ["ref", "after"]) {
      if (random() < 0.5) value[field] = random() < 0.9 ? pick(texts) : pick(others);
    }
    // Through JSON, as from a client: `__proto__` becomes a key of its own there.
    let line = JSON.stringify(value);
    if (random() < 0.1) {
      line = line.replace(/}$/, `${line === "{}" ? "" : ","}"${pick(keys)}":"a"}`);
    }
    const parsed: unknown = random() < 0.01 ? pick<unknown>(others) : JSON.parse(line);
    const { success, output } = v.safeParse(FromClientSchema, parsed);
    const isMessage = success && output.type === "message";
    assertEquals(isClientMessage(parsed), isMessage, line);
    if (!isMessage) continue;
    accepted++;
    assertEquals(output, parsed, line);
  }
  assertEquals(accepted > 5_000 && accepted < 15_000, true, `${accepted} were accepted`);
});

Deno.test("a name with very many combining marks is refused before it is normalized", () => {
  const { normalize } = String.prototype;
  let longest = 0;
  String.prototype.normalize = function (form?: string) {
    longest = Math.max(longest, this.length);
    return normalize.call(this, form);
  };
  try {
    const user = "e" + "\u0301\u0316".repeat(1_000);
    for (const fields of [{ type: "kick" }, { type: "mute", seconds: 1 }]) {
      assertEquals(v.safeParse(FromClientSchema, { ...fields, user }).success, false);
    }
  } finally {
    String.prototype.normalize = normalize;
  }
  assertEquals(longest, 0);
});
