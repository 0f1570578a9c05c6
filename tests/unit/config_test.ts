import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError, type Environment, readConfig } from "../../chat/config/config.ts";

function problems(env: Environment): readonly string[] {
  return assertThrows(() => readConfig(env), ConfigError).problems;
}

const REDIS = {
  host: "r",
  port: 6379,
  database: 0,
  prefix: "",
  username: undefined,
  password: undefined,
};

function redis(env: Environment): unknown {
  return readConfig(env).redis;
}

Deno.test("readConfig() has a default for every setting", () => {
  assertEquals(readConfig({}), {
    port: 8080,
    host: "0.0.0.0",
    maxDevices: 8,
    maxMessageBytes: 65_536,
    maxBufferedBytes: 1_048_576,
    workers: 1,
    maxConnections: 0,
    maxStallSeconds: 30,
    maxFlushMs: 20,
    idleSeconds: 30,
    historyLimit: 1_000,
    historySeconds: 86_400,
    historyBytes: 4_194_304,
    limits: "on",
    trustProxy: 0,
    maxConnectionsPerAddress: 200,
    maxJoinsPerSecond: 20,
    maxRequestsPerSecond: 50,
    maxNewRoomsPerSecond: 1,
    maxAddressBytesPerSecond: 1_048_576,
    maxAddressLinesPerSecond: 1_000,
    maxDeliveredBytesPerSecond: 33_554_432,
    maxMessagesPerSecond: 20,
    maxLinesPerSecond: 100,
    maxBytesPerSecond: 131_072,
    logFormat: "text",
    logLevel: "info",
    redis: undefined,
    auth: undefined,
    allowedOrigins: undefined,
  });
});

Deno.test("LIMITS=off switches off what bounds clients, unless a variable is set", () => {
  const config = readConfig({ LIMITS: "off", MAX_JOINS_PER_SECOND: "7" });
  assertEquals(config.maxJoinsPerSecond, 7);
  assertEquals(config.maxMessagesPerSecond, 0);
  assertEquals(config.maxConnectionsPerAddress, 0);
  assertEquals(config.historyBytes, 0);
  assertEquals(config.historyLimit, 1_000);
  assertEquals(config.maxMessageBytes, 65_536);
  assertEquals(problems({ LIMITS: "no" }), ['LIMITS is "no": give on or off']);
  assertEquals(problems({ LOG_LEVEL: "warn" }), [
    'LOG_LEVEL is "warn": give debug, info, warning or error',
  ]);
});

Deno.test("readConfig() reads HOST as a name or an address, and nothing else", () => {
  for (const HOST of ["127.0.0.1", "::", "::1", "fe80::1", "::ffff:127.0.0.1", "chat-1.example"]) {
    assertEquals(readConfig({ HOST }).host, HOST);
  }
  assertEquals(readConfig({ HOST: "[::1]" }).host, "::1");
  for (
    const HOST of ["localhost:80", "http://localhost", "a b", "[localhost]", "[::1]:80", "::1/"]
  ) {
    assertEquals(problems({ HOST }), [
      `HOST is "${HOST}": give an address or a name, such as 127.0.0.1`,
    ]);
  }
});

Deno.test("readConfig() reads the number of workers; more than one needs Redis", () => {
  const shared = { REDIS_HOST: "r" };
  assertEquals(readConfig({ ...shared, WORKERS: "3" }).workers, 3);
  assertEquals(readConfig({ ...shared, WORKERS: "auto" }).workers, navigator.hardwareConcurrency);
  assertEquals(problems({ ...shared, WORKERS: "0" }), [
    'WORKERS is "0": give a whole number from 1 to 256 or auto',
  ]);
  for (const env of [{ WORKERS: "2" }, { ...shared, CHAT_STORE: "memory", WORKERS: "2" }]) {
    assertEquals(problems(env), [
      'WORKERS is "2", but in memory each has a chat of its own: ' +
      "set REDIS_HOST=host:port, or leave it at 1",
    ]);
  }
});

Deno.test("readConfig() treats an empty variable as not set", () => {
  assertEquals(readConfig({ PORT: "", HOST: "", REDIS_HOST: "", CHAT_STORE: "" }), readConfig({}));
});

Deno.test("readConfig() chooses Redis if its address is set", () => {
  assertEquals(redis({ REDIS_HOST: "r:6379" }), { ...REDIS, tls: false });
  assertEquals(redis({ REDIS_URL: "redis://r" }), { ...REDIS, tls: false });
  assertEquals(readConfig({ REDIS_HOST: "r:6379", CHAT_STORE: "memory" }).redis, undefined);
});

Deno.test("readConfig() reads REDIS_HOST as a name or an address, with or without a port", () => {
  assertEquals(redis({ REDIS_HOST: "r" }), { ...REDIS, tls: false });
  assertEquals(redis({ REDIS_HOST: "[::1]:7000" }), {
    ...REDIS,
    host: "::1",
    port: 7000,
    tls: false,
  });
  assertEquals(redis({ REDIS_HOST: "10.0.0.1:7000" }), {
    ...REDIS,
    host: "10.0.0.1",
    port: 7000,
    tls: false,
  });
});

