import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from "jose";

/** The `AUTH_SECRET` of tests. */
export const SECRET = "0123456789abcdef0123456789abcdef";

/** The claims of a token; what is `undefined` is left out. */
export type Claims = Readonly<Record<string, unknown>>;

/** Returns a time so many seconds from now, as tokens have it. */
export function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

/** Makes a token for foo, who may talk in every room for an hour, unless the claims say else. */
export function makeToken(
  claims: Claims = {},
  key: string | CryptoKey = SECRET,
  header: JWTHeaderParameters = { alg: "HS256" },
): Promise<string> {
  const defaults = { sub: "foo", rooms: ["*"], publish: true, exp: secondsFromNow(3600) };
  return new SignJWT({ ...defaults, ...claims })
    .setProtectedHeader(header)
    .sign(typeof key === "string" ? new TextEncoder().encode(key) : key);
}

/** A pair of keys with an id. */
export interface TestKey {
  readonly jwk: JWK;
  /** Makes a token as {@linkcode makeToken} does. */
  sign(claims?: Claims): Promise<string>;
}

/** Makes a pair of keys. */
export async function makeKey(alg: string, kid: string): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  return {
    jwk: { ...await exportJWK(publicKey), kid, alg },
    sign: (claims) => makeToken(claims, privateKey, { alg, kid }),
  };
}

/** Starts a server that publishes keys, until it is told to do something else. */
export function startKeyServer(...keys: TestKey[]) {
  let respond = (): Response | Promise<Response> =>
    Response.json({ keys: keys.map(({ jwk }) => jwk) });
  let requests = 0;
  const stopped = new AbortController();
  const { signal } = stopped;
  const options = { hostname: "127.0.0.1", port: 0, signal, onListen() {} };
  const server = Deno.serve(options, () => {
    requests++;
    return respond();
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/keys`,
    get requests() {
      return requests;
    },
    publish(...published: TestKey[]) {
      keys = published;
    },
    respondWith(response: () => Response | Promise<Response>) {
      respond = response;
    },
    /** Ends its connections too: nobody reads the body of a response that has no keys. */
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await server.finished;
    },
  };
}
