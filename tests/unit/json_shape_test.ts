import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseObject } from "../../chat/http/body.ts";
import { BadRequest } from "../../chat/protocol/bad_request.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";

const COUNT = 100_000;

/** Fields that take 0.1 s or more to parse. */
const many: Record<string, string> = {
  fields: `{"type":"message"${
    Array.from({ length: COUNT }, (_, i) => `,"field-${i}":1`).join("")
  }}`,
  objects: JSON.stringify({ type: "message", text: Array(COUNT).fill({}) }),
  "arrays in arrays": `{"type":"message","text":${"[".repeat(COUNT)}${"]".repeat(COUNT)}}`,
  strings: JSON.stringify({ type: "message", text: Array(COUNT).fill("") }),
};

/** Texts that are long in JSON, too. */
const texts: Record<string, string> = {
  letters: "x".repeat(COUNT),
  "control characters": "\0".repeat(COUNT),
  quotes: '"'.repeat(COUNT),
  backslashes: "\\".repeat(COUNT),
  "line breaks": "\n".repeat(COUNT),
  "what looks like fields": JSON.stringify(Array(COUNT).fill({ '\\"': 1 })),
};

for (const [what, line] of Object.entries(many)) {
  Deno.test(`a line with very many ${what} is not parsed`, () => {
    const decoded = JSON_LINES.decode(line);
    assert(decoded?.type === "error");
    assertEquals(decoded.message, "the line has too many fields");
    assertThrows(() => parseObject(line, ""), BadRequest, "the body has too many fields");
  });
}

for (const [what, text] of Object.entries(texts)) {
  Deno.test(`a message may have a long text of ${what}`, () => {
    const message = { type: "message" as const, text, ref: "1", after: "0" };
    assertEquals(JSON_LINES.decode(JSON.stringify(message)), message);
    assertEquals(parseObject(JSON.stringify(message), ""), message);
  });
}