Deno.test("readConfig() reads credentials from variables and from a percent-encoded URL", () => {
  const expected = { ...REDIS, username: "me", password: "p@ss/:word", tls: false };
  assertEquals(
    redis({ REDIS_HOST: "r", REDIS_USERNAME: "me", REDIS_PASSWORD: "p@ss/:word" }),
    expected,
  );
  assertEquals(redis({ REDIS_URL: "redis://me:p%40ss%2F%3Aword@r:6379/0" }), expected);
  assertEquals(redis({ REDIS_URL: "redis://:p%40ss%2F%3Aword@r/3" }), {
    ...expected,
    username: undefined,
    database: 3,
  });
});

Deno.test("readConfig() reads the prefix of all names in Redis", () => {
  const longest = "Team_1.a:-".padEnd(64, "x");
  assertEquals(redis({ REDIS_HOST: "r", REDIS_PREFIX: longest }), {
    ...REDIS,
    prefix: longest,
    tls: false,
  });
  assertEquals(problems({ REDIS_URL: "redis://r/1", REDIS_PREFIX: "a b" }), [
    'REDIS_PREFIX is "a b": give up to 64 of the characters A-Z a-z 0-9 . _ : -',
  ]);
  for (const REDIS_PREFIX of [`${longest}x`, "{a}", "a}", "a*", "é", "a\n", "a@1"]) {
    assertEquals(problems({ REDIS_HOST: "r", REDIS_PREFIX }).length, 1, REDIS_PREFIX);
  }
  assertEquals(problems({ REDIS_PREFIX: "a" }), [
    "REDIS_PREFIX is set, but not where Redis is: set REDIS_HOST=host:port too",
  ]);
});

Deno.test("readConfig() turns TLS on for port 6380 and rediss://, unless REDIS_TLS decides", () => {
  const tls = (env: Environment) => readConfig(env).redis?.tls;
  assertEquals(tls({ REDIS_HOST: "r:6379" }), false);
  assertEquals(tls({ REDIS_HOST: "r:6380" }), true);
  assertEquals(tls({ REDIS_HOST: "r:6380", REDIS_TLS: "off" }), false);
  assertEquals(tls({ REDIS_HOST: "r:6379", REDIS_TLS: "on" }), true);
  assertEquals(tls({ REDIS_URL: "redis://r:6380" }), true);
  assertEquals(tls({ REDIS_URL: "rediss://r:6379" }), true);
  assertEquals(tls({ REDIS_URL: "redis://r:6379", REDIS_TLS: "true" }), true);
});

Deno.test("readConfig() says what would be right for each wrong value", () => {
  assertEquals(problems({ PORT: "http" }), [
    'PORT is "http": give a whole number from 0 to 65535',
  ]);
  assertEquals(problems({ PORT: "65536" }).length, 1);
  assertEquals(problems({ PORT: "-1" }).length, 1);
  assertEquals(problems({ PORT: "1e3" }).length, 1);
  assertEquals(problems({ MAX_MESSAGE_BYTES: "0" }).length, 1);
  assertEquals(problems({ MAX_MESSAGE_BYTES: "1000", MAX_BUFFERED_BYTES: "1999" }).length, 1);
  assertEquals(problems({ CHAT_STORE: "mongo" }), ['CHAT_STORE is "mongo": give redis or memory']);
  assertEquals(problems({ CHAT_STORE: "redis" }), [
    "CHAT_STORE is redis: set REDIS_HOST=host:port too, or REDIS_URL",
  ]);
  assertEquals(problems({ REDIS_HOST: "r:0" }), [
    'REDIS_HOST is "r:0": give host:port, such as redis.example:6379',
  ]);
  assertEquals(problems({ REDIS_HOST: "a b" }).length, 1);
  assertEquals(problems({ REDIS_HOST: "r", REDIS_TLS: "maybe" }), [
    'REDIS_TLS is "maybe": give on or off',
  ]);
  assertEquals(problems({ REDIS_URL: "rediss://r", REDIS_TLS: "off" }).length, 1);
  assertEquals(problems({ REDIS_HOST: "r", REDIS_USERNAME: "me" }).length, 1);
  assertEquals(
    problems({ REDIS_URL: "redis://r", REDIS_HOST: "r", REDIS_PASSWORD: "p" }).length,
    2,
  );
});

Deno.test("readConfig() rejects a Redis password without the address of Redis", () => {
  assertStringIncludes(problems({ REDIS_PASSWORD: "secret" })[0], "set REDIS_HOST=host:port too");
  assertEquals(readConfig({ REDIS_PASSWORD: "secret", CHAT_STORE: "memory" }).redis, undefined);
});

Deno.test("readConfig() reports all wrong values at once", () => {
  assertEquals(problems({ PORT: "x", MAX_MESSAGE_BYTES: "y", CHAT_STORE: "z" }).length, 3);
});

