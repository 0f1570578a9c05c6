import { STATUS_CODE } from "@std/http/status";
import { type Access, ANYONE } from "../auth/access.ts";
import { Refused } from "./responses.ts";
import type { Admission, Need } from "./route.ts";

/** A subprotocol that begins with this has a token in it: no server chooses it. */
export const TOKEN_PREFIX = "token.";

const MISSING_CLAIMS: Readonly<Record<Exclude<Need, "read">, string>> = {
  publish: "the token does not allow to publish",
  moderate: "the token does not allow to moderate",
};

/** Makes the check of every request for a room. */
export function makeAdmission(): Admission {
  // deno-lint-ignore require-await -- it will check tokens
  return async (_request, need, room) => {
    const access: Access = ANYONE;
    if (access.user === undefined && need !== "read") {
      throw forbid("this needs authentication, which is off: set AUTH_SECRET or AUTH_JWKS_URL");
    }
    if (!access.allowsRoom(room)) throw forbid(`the token does not allow the room ${room}`);
    if (need === "publish" && !access.canPublish) throw forbid(MISSING_CLAIMS.publish);
    if (need === "moderate" && !access.canModerate) throw forbid(MISSING_CLAIMS.moderate);
    // Here the bans of the room are asked for.
    return access;
  };
}

/** Makes the refusal of a client that is known, and may not do what it asked for. */
export function forbid(line: string): Refused {
  return new Refused(STATUS_CODE.Forbidden, line, {
    "www-authenticate": `Bearer error="insufficient_scope"`,
  });
}
