import { errors, jwtVerify, type JWTVerifyOptions } from "jose";
import { type Authenticate, KeysUnavailable, TokenRefused } from "./access.ts";
import { readAccess } from "./claims.ts";
import { openKeyServer } from "./key_server.ts";

/** How tokens are checked: with a secret, or with the keys of a key server. */
export interface AuthOptions {
  /** The secret of HS256; `undefined` if a key server has the keys. */
  readonly secret?: string;
  /** Where the key server has the keys of RS256, ES256 and EdDSA; `undefined` with a secret. */
  readonly jwksUrl?: string;
  /** What `aud` must have in it; `undefined` for anything. */
  readonly audience?: string;
  /** What `iss` must be; `undefined` for anything. */
  readonly issuer?: string;
  /** The name of the claim with the user's name. */
  readonly userClaim: string;
}

/** The longest token. A longer one is refused before any work. */
const MAX_TOKEN_CHARS = 8 * 1024;

/** How far the clocks of the issuer and of this server may be apart. */
const TOLERANCE_SECONDS = 5;

/** The words for a claim that is not as it must be. */
const CLAIM_PROBLEMS: Readonly<Record<string, string>> = {
  nbf: "the token is not valid yet",
  aud: "the token is for another audience",
  iss: "the token is from another issuer",
};

/** Makes the check of tokens. The algorithm must be one of those that the options stand for. */
export async function makeAuthenticate(options: AuthOptions): Promise<Authenticate> {
  const { secret, jwksUrl, audience, issuer, userClaim } = options;
  const checks: JWTVerifyOptions = {
    algorithms: secret === undefined ? ["RS256", "ES256", "EdDSA"] : ["HS256"],
    requiredClaims: ["exp"],
    clockTolerance: TOLERANCE_SECONDS,
    audience,
    issuer,
  };
  const keys = secret === undefined ? openKeyServer(new URL(jwksUrl!)) : await importSecret(secret);
  const authenticate: Authenticate = async (token) => {
    if (token.length > MAX_TOKEN_CHARS) {
      throw new TokenRefused(`the token is longer than ${MAX_TOKEN_CHARS} characters`);
    }
    try {
      // The two signatures of `jwtVerify` have no union.
      const { payload } = await (typeof keys === "function"
        ? jwtVerify(token, keys, checks)
        : jwtVerify(token, keys, checks));
      return { ...readAccess(payload, userClaim), renew: authenticate };
    } catch (error) {
      if (error instanceof TokenRefused || error instanceof KeysUnavailable) throw error;
      throw new TokenRefused(explain(error));
    }
  };
  return authenticate;
}

async function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return await crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]);
}

function explain(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "the token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === "check_failed") return CLAIM_PROBLEMS[claim];
    return `the token's ${claim} is ${reason === "missing" ? "missing" : "of another type"}`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not allowed";
  if (error instanceof errors.JWKSNoMatchingKey) return "the token's key is not known";
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return "the token's signature is not valid";
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "the token does not name its key";
  if (error instanceof errors.JOSEError) return "the token is no valid JWT";
  return "the token's key cannot be used";
}
