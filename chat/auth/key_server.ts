import { getLogger } from "@logtape/logtape";
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from "jose";
import { KeysUnavailable } from "./access.ts";

const logger = getLogger(["chat", "auth"]);

/** The key server must respond within this time. */
const TIMEOUT_MS = 3_000;

/** The longest response of the key server. */
const MAX_RESPONSE_BYTES = 1024 * 1024;

/** The pause between two requests to the key server, whatever clients send. */
const MIN_PAUSE_MS = 5_000;

/** Keys that were read before this time are read again: one may have been withdrawn. */
const REFRESH_AFTER_MS = 300_000;

/** How long the last good keys serve while the key server is away. */
const SERVE_FOR_MS = 86_400_000;

/**
 * Finds the keys that check tokens at a key server, which publishes them as a JSON Web Key Set. It
 * reads them at once, and again when a token names a key that is not known. While the key server
 * is away, the last good keys serve for a day.
 *
 * @returns finds the key of a token; throws {@linkcode KeysUnavailable} if there are no keys
 */
export function openKeyServer(url: URL): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(url, {
    timeoutDuration: TIMEOUT_MS,
    cacheMaxAge: SERVE_FOR_MS,
    // Without an end: only `refresh` reads the keys again.
    cooldownDuration: Infinity,
    [customFetch]: fetchBounded,
  });
  /** When the last request ended. */
  let askedAt = -Infinity;
  let asked: Promise<void>;
  let isAsking = false;
  let isAway = false;

  function refresh(): Promise<void> {
    if (isAsking || performance.now() - askedAt < MIN_PAUSE_MS) return asked;
    isAsking = true;
    asked = keys.reload().then(() => {
      if (isAway) logger.info`The key server responds again`;
      isAway = false;
    }, (error) => {
      // The path and the query of the URL may hold a secret.
      const cause = `${error.cause ?? error}`.replaceAll(url.href.split("#")[0], url.host);
      const effect = keys.fresh
        ? "the last ones serve for a day"
        : "nobody can join until it responds";
      if (!isAway) logger.warn`No keys from ${url.host} (${cause}); ${effect}`;
      isAway = true;
      throw new KeysUnavailable("the keys that check tokens cannot be read");
    }).finally(() => {
      askedAt = performance.now();
      isAsking = false;
    });
    asked.catch(() => {});
    return asked;
  }

  refresh();
  return async (header, token) => {
    if (!keys.fresh) await refresh();
    else if (performance.now() - askedAt > REFRESH_AFTER_MS) await refresh().catch(() => {});
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh().catch(() => {});
      return await keys(header, token);
    }
  };
}

/** Fetches a response that fails when it is too long: else a broken key server takes all memory. */
async function fetchBounded(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, options);
  let bytes = 0;
  const limit = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      bytes += chunk.length;
      if (bytes > MAX_RESPONSE_BYTES) throw new Error("the response is too long");
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body?.pipeThrough(limit), response);
}
