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

/** The second number can be as large as this in Redis, if another program chose it. */
const MAX_SEQUENCE = 18_446_744_073_709_551_615n;

/** Tells whether a value is an id. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}

/** Returns the lowest id that is later than another one. */
export function nextId(id: string): string {
  const [time, sequence] = id.split("-").map(BigInt);
  return sequence === MAX_SEQUENCE ? `${time + 1n}-0` : `${time}-${sequence + 1n}`;
}

/** Returns the highest id that is earlier than another one; for `0-0`, the same id. */
export function previousId(id: string): string {
  const [time, sequence] = id.split("-").map(BigInt);
  if (sequence > 0n) return `${time}-${sequence - 1n}`;
  return time > 0n ? `${time - 1n}-${MAX_SEQUENCE}` : id;
}

/** Returns the time in an id, in milliseconds since 1970. */
export function timestampOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

/** The least sequence that `publish.lua` gives to a message that is no proof of no gap. */
const MIN_DOUBTFUL_SEQUENCE_DIGITS = 10;

/**
 * Tells whether a message proves that nothing is between it and its `prev`. If Redis has lost the
 * end of a log, the next message there follows the last one that its instance has heard, and the
 * log may have others before it, which that instance has not heard. Such a message has a sequence
 * of at least 1,000,000,000, and its `prev` is of another millisecond.
 */
export function isProofOfNoGap(id: string, prev: string): boolean {
  const dash = id.indexOf("-") + 1;
  return id.length - dash < MIN_DOUBTFUL_SEQUENCE_DIGITS || prev.startsWith(id.slice(0, dash));
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
  // Neither number has leading zeros, so one with more digits is larger.
  const digits = one.indexOf("-"), otherDigits = other.indexOf("-");
  if (digits !== otherDigits) return digits > otherDigits;
  if (one.length === other.length) return one > other;
  const time = one.slice(0, digits), otherTime = other.slice(0, digits);
  return time === otherTime ? one.length > other.length : time > otherTime;
}
