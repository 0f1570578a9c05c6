import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnsecuredJWT } from "jose";
import { type Access, KeysUnavailable, TokenRefused } from "../../chat/auth/access.ts";
import { type AuthOptions, makeAuthenticate } from "../../chat/auth/authenticate.ts";
import {
  type Claims,
  makeKey,
  makeToken,
  secondsFromNow,
  SECRET,
  startKeyServer,
} from "../support/tokens.ts";

const WITH_SECRET = { userClaim: "sub", secret: SECRET };

async function allow(claims: Claims, options?: Partial<AuthOptions>): Promise<Access> {
  const authenticate = await makeAuthenticate({ ...WITH_SECRET, ...options });
  return await authenticate(await makeToken(claims));
}

/** Tells why a token with such claims is refused. */
async function refuse(claims: Claims, options?: Partial<AuthOptions>): Promise<string> {
  return await refuseToken(await makeToken(claims), options);
}

/** Tells why a token is refused. */
async function refuseToken(token: string, options?: Partial<AuthOptions>): Promise<string> {
  const authenticate = await makeAuthenticate({ ...WITH_SECRET, ...options });
  return (await assertRejects(() => authenticate(token), TokenRefused)).message;
}

Deno.test("a token allows what its claims say", async () => {
  const exp = secondsFromNow(60);
  const { allowsRoom, renew, ...access } = await allow({ exp, moderate: true });
  assertEquals(access, {
    user: "foo",
    expiresAtMs: exp * 1000,
    canPublish: true,
    canModerate: true,
  });
  assert(allowsRoom("red"));
  assertEquals((await renew!(await makeToken({ sub: "bar" }))).user, "bar");
});

Deno.test("a missing claim allows nothing", async () => {
  const access = await allow({ rooms: undefined, publish: undefined });
  assertEquals([access.canPublish, access.canModerate], [false, false]);
  assertEquals(access.allowsRoom("chat"), false);
});

Deno.test("a room is allowed if one of the patterns fits all of its name", async () => {
  const cases: [string[], string[], string[]][] = [
    [["red", "blue"], ["red", "blue"], ["Red", "redder", "green", "re"]],
    [["team-*"], ["team-", "team-a"], ["team", "xteam-a"]],
    [["*-red"], ["-red", "a-red"], ["a-red-"]],
    [["a*b*c"], ["abc", "axbxc", "abbcc"], ["ab", "ac", "acb", "abcd"]],
    [["a*a"], ["aa", "aba"], ["a"]],
    [["ab*ba"], ["abba"], ["aba"]],
    [["*"], ["a", "chat"], []],
    [["a.c"], ["a.c"], ["abc"]],
    [[], [], ["a"]],
    [["*a".repeat(31) + "b"], [], ["a".repeat(64)]],
  ];
  for (const [rooms, allowed, forbidden] of cases) {
    const { allowsRoom } = await allow({ rooms });
    assertEquals([...allowed, ...forbidden].filter(allowsRoom), allowed, `${rooms}`);
  }
});

Deno.test("a token is refused if its times, audience or issuer are not right", async () => {
  assertEquals(await refuse({ exp: secondsFromNow(-6) }), "the token has expired");
  assertEquals((await allow({ exp: secondsFromNow(-3) })).user, "foo");
  assertEquals(await refuse({ exp: undefined }), "the token's exp is missing");
  assertEquals(await refuse({ exp: "never" }), "the token's exp is of another type");
  assertEquals(await refuse({ nbf: secondsFromNow(8) }), "the token is not valid yet");
  assertEquals((await allow({ nbf: secondsFromNow(3) })).user, "foo");
  const options = { audience: "chat", issuer: "https://id.example" };
  const right = { aud: ["mail", "chat"], iss: "https://id.example" };
  assertEquals((await allow(right, options)).user, "foo");
  assertEquals(
    await refuse({ ...right, aud: "mail" }, options),
    "the token is for another audience",
  );
  assertEquals(await refuse({ ...right, aud: undefined }, options), "the token's aud is missing");
  assertEquals(await refuse({ ...right, iss: "x" }, options), "the token is from another issuer");
});

