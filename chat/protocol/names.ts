import { BadRequest } from "./bad_request.ts";

/** The room of users who do not ask for one. */
export const DEFAULT_ROOM = "chat";

/**
 * Reads a user's name from the part of a path that follows `/chat/`.
 *
 * @param encoded the percent-encoded name
 * @returns the name, decoded and in Unicode NFC: 1 to 64 code points, no control characters, no `:`
 * and no `/`, no white space at either end
 * @throws {BadRequest} if it is anything else
 *
 * @example
 * ```ts
 * import { parseUser } from "./names.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseUser("Zo%C3%AB"), "Zoë");
 * ```
 */
export function parseUser(encoded: string): string {
  let user: string;
  try {
    user = decodeURIComponent(encoded);
  } catch {
    throw new BadRequest(`the user name ${quote(encoded)} is not percent-encoded UTF-8`);
  }
  return checkUser(user);
}

/**
 * Checks a user's name: see {@linkcode parseUser}.
 *
 * @returns the name in Unicode NFC
 * @throws {BadRequest} if it is none
 */
export function checkUser(given: string): string {
  const user = given.normalize("NFC");
  const length = [...user].length;
  if (length === 0) throw new BadRequest("the user name is empty: ask for /chat/{user}");
  if (length > 64) {
    throw new BadRequest(`the user name is ${length} characters long: at most 64 are allowed`);
  }
  if (/\p{Cc}/u.test(user)) {
    throw new BadRequest(`the user name ${quote(user)} has a control character`);
  }
  const forbidden = /[:/]/.exec(user);
  if (forbidden) throw new BadRequest(`the user name ${quote(user)} has a "${forbidden[0]}" in it`);
  if (user.trim() !== user) {
    throw new BadRequest(`the user name ${quote(user)} has white space at an end`);
  }
  return user;
}

/**
 * Reads a room's name from the query of a request.
 *
 * @param given every value of `room` in the query, decoded
 * @returns the one value that is given, 1 to 64 of `A-Z a-z 0-9 . _ -`; {@linkcode DEFAULT_ROOM} if
 * there is none
 * @throws {BadRequest} if it is anything else
 */
export function parseRoom(given: readonly string[]): string {
  if (given.length === 0) return DEFAULT_ROOM;
  if (given.length > 1) {
    throw new BadRequest("more than one room is given: one connection joins one");
  }
  return checkRoom(given[0]);
}

/**
 * Checks a room's name: see {@linkcode parseRoom}.
 *
 * @throws {BadRequest} if it is none
 */
export function checkRoom(room: string): string {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(room)) {
    throw new BadRequest(
      `the room name ${quote(room)} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`,
    );
  }
  return room;
}

/** Quotes what a client sent, for an error: always one line, and never a long one. */
export function quote(given: string): string {
  return JSON.stringify(given.length > 100 ? given.slice(0, 100) + "…" : given)
    .replace(
      /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu,
      (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`,
    );
}
