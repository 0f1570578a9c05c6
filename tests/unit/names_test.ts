import { assertEquals, assertThrows } from "@std/assert";
import { BadRequest } from "../../chat/protocol/bad_request.ts";
import { DEFAULT_ROOM, parseRoom, parseUser } from "../../chat/protocol/names.ts";

/** Returns the error text with which a name is refused. */
function errorOf(parse: () => string): string {
  return assertThrows(parse, BadRequest).message;
}

Deno.test("parseUser() decodes percent-encoding", () => {
  assertEquals(parseUser("Zo%C3%AB%20%F0%9F%98%80"), "Zoë 😀");
});

Deno.test("parseUser() normalizes a name to NFC, so that a name has only one spelling", () => {
  assertEquals(parseUser(encodeURIComponent("Zoe\u0308")), "Zo\u00eb");
});

Deno.test("parseUser() allows 64 code points", () => {
  assertEquals(parseUser(encodeURIComponent("😀".repeat(64))), "😀".repeat(64));
  assertEquals(
    errorOf(() => parseUser(encodeURIComponent("😀".repeat(65)))),
    "the user name is 65 characters long: at most 64 are allowed",
  );
});

Deno.test("parseUser() says in one line what is wrong", () => {
  const cases: Record<string, string> = {
    "": "the user name is empty: ask for /chat/{user}",
    "%zz": 'the user name "%zz" is not percent-encoded UTF-8',
    "%ff": 'the user name "%ff" is not percent-encoded UTF-8',
    "a%0Ab": 'the user name "a\\nb" has a control character',
    "a%C2%85b": 'the user name "a\\u0085b" has a control character',
    "a%3Ab": 'the user name "a:b" has a ":" in it',
    "a%2Fb": 'the user name "a/b" has a "/" in it',
    "a/b": 'the user name "a/b" has a "/" in it',
    "%20a": 'the user name " a" has white space at an end',
    "a%C2%A0": 'the user name "a\u00a0" has white space at an end',
    "a%E2%80%A8": 'the user name "a\\u2028" has white space at an end',
  };
  for (const [encoded, line] of Object.entries(cases)) {
    assertEquals(errorOf(() => parseUser(encoded)), line);
  }
});

Deno.test("parseUser() shortens a very long name in its error", () => {
  const { length } = errorOf(() => parseUser("%zz".repeat(10_000)));
  assertEquals(length < 200, true);
});

Deno.test("parseRoom() returns the default room if none is given", () => {
  assertEquals(parseRoom([]), DEFAULT_ROOM);
});

Deno.test("parseRoom() allows 1 to 64 of A-Z a-z 0-9 . _ -", () => {
  assertEquals(parseRoom(["Az.09_-"]), "Az.09_-");
  assertEquals(parseRoom(["r".repeat(64)]), "r".repeat(64));
  for (const room of ["", "r".repeat(65), "a b", "a:b", "ä", "a\n"]) {
    assertEquals(
      errorOf(() => parseRoom([room])),
      `the room name ${JSON.stringify(room)} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`,
    );
  }
});

Deno.test("parseRoom() refuses more than one room", () => {
  assertEquals(
    errorOf(() => parseRoom(["a", "b"])),
    "more than one room is given: one connection joins one",
  );
});