Deno.test("a token is refused if a claim is of another type, or names no valid user", async () => {
  assertEquals(await refuse({ rooms: "red" }), "the token's rooms are not a list of strings");
  assertEquals(await refuse({ rooms: [1] }), "the token's rooms are not a list of strings");
  assertEquals(await refuse({ publish: "yes" }), "the token's publish is not true or false");
  assertEquals(await refuse({ moderate: 1 }), "the token's moderate is not true or false");
  assertEquals(await refuse({ sub: undefined }), "the token has no user's name in sub");
  assertEquals(await refuse({ sub: "\ud800" }), "the token has no user's name in sub");
  assertEquals(await refuse({ sub: "a:b" }), 'in sub, the user name "a:b" has a ":" in it');
  assertEquals((await allow({ sub: "100%" })).user, "100%");
  assertEquals((await allow({ sub: "Zoe\u0308" })).user, "Zoë");
  const byNickname = { userClaim: "nickname" };
  assertEquals((await allow({ nickname: "Zoë" }, byNickname)).user, "Zoë");
  assertEquals(await refuse({}, byNickname), "the token has no user's name in nickname");
});

Deno.test("a token is refused if its signature is of another key or algorithm", async () => {
  const good = await makeToken();
  assertEquals(
    await refuseToken(await makeToken({}, "another secret, of at least 32 bytes")),
    "the token's signature is not valid",
  );
  const [header, , signature] = good.split(".");
  const [, payload] = (await makeToken({ moderate: true })).split(".");
  assertEquals(
    await refuseToken(`${header}.${payload}.${signature}`),
    "the token's signature is not valid",
  );
  const unsecured = new UnsecuredJWT({ sub: "foo" }).setExpirationTime("1h").encode();
  for (const token of [unsecured, `${unsecured}x`, "", "a.b.c", "x", `${good}.x`]) {
    await refuseToken(token);
  }
  assertEquals(await refuseToken(unsecured), "the token's algorithm is not allowed");
  const hs512 = await makeToken({}, SECRET.repeat(2), { alg: "HS512" });
  assertEquals(
    await refuseToken(hs512, { secret: SECRET.repeat(2) }),
    "the token's algorithm is not allowed",
  );
  const rsa = await makeKey("RS256", "1");
  assertEquals(await refuseToken(await rsa.sign()), "the token's algorithm is not allowed");
});

Deno.test("a token that is too long is refused before any work", async () => {
  const long = await makeToken({ x: "x".repeat(64 * 1024) });
  assertEquals(await refuseToken(long), "the token is longer than 8192 characters");
});

Deno.test("the keys of a key server check tokens of their own algorithms alone", async () => {
  const keys = await Promise.all(
    ["RS256", "ES256", "EdDSA"].map((alg) => makeKey(alg, `kid-${alg}`)),
  );
  const ps256 = await makeKey("PS256", "kid-PS256");
  await using server = startKeyServer(...keys, ps256);
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  for (const key of keys) assertEquals((await authenticate(await key.sign())).user, "foo");
  const refuses = (token: string, why: string) =>
    assertRejects(() => authenticate(token), TokenRefused, why);
  await refuses(await ps256.sign(), "the token's algorithm is not allowed");
  // Whoever has the public key could sign with it if it passed for a secret.
  const [{ jwk }] = keys;
  const confused = await makeToken({}, JSON.stringify(jwk), { alg: "HS256", kid: jwk.kid });
  await refuses(confused, "the token's algorithm is not allowed");
  await refuses(
    await makeToken({}, jwk.n, { alg: "HS256" }),
    "the token's algorithm is not allowed",
  );
  const impostor = await makeKey("EdDSA", "kid-EdDSA");
  await refuses(await impostor.sign(), "the token's signature is not valid");
  assertEquals(server.requests, 1);
});