Deno.test("readConfig() never shows a password", () => {
  for (
    const env of [
      { REDIS_URL: "http://me:secret@r:6379" },
      { REDIS_URL: "redis://me:secret@r:6379/db" },
      { REDIS_URL: "me:secret" },
      { REDIS_URL: "redis://me:secret@" },
      { REDIS_HOST: "redis://me:secret@r:6379" },
      { REDIS_URL: "redis://:sec%ZZret@r" },
      { REDIS_PASSWORD: "secret" },
      { REDIS_HOST: "me:secret@r:6379" },
      { REDIS_HOST: ":secret@r" },
      { REDIS_URL: "redis://:secret@r:0" },
      { REDIS_URL: "redis://secret@r" },
    ]
  ) {
    const lines = problems(env);
    assertEquals(lines.length, 1, lines.join());
    assertEquals(/sec/.test(lines[0]), false, lines[0]);
  }
});

const SECRET = "0123456789abcdef0123456789abcdef";

Deno.test("a secret or the URL of keys turns authentication on", () => {
  const base = { audience: undefined, issuer: undefined, userClaim: "sub" };
  assertEquals(readConfig({ AUTH_SECRET: SECRET }).auth, {
    ...base,
    secret: SECRET,
    jwksUrl: undefined,
  });
  assertEquals(
    readConfig({
      AUTH_JWKS_URL: "https://id.example/keys",
      AUTH_AUDIENCE: "chat",
      AUTH_ISSUER: "https://id.example",
      AUTH_USER_CLAIM: "nickname",
    }).auth,
    {
      secret: undefined,
      jwksUrl: "https://id.example/keys",
      audience: "chat",
      issuer: "https://id.example",
      userClaim: "nickname",
    },
  );
});

Deno.test("no authentication starts by mistake with a setting that is wrong or missing", () => {
  assertEquals(problems({ AUTH_SECRET: "secret" }), [
    "AUTH_SECRET (not shown) has 6 bytes: give at least 32, such as from openssl rand -base64 32",
  ]);
  assertEquals(problems({ AUTH_SECRET: SECRET, AUTH_JWKS_URL: "https://id.example/keys" }), [
    "AUTH_SECRET and AUTH_JWKS_URL are both set: give one of them",
  ]);
  for (const url of ["id.example/keys", "file:///keys", "https://foo:bar@id.example/keys"]) {
    assertEquals(problems({ AUTH_JWKS_URL: url }), [
      "AUTH_JWKS_URL (not shown, it may hold a password) is not of the form https://host/path, " +
      "without a user and a password",
    ]);
  }
  assertEquals(problems({ AUTH_ISSUER: "https://id.example", AUTH_USER_CLAIM: "name" }), [
    "AUTH_ISSUER is set, but authentication is off: set AUTH_SECRET or AUTH_JWKS_URL",
    "AUTH_USER_CLAIM is set, but authentication is off: set AUTH_SECRET or AUTH_JWKS_URL",
  ]);
});

Deno.test("ALLOWED_ORIGINS is a list of origins", () => {
  assertEquals(
    readConfig({ ALLOWED_ORIGINS: "https://chat.example, http://localhost:3000" }).allowedOrigins,
    ["https://chat.example", "http://localhost:3000"],
  );
  for (
    const origin of ["*", "null", "chat.example", "https://chat.example/", "HTTPS://a.example"]
  ) {
    assertEquals(problems({ ALLOWED_ORIGINS: `https://a.example,${origin}` }), [
      `ALLOWED_ORIGINS has "${origin}": give origins such as https://chat.example, without a ` +
      "path, separated by commas",
    ]);
  }
});

Deno.test("secrets can be in files", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, `${SECRET}\n`);
  assertEquals(readConfig({ AUTH_SECRET_FILE: file }).auth?.secret, SECRET);
  assertEquals(readConfig({ REDIS_HOST: "r", REDIS_PASSWORD_FILE: file }).redis?.password, SECRET);
  assertEquals(problems({ AUTH_SECRET_FILE: file, AUTH_SECRET: SECRET }), [
    "AUTH_SECRET and AUTH_SECRET_FILE are both set: give one of them",
  ]);
  await Deno.writeTextFile(file, "redis://u:p@r.example:7000/3");
  assertEquals(readConfig({ REDIS_URL_FILE: file }).redis?.host, "r.example");
  await Deno.writeTextFile(file, "\n");
  assertEquals(problems({ AUTH_SECRET_FILE: file }), [
    `AUTH_SECRET_FILE is "${file}", which is empty: put the secret there`,
  ]);
  Deno.writeFileSync(file, new Uint8Array(40).map((_, i) => 200 + i));
  assertEquals(problems({ AUTH_SECRET_FILE: file }), [
    `AUTH_SECRET_FILE is "${file}", which is not text: give the secret in UTF-8, such as in base64`,
  ]);
  await Deno.remove(file);
  const [problem] = problems({ REDIS_URL_FILE: file });
  assertStringIncludes(problem, `REDIS_URL_FILE is "${file}", which cannot be read: No such file`);
});
