/**
 * Makes a token for a server that has `AUTH_SECRET`: `deno task token USER --rooms='red,team-*'`.
 * The environment is the server's.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { parseUser } from "../chat/protocol/names.ts";
import { ConfigError, readConfig } from "../chat/mod.ts";

const USAGE = `Usage: deno task token USER --rooms=ROOMS [OPTIONS]

Prints a token that is signed with AUTH_SECRET.

--rooms='red,team-*'  the rooms that the user may join and read; * stands for any characters
--listen              the user may not publish
--moderate            the user may moderate
--seconds=3600        for how long the token is valid`;

const { user, rooms, listen, moderate, seconds } = readArguments();
const { auth } = readConfigOrFail();
if (auth?.secret === undefined) {
  fail("set AUTH_SECRET to the server's; with AUTH_JWKS_URL, its issuer makes the tokens");
}
checkUser(user);
const claims = {
  [auth.userClaim]: user,
  rooms: rooms.split(","),
  publish: !listen,
  moderate: moderate === true,
  aud: auth.audience,
  iss: auth.issuer,
};
const token = await new SignJWT(claims)
  .setProtectedHeader({ alg: "HS256" })
  .setIssuedAt()
  .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
  .sign(new TextEncoder().encode(auth.secret));
console.log(token);

function readArguments() {
  try {
    const { values, positionals: [user, ...more] } = parseArgs({
      args: Deno.args,
      allowPositionals: true,
      options: {
        rooms: { type: "string" },
        listen: { type: "boolean" },
        moderate: { type: "boolean" },
        seconds: { type: "string", default: "3600" },
      },
    });
    const seconds = Number(values.seconds);
    const { rooms } = values;
    if (user && more.length === 0 && rooms && Number.isSafeInteger(seconds) && seconds > 0) {
      return { ...values, user, rooms, seconds };
    }
  } catch {
    // The usage says it.
  }
  fail(USAGE);
}

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
