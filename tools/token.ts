/**
 * Makes a token for a server that has `AUTH_SECRET`: `deno task token USER --rooms=red,team-*`. The
 * environment is the server's.
 *
 * @module
 */
import { SignJWT } from "jose";
import { parseUser } from "../chat/protocol/names.ts";
import { ConfigError, readConfig } from "../chat/mod.ts";

const USAGE = `Usage: deno task token USER [OPTIONS]

Prints a token that is signed with AUTH_SECRET.

--rooms=red,team-*  the rooms that the user may join and read; * stands for any characters
--listen            the user may not publish
--moderate          the user may moderate
--seconds=3600      for how long the token is valid`;

const [user, ...options] = Deno.args;
const given = new Map(options.map((option): [string, string] => {
  const [name, value = ""] = option.split("=", 2);
  return [name, value];
}));
const unknown = [...given.keys()].find((name) =>
  !["--rooms", "--listen", "--moderate", "--seconds"].includes(name)
);
const seconds = Number(given.get("--seconds") ?? 3600);
if (!user || user.startsWith("-") || unknown !== undefined || !(seconds > 0)) fail(USAGE);

const { auth } = readConfigOrFail();
if (auth?.secret === undefined) {
  fail("set AUTH_SECRET to the server's; with AUTH_JWKS_URL, its issuer makes the tokens");
}
checkUser(user);
const claims = {
  [auth.userClaim]: user,
  rooms: given.get("--rooms")?.split(",") ?? [],
  publish: !given.has("--listen"),
  moderate: given.has("--moderate"),
  aud: auth.audience,
  iss: auth.issuer,
};
const token = await new SignJWT(claims)
  .setProtectedHeader({ alg: "HS256" })
  .setIssuedAt()
  .setExpirationTime(`${seconds} seconds`)
  .sign(new TextEncoder().encode(auth.secret));
console.log(token);

function checkUser(user: string): void {
  try {
    parseUser(encodeURIComponent(user));
  } catch (error) {
    fail((error as Error).message);
  }
}

function readConfigOrFail() {
  try {
    return readConfig(Deno.env.toObject());
  } catch (error) {
    if (error instanceof ConfigError) fail(error.message);
    throw error;
  }
}

function fail(text: string): never {
  console.error(text);
  Deno.exit(1);
}
