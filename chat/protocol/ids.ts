/**
 * The ids of messages: `milliseconds-sequence`, as Redis assigns them to the entries of a stream,
 * see https://redis.io/docs/latest/develop/data-types/streams/#entry-ids
 *
 * @module
 */

/** The id that is lower than every message's: the `prev` of a room's first message. */
export const BEFORE_FIRST_ID = "0-0";

/**
 * Both numbers without leading zeros, and small enough to be exact: the first is a time until the
 * year 33658.
 */
const ID = /^(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/;

/** Tells whether a text is an id. */
export function isId(text: string): boolean {
  return ID.test(text);
}

/** Returns the lowest id that is later than another one. */
export function nextId(id: string): string {
  const [time, sequence] = id.split("-");
  return `${time}-${Number(sequence) + 1}`;
}

/** Returns the time in an id, in milliseconds since 1970. */
export function timestampOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

/**
 * Tells whether one id comes after another one.
 *
 * @param one an id
 * @param other an id
 *
 * @example
 * ```ts
 * import { isLater } from "./ids.ts";
 * import { assert } from "@std/assert";
 *
 * assert(isLater("1700000000000-10", "1700000000000-9"));
 * assert(!isLater("1700000000000-9", "1700000000000-9"));
 * ```
 */
export function isLater(one: string, other: string): boolean {
  if (one === other) return false;
  const [time, sequence] = one.split("-").map(Number);
  const [otherTime, otherSequence] = other.split("-").map(Number);
  return time > otherTime || time === otherTime && sequence > otherSequence;
}
