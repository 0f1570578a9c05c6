/** The room that a user joins who asks for none. */
export const DEFAULT_ROOM = "chat";

/** A name that cannot be used; the message is one line that says what is wrong and what would be right. */
export class NameError extends Error {
  /** Always `"NameError"`. */
  override name = "NameError";
}

/**
 * Reads a user's name from the part of a path that follows `/chat/`.
 *
 * @param encoded the percent-encoded name
 * @returns the name, decoded and in Unicode NFC: 1 to 64 code points, no control characters, no `:` and no `/`, no
 * white space at either end
 * @throws {NameError} if it is anything else
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
    user = decodeURIComponent(encoded).normalize("NFC");
  } catch {
    throw new NameError(`the user name ${quote(encoded)} is not percent-encoded UTF-8`);
  }
  const length = [...user].length;
  if (length === 0) throw new NameError("the user name is empty: ask for /chat/{user}");
  if (length > 64) {
    throw new NameError(`the user name is ${length} characters long: at most 64 are allowed`);
  }
  if (/\p{Cc}/u.test(user)) {
    throw new NameError(`the user name ${quote(user)} has a control character`);
  }
  const forbidden = /[:/]/.exec(user);
  if (forbidden) throw new NameError(`the user name ${quote(user)} has a "${forbidden[0]}" in it`);
  if (user.trim() !== user) {
    throw new NameError(`the user name ${quote(user)} has white space at an end`);
  }
  return user;
}

/**
 * Reads a room's name from the query of a request.
 *
 * @param given every value of `room` in the query, decoded
 * @returns the one value that is given, 1 to 64 of `A-Z a-z 0-9 . _ -`; {@linkcode DEFAULT_ROOM} if there is none
 * @throws {NameError} if it is anything else
 */
export function parseRoom(given: string[]): string {
  if (given.length === 0) return DEFAULT_ROOM;
  if (given.length > 1) {
    throw new NameError("more than one room is given: one connection joins one");
  }
  const [room] = given;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(room)) {
    throw new NameError(
      `the room name ${quote(room)} is not 1 to 64 of the characters A-Z a-z 0-9 . _ -`,
    );
  }
  return room;
}

/** One line whatever is in it, and not a long one. */
function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? name.slice(0, 100) + "…" : name)
    .replace(
      /[\u007f-\u009f\u2028\u2029]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
}
