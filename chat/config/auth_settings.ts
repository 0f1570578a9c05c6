import type { AuthOptions } from "../auth/authenticate.ts";
import type { Environment } from "./settings.ts";

/** RFC 7518, section 3.2: the secret is at least as long as the hash. */
const MIN_SECRET_BYTES = 32;

/**
 * Reads how tokens are checked.
 *
 * @param problems gets a line for each value that cannot be used
 * @returns `undefined` without authentication
 */
export function readAuth(env: Environment, problems: string[]): AuthOptions | undefined {
  const secret = env.AUTH_SECRET;
  const jwksUrl = env.AUTH_JWKS_URL;
  if (!secret && !jwksUrl) {
    // A forgotten secret must not start a chat for anyone.
    for (const name of ["AUTH_AUDIENCE", "AUTH_ISSUER", "AUTH_USER_CLAIM"]) {
      if (!env[name]) continue;
      problems.push(`${name} is set, but authentication is off: set AUTH_SECRET or AUTH_JWKS_URL`);
    }
    return;
  }
  if (secret && jwksUrl) {
    problems.push("AUTH_SECRET and AUTH_JWKS_URL are both set: give one of them");
  }
  const secretBytes = new TextEncoder().encode(secret).length;
  if (secret && secretBytes < MIN_SECRET_BYTES) {
    problems.push(
      `AUTH_SECRET (not shown) has ${secretBytes} bytes: give at least ${MIN_SECRET_BYTES}, such ` +
        "as from openssl rand -base64 32",
    );
  }
  if (jwksUrl && !isHttpUrl(jwksUrl)) {
    problems.push(
      "AUTH_JWKS_URL (not shown, it may hold a password) is not of the form " +
        "https://host/path, without a user and a password",
    );
  }
  return {
    secret: secret || undefined,
    jwksUrl: jwksUrl || undefined,
    audience: env.AUTH_AUDIENCE || undefined,
    issuer: env.AUTH_ISSUER || undefined,
    userClaim: env.AUTH_USER_CLAIM || "sub",
  };
}

function isHttpUrl(given: string): boolean {
  const url = URL.parse(given);
  return /^https?:$/.test(url?.protocol ?? "") && !url?.username && !url?.password;
}

/**
 * Reads the origins whose pages may use the server.
 *
 * @param problems gets a line for each value that is no origin
 * @returns `undefined` if any page may
 */
export function readOrigins(env: Environment, problems: string[]): string[] | undefined {
  if (!env.ALLOWED_ORIGINS) return;
  const origins = env.ALLOWED_ORIGINS.split(",").map((origin) => origin.trim());
  for (const origin of origins) {
    if (URL.parse(origin)?.origin === origin && origin !== "null") continue;
    problems.push(
      `ALLOWED_ORIGINS has ${JSON.stringify(origin)}: give origins such as https://chat.example, ` +
        "without a path, separated by commas",
    );
  }
  return origins;
}
