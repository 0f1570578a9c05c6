import type { Environment } from "./settings.ts";

/** Where Redis is and how to log in. */
export interface RedisSettings {
  /** Its host name or address. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
  /** The name of an ACL user; `undefined` for the default user. */
  readonly username?: string;
  /** The password; `undefined` if Redis asks for none. */
  readonly password?: string;
  /** The number of the database, see https://redis.io/docs/latest/commands/select/ */
  readonly database: number;
  /** What the name of every key and channel starts with. */
  readonly prefix: string;
  /** Whether to use TLS, with certificates checked against those that Deno trusts. */
  readonly tls: boolean;
}

/** Tells whether the environment names a Redis. */
export function isRedisConfigured(env: Environment): boolean {
  return Boolean(env.REDIS_HOST || env.REDIS_URL);
}

/**
 * Reads the settings of Redis from an environment that names one.
 *
 * @param env the environment
 * @param problems gets a line for each value that cannot be used
 */
export function readRedis(env: Environment, problems: string[]): RedisSettings {
  const { isSecureUrl, ...address } = env.REDIS_URL
    ? readRedisUrl(env.REDIS_URL, env, problems)
    : readRedisHost(env.REDIS_HOST!, env, problems);
  return {
    ...address,
    prefix: readPrefix(env, problems),
    tls: readTls(env, isSecureUrl, address.port, problems),
  };
}

/**
 * Reports variables that only make sense with a Redis, for an environment that names none. A
 * forgotten `REDIS_HOST` must not start a chat in memory.
 *
 * @param env the environment
 * @param problems gets a line for each variable
 */
export function rejectRedisOptions(env: Environment, problems: string[]): void {
  for (const name of ["REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_TLS", "REDIS_PREFIX"]) {
    if (env[name]) {
      problems.push(`${name} is set, but not where Redis is: set REDIS_HOST=host:port too`);
    }
  }
}

/** The address and the login, before the other settings are read. */
interface Address extends Omit<RedisSettings, "tls" | "prefix"> {
  readonly isSecureUrl: boolean;
}

const NO_ADDRESS: Address = { host: "", port: 0, database: 0, isSecureUrl: false };

function readRedisHost(value: string, env: Environment, problems: string[]): Address {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(value);
  const port = Number(parts?.[3] ?? 6379);
  if (!parts || port < 1 || port > 65_535) {
    problems.push(
      value.includes("://")
        ? "REDIS_HOST holds a URL: give host:port, or move the URL to REDIS_URL"
        : value.includes("@")
        ? "REDIS_HOST holds an @: give host:port, and REDIS_USERNAME and REDIS_PASSWORD beside it"
        : `REDIS_HOST is ${JSON.stringify(value)}: give host:port, such as redis.example:6379`,
    );
  }
  if (env.REDIS_USERNAME && !env.REDIS_PASSWORD) {
    problems.push("REDIS_USERNAME is set without a password: set REDIS_PASSWORD too");
  }
  if (!parts) return NO_ADDRESS;
  return {
    ...NO_ADDRESS,
    host: parts[1] ?? parts[2],
    port,
    username: env.REDIS_USERNAME || undefined,
    password: env.REDIS_PASSWORD || undefined,
  };
}

/** No problem shows the URL, because it may hold a password. */
function readRedisUrl(value: string, env: Environment, problems: string[]): Address {
  for (const name of ["REDIS_HOST", "REDIS_USERNAME", "REDIS_PASSWORD"]) {
    if (env[name]) problems.push(`${name} is set beside REDIS_URL: give one or the other`);
  }
  const url = URL.parse(value);
  const isRedis = url?.protocol === "redis:" || url?.protocol === "rediss:";
  const database = /^\/?(\d{0,9})$/.exec(url?.pathname ?? "");
  if (
    !url || !isRedis || !url.hostname || url.port === "0" || !database || url.search || url.hash
  ) {
    problems.push(
      "REDIS_URL (not shown, it may hold a password) is not of the form " +
        "redis://user:password@host:port/database, or rediss:// for TLS",
    );
    return NO_ADDRESS;
  }
  if (url.username && !url.password) {
    problems.push("REDIS_URL has a user name without a password: redis://user:password@host:port");
  }
  try {
    return {
      host: decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
      port: Number(url.port || 6379),
      username: decodeURIComponent(url.username) || undefined,
      password: decodeURIComponent(url.password) || undefined,
      database: Number(database[1]),
      isSecureUrl: url.protocol === "rediss:",
    };
  } catch {
    problems.push("REDIS_URL (not shown, it may hold a password) is not percent-encoded UTF-8");
    return NO_ADDRESS;
  }
}

/** Braces are not allowed: they would change which cluster slot a key is in. */
function readPrefix({ REDIS_PREFIX: prefix = "" }: Environment, problems: string[]): string {
  if (!/^[\w.:-]{0,64}$/.test(prefix)) {
    problems.push(
      `REDIS_PREFIX is ${
        JSON.stringify(prefix)
      }: give up to 64 of the characters A-Z a-z 0-9 . _ : -`,
    );
  }
  return prefix;
}

function readTls(
  env: Environment,
  isSecureUrl: boolean,
  port: number,
  problems: string[],
): boolean {
  switch (env.REDIS_TLS?.toLowerCase() || "default") {
    case "default":
      return isSecureUrl || port === 6380;
    case "on":
    case "true":
    case "yes":
    case "1":
      return true;
    case "off":
    case "false":
    case "no":
    case "0":
      if (isSecureUrl) {
        problems.push("REDIS_TLS is off, but REDIS_URL is rediss://: make it redis://");
      }
      return false;
    default:
      problems.push(`REDIS_TLS is ${JSON.stringify(env.REDIS_TLS)}: give on or off`);
      return false;
  }
}
