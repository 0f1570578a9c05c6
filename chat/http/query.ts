import { BadRequest } from "../protocol/bad_request.ts";
import { quote } from "../protocol/names.ts";

/**
 * Finds a parameter of a query; `undefined` if there is none.
 *
 * @throws {BadRequest} if it is given twice
 */
export function findParameter(query: URLSearchParams, name: string): string | undefined {
  const [given, ...more] = query.getAll(name);
  if (more.length > 0) throw new BadRequest(`${name} is given more than once`);
  return given;
}

/**
 * Parses a parameter of a query that is a number.
 *
 * @param fallback what counts if there is none
 * @throws {BadRequest} if it is not a whole number from `min` to `max`
 */
export function parseCount(
  query: URLSearchParams,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const given = findParameter(query, name) ?? `${fallback}`;
  const count = Number(given);
  if (/^\d{1,9}$/.test(given) && count >= min && count <= max) return count;
  throw new BadRequest(`${name} is ${quote(given)}: give a whole number from ${min} to ${max}`);
}
