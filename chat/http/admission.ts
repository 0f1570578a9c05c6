import { getLogger } from "@logtape/logtape";
import { STATUS_CODE } from "@std/http/status";
import {
  type Access,
  ANYONE,
  type Authenticate,
  KeysUnavailable,
  TokenRefused,
} from "../auth/access.ts";
import { quote } from "../protocol/names.ts";
import type { ModerationStore } from "../store/moderation.ts";
import { Refused } from "./responses.ts";
import type { Admission, RouteRequest } from "./route.ts";

const logger = getLogger(["chat", "http"]);

const TOKEN_PREFIX = "token.";

/**
 * Makes the check of every request for a room.
 *
 * @param allowedOrigins the origins whose pages may ask; `undefined` for any
 * @param authenticate finds out what a token allows; `undefined` without authentication
 * @param isBanned tells whether a user or an address is banned from a room
 */
export function makeAdmission(
  allowedOrigins: readonly string[] | undefined,
  authenticate: Authenticate | undefined,
  isBanned: ModerationStore["isBanned"],
): Admission {
  let hasWarned = false;
  /** The page itself cannot learn why: to a request that tells, a browser adds no origin. */
  function warnOfOwnPage(origin: string, { host }: URL): void {
    const own = URL.parse(origin);
    if (hasWarned || own?.host !== host) return;
    hasWarned = true;
    logger.warn`The server refuses its own page: add ${own.origin} to ALLOWED_ORIGINS`;
  }
  return async (request, need, room) => {
    const origin = request.request.headers.get("origin");
    if (origin !== null && allowedOrigins && !allowedOrigins.includes(origin)) {
      warnOfOwnPage(origin, request.url);
      throw new Refused(STATUS_CODE.Forbidden, `pages of ${quote(origin)} may not use this server`);
    }
    const access = authenticate ? await authenticateRequest(authenticate, request) : ANYONE;
    if (access.user === undefined && need !== "read") {
      throw forbid("this needs authentication: start the server with AUTH_SECRET or AUTH_JWKS_URL");
    }
    if (!access.allowsRoom(room)) throw forbid(`the token does not allow the room ${room}`);
    if (need === "publish" && !access.canPublish || need === "moderate" && !access.canModerate) {
      throw forbid(`the token does not allow to ${need}`);
    }
    const { user, canModerate } = access;
    if (
      user !== undefined && !canModerate && await isBanned(room, user, request.client.name)
    ) throw forbid("you are banned from this room");
    return access;
  };
}

async function authenticateRequest(
  authenticate: Authenticate,
  request: RouteRequest,
): Promise<Access> {
  const [token, ...more] = findTokens(request);
  if (token === undefined) {
    // RFC 6750, section 3.1: without a token there is no error code.
    throw new Refused(STATUS_CODE.Unauthorized, "a token is needed", {
      "www-authenticate": "Bearer",
    });
  }
  if (more.length > 0) {
    throw challenge(STATUS_CODE.BadRequest, "more than one token is given", "invalid_request");
  }
  try {
    return await authenticate(token);
  } catch (error) {
    if (error instanceof TokenRefused) {
      throw challenge(STATUS_CODE.Unauthorized, error.message, "invalid_token");
    }
    if (error instanceof KeysUnavailable) {
      throw new Refused(STATUS_CODE.ServiceUnavailable, error.message, { "retry-after": "5" });
    }
    throw error;
  }
}

/** Finds the tokens of a request: there are three ways to give one. */
function findTokens({ request: { headers }, url: { searchParams } }: RouteRequest): string[] {
  const [, bearer] = /^Bearer +(.+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  return [
    ...bearer === undefined ? [] : [bearer],
    ...searchParams.getAll("token"),
    ...listSubprotocols(headers).filter(isTokenSubprotocol)
      .map((name) => name.slice(TOKEN_PREFIX.length)),
  ];
}

/** Lists the subprotocols that a request asks for. */
export function listSubprotocols(headers: Headers): string[] {
  return headers.get("sec-websocket-protocol")?.split(",").map((name) => name.trim()) ?? [];
}

/** Tells whether a subprotocol is no protocol, but holds a token. */
export function isTokenSubprotocol(name: string): boolean {
  return name.startsWith(TOKEN_PREFIX);
}

/** Makes the refusal of a client that is known, and may not do what it asked for. */
export function forbid(line: string): Refused {
  return challenge(STATUS_CODE.Forbidden, line, "insufficient_scope");
}

/** Makes a refusal with `WWW-Authenticate`, whose descriptions have ASCII without quotes. */
function challenge(status: number, line: string, code: string): Refused {
  const description = line.replaceAll(/[^ -~]|["\\]/g, "");
  return new Refused(status, line, {
    "www-authenticate": `Bearer error="${code}", error_description="${description}"`,
  });
}
