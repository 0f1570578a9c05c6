import { assert, assertEquals, assertThrows } from "@std/assert";
import { BadRequest } from "../../chat/protocol/bad_request.ts";
import { nameKeys } from "../../chat/protocol/name_keys.ts";
import { checkName } from "../../chat/protocol/name_rules.ts";
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

Deno.test("checkName() says in one line which character is wrong, and why", () => {
  const invisible = "characters that are invisible, private or unassigned are not allowed";
  const joiners = "joiners are allowed only where the script has them, and inside an emoji";
  const cases: Record<string, string> = {
    "a\u202eb": `"a\\u202eb" has U+202E: ${invisible}`,
    "a\u200d": `"a\\u200d" has U+200D: ${joiners}`,
    "دا\u200cد": `"دا\\u200cد" has U+200C: ${joiners}`, // the letter before does not join
    "क\u200cष": `"क\\u200cष" has U+200C: ${joiners}`, // there is no virama
    "a \u0301": '"a \u0301" has U+0301: a combining mark needs a letter before it',
    "a\u0300\u0301\u0302\u0303\u0304\u0305": '"à\u0301\u0302\u0303\u0304\u0305" ' +
      "has U+0305: at most four combining marks in a row are allowed",
    "admin： hi": '"admin： hi" has U+FF1A: it looks like ":"',
    "a℀": '"a℀" has U+2100: it looks like "/"',
    "राम\u0903 hi": '"राम\u0903 hi" has U+0903: it looks like ":"',
    "\u0430dmin": '"\u0430dmin" has U+0064: letters of one script are allowed, ' +
      "or Latin ones with Japanese, Chinese or Korean",
  };
  for (const [name, line] of Object.entries(cases)) {
    const user = parseUser(encodeURIComponent(name));
    const error = errorOf(() => {
      checkName(user);
      return user;
    });
    assertEquals(error, `the user name ${line}`);
  }
  const allowed = ["क्\u200dष", "क्\u200cष", "بی\u200cتا", "a😀\u{1f3fd}"];
  for (const name of [...allowed, "1\ufe0f\u20e3", "50%"]) {
    checkName(parseUser(encodeURIComponent(name)));
  }
});

Deno.test("every character that a name may have gives the name keys without white space", () => {
  let allowed = 0;
  for (let code = 0x20; code < 0x110000; code++) {
    const character = String.fromCodePoint(code);
    // There are too many of these.
    if (/\p{C}|\p{Script=Han}|\p{Script=Hangul}/u.test(character)) continue;
    const name = character.normalize("NFC");
    try {
      checkName(parseUser(encodeURIComponent(name)));
    } catch (error) {
      assert(error instanceof BadRequest);
      continue;
    }
    allowed++;
    for (const key of nameKeys(name)) {
      // A key is a part of the owner of a name, and of a field of its own.
      assert(/^\S+$/.test(key), `U+${code.toString(16)} has the key ${JSON.stringify(key)}`);
    }
  }
  assert(allowed > 30_000, `${allowed} characters`);
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
