import type { RedisSettings } from "../store/redis/connections.ts";
import type { ServerOptions } from "../http/server.ts";
import type { LogLimits } from "../store/store.ts";

/** Everything that can be set, checked. */
export interface Config extends ServerOptions, LogLimits {
  /** Where Redis is; `undefined` for a store in memory. */
  readonly redis?: RedisSettings;
}

/** Settings that cannot be used. */
export class ConfigError extends Error {
  /** Always `"ConfigError"`. */
  override name = "ConfigError";
  /** What is wrong, a line for each setting, with its value and what would be right. */
  readonly problems: readonly string[];

  /**
   * Makes an error of one or more problems.
   *
   * @param problems a line each
   */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** The environment; a variable that is empty counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration from the environment.
 *
 * | variable | default | |
 * | --- | --- | --- |
 * | `PORT` | `8080` | port to listen on; 0 for any free one |
 * | `HOST` | `0.0.0.0` | address to listen on |
 * | `CHAT_STORE` | `redis` where `REDIS_HOST` or `REDIS_URL` is set, else `memory` | where instances meet |
 * | `REDIS_HOST` | | `host:port` of Redis; port 6379 if there is none |
 * | `REDIS_USERNAME`, `REDIS_PASSWORD` | | how to get in |
 * | `REDIS_URL` | | `redis://` or `rediss://` with all of it, instead of these three |
 * | `REDIS_TLS` | on for port 6380 and `rediss://`, else off | whether to use TLS: `on` or `off` |
 * | `WORKERS` | `1` | how many instances share the port, a thread each; `auto`: as many as there are cores |
 * | `MAX_MESSAGE_BYTES` | `65536` | the most bytes that a message may have |
 * | `MAX_BUFFERED_BYTES` | `1048576`, or twice `MAX_MESSAGE_BYTES` | the most bytes that may wait for or from a client |
 * | `HISTORY_LIMIT` | `1000` | how many messages of a room are kept, and perhaps some more |
 * | `HISTORY_SECONDS` | `86400` | for how long they are kept |
 * | `MAX_STALL_SECONDS` | `30` | the longest that anything may wait for a client |
 * | `MAX_FLUSH_MS` | `20` | the longest that something may wait to be sent together with more |
 * | `IDLE_SECONDS` | `30` | a client that answers no ping for so long is gone |
 *
 * @param env the environment, as of `Deno.env.toObject()`
 * @returns the configuration
 * @throws {ConfigError} with a line for everything that is wrong, not only for the first
 *
 * @example
 * ```ts
 * import { readConfig } from "./config.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { port, redis } = readConfig({ PORT: "9090", REDIS_HOST: "cache.example:6380" });
 * assertEquals(port, 9090);
 * assertEquals(redis?.tls, true);
 * ```
 */
export function readConfig(env: Environment): Config {
  const problems: string[] = [];
  const port = readInteger(env, "PORT", 8080, 0, 65_535, problems);
  const maxMessageBytes = readInteger(env, "MAX_MESSAGE_BYTES", 65_536, 1, 16_777_216, problems);
  const before = problems.length;
  const redis = readStore(env, problems);
  const isInMemory = redis === undefined && problems.length === before;
  const config: Config = {
    port,
    host: env.HOST || "0.0.0.0",
    maxMessageBytes,
    maxBufferedBytes: readInteger(
      env,
      "MAX_BUFFERED_BYTES",
      Math.max(1_048_576, 2 * maxMessageBytes),
      2 * maxMessageBytes,
      1_073_741_824,
      problems,
    ),
    maxStallSeconds: readInteger(env, "MAX_STALL_SECONDS", 30, 1, 3_600, problems),
    maxFlushMs: readInteger(env, "MAX_FLUSH_MS", 20, 0, 1_000, problems),
    idleSeconds: readInteger(env, "IDLE_SECONDS", 30, 1, 3_600, problems),
    historyLimit: readInteger(env, "HISTORY_LIMIT", 1_000, 1, 1_000_000, problems),
    historySeconds: readInteger(env, "HISTORY_SECONDS", 86_400, 1, 31_536_000, problems),
    workers: readWorkers(env, isInMemory, problems),
    redis,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function readInteger(
  env: Environment,
  name: string,
  fallback: number,
  least: number,
  most: number,
  problems: string[],
  orElse = "",
): number {
  const given = env[name];
  if (!given) return fallback;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= least && value <= most) return value;
  problems.push(
    `${name} is ${JSON.stringify(given)}: give a whole number from ${least} to ${most}${orElse}`,
  );
  return fallback;
}

function readWorkers(env: Environment, isInMemory: boolean, problems: string[]): number {
  const workers = env.WORKERS === "auto"
    ? navigator.hardwareConcurrency
    : readInteger(env, "WORKERS", 1, 1, 256, problems, " or auto");
  if (workers > 1 && isInMemory) {
    problems.push(
      `WORKERS is ${JSON.stringify(env.WORKERS)}, but in memory each has a chat of its own: ` +
        "set REDIS_HOST=host:port, or leave it at 1",
    );
  }
  return workers;
}

function readStore(env: Environment, problems: string[]): RedisSettings | undefined {
  const isPlaced = Boolean(env.REDIS_HOST || env.REDIS_URL);
  switch (env.CHAT_STORE || (isPlaced ? "redis" : "memory")) {
    case "redis":
      if (isPlaced) return readRedis(env, problems);
      problems.push("CHAT_STORE is redis: set REDIS_HOST=host:port too, or REDIS_URL");
      return;
    case "memory":
      if (!env.CHAT_STORE) checkNothingForRedis(env, problems);
      return;
    default:
      problems.push(`CHAT_STORE is ${JSON.stringify(env.CHAT_STORE)}: give redis or memory`);
  }
}

/** Whoever gives a password wants Redis, and must not end up alone in memory. */
function checkNothingForRedis(env: Environment, problems: string[]): void {
  for (const name of ["REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_TLS"]) {
    if (env[name]) {
      problems.push(`${name} is set, but not where Redis is: set REDIS_HOST=host:port too`);
    }
  }
}

function readRedis(env: Environment, problems: string[]): RedisSettings {
  const { isSecureUrl, ...place } = env.REDIS_URL
    ? readRedisUrl(env, problems)
    : readRedisHost(env, problems);
  return { ...place, tls: readTls(env, isSecureUrl, place.port, problems) };
}

/** Where Redis is, before `REDIS_TLS` has its say. */
interface Place extends Omit<RedisSettings, "tls"> {
  readonly isSecureUrl: boolean;
}

const NOWHERE: Place = { host: "", port: 0, database: 0, isSecureUrl: false };

function readRedisHost(env: Environment, problems: string[]): Place {
  const given = env.REDIS_HOST!;
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(given);
  const port = Number(parts?.[3] ?? 6379);
  if (!parts || port < 1 || port > 65_535) {
    problems.push(
      given.includes("://")
        ? "REDIS_HOST holds a URL: give host:port, or move the URL to REDIS_URL"
        : given.includes("@")
        ? "REDIS_HOST holds an @: give host:port, and REDIS_USERNAME and REDIS_PASSWORD beside it"
        : `REDIS_HOST is ${JSON.stringify(given)}: give host:port, such as redis.example:6379`,
    );
  }
  if (env.REDIS_USERNAME && !env.REDIS_PASSWORD) {
    problems.push("REDIS_USERNAME is set without a password: set REDIS_PASSWORD too");
  }
  if (!parts) return NOWHERE;
  return {
    ...NOWHERE,
    host: parts[1] ?? parts[2],
    port,
    username: env.REDIS_USERNAME || undefined,
    password: env.REDIS_PASSWORD || undefined,
  };
}

/** Its value is never shown, since a password may be in it. */
function readRedisUrl(env: Environment, problems: string[]): Place {
  for (const name of ["REDIS_HOST", "REDIS_USERNAME", "REDIS_PASSWORD"]) {
    if (env[name]) problems.push(`${name} is set beside REDIS_URL: give one or the other`);
  }
  const url = URL.parse(env.REDIS_URL!);
  const isRedis = url?.protocol === "redis:" || url?.protocol === "rediss:";
  const database = /^\/?(\d{0,9})$/.exec(url?.pathname ?? "");
  if (
    !url || !isRedis || !url.hostname || url.port === "0" || !database || url.search || url.hash
  ) {
    problems.push(
      "REDIS_URL (not shown, it may hold a password) is not of the form " +
        "redis://user:password@host:port/database, or rediss:// for TLS",
    );
    return NOWHERE;
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
    return NOWHERE;
  }
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
