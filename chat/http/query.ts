import { BadRequest } from "../protocol/bad_request.ts";
import { quote } from "../protocol/names.ts";

/**
 * Parses a number in a query.
 *
 * @throws {BadRequest} if it is not a whole number from `min` to `max`
 */
export function parseCount(name: string, given: string, min: number, max: number): number {
  const count = Number(given);
  if (/^\d{1,9}$/.test(given) && count >= min && count <= max) return count;
  throw new BadRequest(`${name} is ${quote(given)}: give a whole number from ${min} to ${max}`);
}