/** The clock of one test, which the test moves. */
function useClock() {
  const [now, monotonicNow] = [Date.now, performance.now];
  let aheadMs = 0;
  Date.now = () => now() + aheadMs;
  performance.now = () => monotonicNow.call(performance) + aheadMs;
  return {
    advance(ms: number) {
      aheadMs += ms;
    },
    [Symbol.dispose]() {
      Date.now = now;
      performance.now = monotonicNow;
    },
  };
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

Deno.test("rotated keys are found, and the key server is asked once in five seconds", async () => {
  using clock = useClock();
  const [old, fresh, unknown] = await Promise.all(
    ["1", "2", "3"].map((id) => makeKey("EdDSA", id)),
  );
  await using server = startKeyServer(old);
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  assertEquals((await authenticate(await old.sign())).user, "foo");
  server.publish(fresh);
  clock.advance(6_000);
  const token = await fresh.sign();
  assertEquals((await Promise.all([1, 2, 3].map(() => authenticate(token)))).length, 3);
  assertEquals(server.requests, 2);
  for (let i = 0; i < 20; i++) {
    const forged = await unknown.sign();
    await assertRejects(() => authenticate(forged), TokenRefused, "the token's key is not known");
  }
  assertEquals(server.requests, 2);
  await assertRejects(async () => authenticate(await old.sign()), TokenRefused);
});

Deno.test("a withdrawn key serves for five minutes at most, whoever came meanwhile", async () => {
  using clock = useClock();
  const [old, fresh] = await Promise.all(["1", "2"].map((id) => makeKey("EdDSA", id)));
  await using server = startKeyServer(old);
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  const token = await old.sign({ exp: secondsFromNow(86_400) });
  await authenticate(token);
  server.publish(fresh);
  clock.advance(4 * MINUTE_MS);
  assertEquals((await authenticate(token)).user, "foo");
  clock.advance(2 * MINUTE_MS);
  const attempts = await Promise.allSettled([1, 2, 3].map(() => authenticate(token)));
  assertEquals(attempts.map(({ status }) => status), ["rejected", "rejected", "rejected"]);
  assertEquals(server.requests, 2);
});

Deno.test("the last good keys serve for a day while the key server is away", async () => {
  using clock = useClock();
  const key = await makeKey("EdDSA", "1");
  await using server = startKeyServer(key);
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  const exp = secondsFromNow(3 * 86_400);
  const token = await key.sign({ exp });
  const other = await (await makeKey("EdDSA", "2")).sign({ exp });
  await authenticate(token);
  for (
    const broken of [
      () => new Response("oops", { status: 500 }),
      () => new Response("<p>not now</p>"),
      () => Response.json({ keys: "none" }),
      () => Response.redirect("http://127.0.0.1:1/"),
    ]
  ) {
    server.respondWith(broken);
    clock.advance(5 * HOUR_MS);
    const { requests } = server;
    // A key that is not known lets the keys be read again.
    await assertRejects(() => authenticate(other), TokenRefused, "the token's key is not known");
    assertEquals(server.requests, requests + 1);
    assertEquals((await authenticate(token)).user, "foo");
  }
  clock.advance(5 * HOUR_MS);
  await assertRejects(() => authenticate(token), KeysUnavailable);
  server.respondWith(() => Response.json({ keys: [key.jwk] }));
  clock.advance(MINUTE_MS);
  assertEquals((await authenticate(token)).user, "foo");
});

Deno.test("while there are no keys yet, tokens are refused for now, and wait briefly", async () => {
  using clock = useClock();
  const key = await makeKey("EdDSA", "1");
  await using server = startKeyServer(key);
  const released = Promise.withResolvers<Response>();
  server.respondWith(() => released.promise);
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  const token = await key.sign();
  await assertRejects(() => authenticate(token), KeysUnavailable, "cannot be read");
  await assertRejects(() => authenticate(token), KeysUnavailable);
  assertEquals(server.requests, 1);
  server.respondWith(() => Response.json({ keys: [key.jwk] }));
  clock.advance(6_000);
  assertEquals((await authenticate(token)).user, "foo");
  released.resolve(new Response("too late"));
});

Deno.test("of a key server's response, no more than about a mebibyte is read", async () => {
  const key = await makeKey("EdDSA", "1");
  await using server = startKeyServer(key);
  let sentMiB = 0;
  const chunk = new Uint8Array(1024 * 1024).fill(" ".charCodeAt(0));
  server.respondWith(() => {
    const pull = (controller: ReadableStreamDefaultController) => {
      controller.enqueue(chunk);
      if (++sentMiB === 200) controller.close();
    };
    return new Response(new ReadableStream({ pull }));
  });
  const authenticate = await makeAuthenticate({ userClaim: "sub", jwksUrl: server.url });
  await assertRejects(async () => authenticate(await key.sign()), KeysUnavailable);
  // What is on its way does not count.
  assert(sentMiB < 50, `${sentMiB} MiB were sent`);
});
