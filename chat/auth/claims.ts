import { BadRequest } from "../protocol/bad_request.ts";
import { checkUser } from "../protocol/names.ts";
import { type Access, TokenRefused } from "./access.ts";

/** The claims of a token whose signature and times are right. */
export type Claims = Readonly<Record<string, unknown>>;

/**
 * Reads what a token allows. A missing claim allows nothing.
 *
 * @param userClaim the name of the claim with the user's name
 * @throws {TokenRefused} if a claim has a value of another type, or the user's name is not valid
 */
export function readAccess(claims: Claims, userClaim: string): Access {
  const rooms = readRooms(claims);
  return {
    user: readUser(claims[userClaim], userClaim),
    expiresAtMs: Number(claims.exp) * 1_000,
    canPublish: readFlag(claims, "publish"),
    canModerate: readFlag(claims, "moderate"),
    allowsRoom: (room) => rooms.some((pattern) => matches(pattern, room)),
  };
}

function readUser(user: unknown, claim: string): string {
  if (typeof user !== "string" || !user.isWellFormed()) {
    throw new TokenRefused(`the token has no user's name in ${claim}`);
  }
  try {
    return checkUser(user);
  } catch (error) {
    if (error instanceof BadRequest) throw new TokenRefused(`in ${claim}, ${error.message}`);
    throw error;
  }
}

function readRooms({ rooms = [] }: Claims): readonly string[] {
  if (Array.isArray(rooms) && rooms.every((room) => typeof room === "string")) return rooms;
  throw new TokenRefused("the token's rooms are not a list of strings");
}

function readFlag(claims: Claims, name: string): boolean {
  const flag = claims[name] ?? false;
  if (typeof flag === "boolean") return flag;
  throw new TokenRefused(`the token's ${name} is not true or false`);
}

/** Matches a name with a pattern in which `*` stands for any characters, in linear time. */
function matches(pattern: string, name: string): boolean {
  const [start, ...parts] = pattern.split("*");
  const end = parts.pop();
  if (end === undefined) return pattern === name;
  if (!name.startsWith(start)) return false;
  let position = start.length;
  for (const part of parts) {
    const found = name.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return name.length >= position + end.length && name.endsWith(end);
}
