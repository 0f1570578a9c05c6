import { type AuthSettings, readAuth, readOrigins } from "./auth_settings.ts";
import {
  isRedisConfigured,
  readRedis,
  type RedisSettings,
  rejectRedisOptions,
} from "./redis_settings.ts";
import { readSecretFiles } from "./secret_files.ts";
import {
  camelCase,
  type ChoiceValues,
  type Environment,
  type IntegerSetting,
  type IntegerValues,
  SETTINGS,
} from "./settings.ts";

export type { Environment };

/** All settings, checked. */
export interface Config extends IntegerValues, ChoiceValues {
  /** The address to listen on. */
  readonly host: string;
  /** Where Redis is; `undefined` if the chat is kept in memory. */
  readonly redis?: RedisSettings;
  /** How tokens are checked; `undefined` without authentication. */
  readonly auth?: AuthSettings;
  /** The origins whose pages may use the server; `undefined` for any. */
  readonly allowedOrigins?: readonly string[];
}

/** Is thrown for settings that cannot be used. */
export class ConfigError extends Error {
  /** Always `"ConfigError"`. */
  override name = "ConfigError";
  /** A line for each setting that is wrong: its value and what would be right. */
  readonly problems: readonly string[];

  /**
   * Makes an error from the problems found.
   *
   * @param problems a line for each
   */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Reads the configuration from environment variables:
 *
 * ```text
 * PORT                          TCP port to listen on; 0 picks a free one
 *                               values: 0 to 65535; default: 8080
 * HOST                          address to listen on
 *                               default: 0.0.0.0
 * CHAT_STORE                    where the chat is kept: in Redis, shared by any number of
 *                               instances, or in the memory of one instance
 *                               values: redis or memory; default: redis if REDIS_HOST or REDIS_URL
 *                               is set, else memory
 * REDIS_HOST                    host name or address of Redis; the default port is 6379
 *                               values: host or host:port
 * REDIS_USERNAME                Redis ACL user; leave it out for the default user
 * REDIS_PASSWORD                password or access key for Redis
 * REDIS_PASSWORD_FILE           file that has the REDIS_PASSWORD
 *                               values: a path
 * REDIS_URL                     use this instead of REDIS_HOST, REDIS_USERNAME and REDIS_PASSWORD;
 *                               special characters in the user and password must be
 *                               percent-encoded; rediss:// turns TLS on
 *                               values: redis://user:password@host:port/database
 * REDIS_URL_FILE                file that has the REDIS_URL
 *                               values: a path
 * REDIS_TLS                     whether to connect to Redis with TLS
 *                               values: on or off; default: on for port 6380 and for rediss://,
 *                               else off
 * REDIS_PREFIX                  put before the name of every key and channel, so that several
 *                               chats can share one Redis
 *                               values: up to 64 of the characters A-Z a-z 0-9 . _ : -
 * AUTH_SECRET                   turns authentication on: clients need a token (JWT) that is signed
 *                               with this secret (HS256)
 *                               values: at least 32 bytes
 * AUTH_SECRET_FILE              file that has the AUTH_SECRET
 *                               values: a path
 * AUTH_JWKS_URL                 turns authentication on: clients need a token (JWT) that is signed
 *                               with one of the keys of this JSON Web Key Set (RS256, ES256 or
 *                               EdDSA)
 *                               values: https://host/path
 * AUTH_AUDIENCE                 what the aud of a token must be, or have in its list
 * AUTH_ISSUER                   what the iss of a token must be
 * AUTH_USER_CLAIM               the claim of a token that has the user's name
 *                               default: sub
 * ALLOWED_ORIGINS               the origins whose pages may connect and read responses, such as
 *                               https://chat.example; the server refuses other pages with 403
 *                               values: origins, separated by commas; default: any
 * WORKERS                       number of instances in this process; they share the port, and each
 *                               has a thread; auto starts one per CPU core; more than one needs
 *                               Redis
 *                               values: 1 to 256 or auto; default: 1
 * MAX_CONNECTIONS               most chat connections of this process; the server refuses
 *                               newcomers above it with 503; 0 stands for as many as its limit of
 *                               open files allows, less a reserve
 *                               values: 0 to 1000000; default: 0
 * LIMITS                        off switches off every limit below that has 0 for no limit, except
 *                               those whose variable is set; for benchmarks and load tests
 *                               values: on, off; default: on
 * TRUST_PROXY                   number of reverse proxies in front of the server: a client's
 *                               address is the one that the outermost of them has added to
 *                               X-Forwarded-For or Forwarded; 0 if clients connect directly
 *                               values: 0 to 16; default: 0
 * MAX_CONNECTIONS_PER_ADDRESS   most chat connections and unread responses of one address at once;
 *                               the server refuses more with 429; 0 for no limit
 *                               values: 0 to 1000000; default: 200
 * MAX_JOINS_PER_SECOND          chat connections that one address may open a second, after five
 *                               times as many at once; the server refuses more with 429; 0 for no
 *                               limit
 *                               values: 0 to 1000000; default: 20
 * MAX_REQUESTS_PER_SECOND       other HTTP requests that one address may make a second, after five
 *                               times as many at once; the server refuses more with 429; 0 for no
 *                               limit
 *                               values: 0 to 1000000; default: 50
 * MAX_NEW_ROOMS_PER_SECOND      first messages that one address may send in empty rooms a second,
 *                               after 20 times as many at once; the server refuses more with the
 *                               error too_many; 0 for no limit
 *                               values: 0 to 1000000; default: 1
 * MAX_ADDRESS_BYTES_PER_SECOND  bytes that the server reads from all chat connections of one
 *                               address a second, after eight times as many at once; counted as
 *                               for MAX_BYTES_PER_SECOND; 0 for no limit
 *                               values: 0 to 1073741824; default: 1048576
 * MAX_ADDRESS_LINES_PER_SECOND  lines of any kind that the server reads from all chat connections
 *                               of one address a second, after twice as many at once; 0 for no
 *                               limit
 *                               values: 0 to 1000000; default: 1000
 * MAX_DELIVERED_BYTES_PER_SECONDbytes that the messages of one address may cause a second, after
 *                               twice as many at once: each message counts with its line and 500
 *                               bytes more, times the clients in its room on the same instance;
 *                               the server refuses more with the error too_many; 0 for no limit
 *                               values: 0 to 1000000000000; default: 33554432
 * MAX_MESSAGES_PER_SECOND       messages that one client may send a second, after twice as many at
 *                               once; the server refuses more with the error too_many, and closes
 *                               the connection with code 4429 after ten seconds of it; 0 for no
 *                               limit
 *                               values: 0 to 1000000; default: 20
 * MAX_LINES_PER_SECOND          lines of any kind that the server reads from one client a second,
 *                               after ten times as many at once; more of them wait, for ten
 *                               seconds at most; 0 for no limit
 *                               values: 0 to 1000000; default: 100
 * MAX_BYTES_PER_SECOND          bytes that the server reads from one client a second, after eight
 *                               times as many at once; more of them wait, for ten seconds at most.
 *                               A UTF-16 code unit counts as one byte, and so does the end of a
 *                               line; 0 for no limit
 *                               values: 0 to 1073741824; default: 131072
 * MAX_DEVICES                   with authentication, how many connections of one user may be in a
 *                               room at once; the server closes one more with code 4411
 *                               values: 1 to 1000; default: 8
 * MAX_MESSAGE_BYTES             longest text of a message, in bytes of UTF-8 as JSON; if a text is
 *                               longer, a JSON client gets an error, and a text client is
 *                               disconnected with code 1009
 *                               values: 1 to 1048576; default: 65536
 * MAX_BUFFERED_BYTES            most bytes that may wait to be sent to one client; above this, the
 *                               server closes the connection with code 4408. The same limit
 *                               applies in the other direction: if the messages that a client has
 *                               sent, and that the server has not answered yet, exceed it, the
 *                               server closes the connection with code 4429
 *                               values: twice MAX_MESSAGE_BYTES to 1073741824; default: 1048576,
 *                               or twice MAX_MESSAGE_BYTES if that is more
 * HISTORY_LIMIT                 number of messages that each room keeps; it may keep about 100
 *                               more
 *                               values: 1 to 1000000; default: 1000
 * HISTORY_BYTES                 bytes that the messages of each room take in the store,
 *                               approximately; the oldest ones are deleted; 0 for no limit
 *                               values: 0 to 1073741824; default: 4194304
 * HISTORY_SECONDS               messages older than this are deleted, in portions; a room without
 *                               a new message for this long loses all of them
 *                               values: 1 to 31536000; default: 86400
 * MAX_STALL_SECONDS             longest time that data may wait for a client that reads too
 *                               slowly; after that, the server closes the connection with code
 *                               4408
 *                               values: 1 to 3600; default: 30
 * MAX_FLUSH_MS                  how long the server may delay an event to JSON clients, in order
 *                               to send several events in one frame
 *                               values: 0 to 1000; default: 20
 * IDLE_SECONDS                  a client that sends nothing for this long, not even the answer to
 *                               a ping, is disconnected
 *                               values: 1 to 3600; default: 30
 * LOG_FORMAT                    format of the log: lines for people, or a JSON object on each
 *                               line; the container image sets json
 *                               values: text, json; default: text
 * LOG_LEVEL                     the least level of what is logged
 *                               values: debug, info, warning, error; default: info
 * ```
 *
 * Secrets in files are read from there.
 *
 * @param environment such as `Deno.env.toObject()`
 * @returns the configuration
 * @throws {ConfigError} with a line for every value that cannot be used, not only for the first
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
export function readConfig(environment: Environment): Config {
  const problems: string[] = [];
  const env = readSecretFiles(environment, problems);
  const integers = readIntegers(env, problems);
  const choices = readChoices(env, problems);
  const problemsBefore = problems.length;
  const redis = readStore(env, problems);
  const isInMemory = redis === undefined && problems.length === problemsBefore;
  if (isInMemory && integers.workers > 1) {
    problems.push(
      `WORKERS is ${JSON.stringify(env.WORKERS)}, but in memory each has a chat of its own: ` +
        "set REDIS_HOST=host:port, or leave it at 1",
    );
  }
  const auth = readAuth(env, problems);
  const allowedOrigins = readOrigins(env, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const host = env.HOST || SETTINGS.HOST.default;
  return { ...integers, ...choices, host, redis, auth, allowedOrigins };
}

function readIntegers(env: Environment, problems: string[]): IntegerValues {
  const values: Record<string, number> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    if (!("min" in setting)) continue;
    const { atLeastTwice, word, isClientLimit }: IntegerSetting = setting;
    if (isClientLimit && env.LIMITS === "off" && !env[name]) {
      values[camelCase(name)] = 0;
      continue;
    }
    const half = atLeastTwice && values[camelCase(atLeastTwice)];
    const min = half ? 2 * half : setting.min;
    values[camelCase(name)] = word && env[name] === word
      ? navigator.hardwareConcurrency
      : readInteger(env, name, { ...setting, min }, problems);
  }
  return values as unknown as IntegerValues;
}

function readChoices(env: Environment, problems: string[]): ChoiceValues {
  const values: Record<string, string> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    if (!("choices" in setting)) continue;
    const choices: readonly string[] = setting.choices;
    const given = env[name] || setting.default;
    values[camelCase(name)] = given;
    if (choices.includes(given)) continue;
    problems.push(`${name} is ${JSON.stringify(given)}: give ${choices.join(" or ")}`);
  }
  return values as unknown as ChoiceValues;
}

function readInteger(
  env: Environment,
  name: string,
  { default: defaultValue, min, max, word }: IntegerSetting,
  problems: string[],
): number {
  const fallback = Math.max(defaultValue, min);
  const given = env[name];
  if (!given) return fallback;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= min && value <= max) return value;
  problems.push(
    `${name} is ${JSON.stringify(given)}: give a whole number from ${min} to ${max}` +
      (word ? ` or ${word}` : ""),
  );
  return fallback;
}

function readStore(env: Environment, problems: string[]): RedisSettings | undefined {
  switch (env.CHAT_STORE || (isRedisConfigured(env) ? "redis" : "memory")) {
    case "redis":
      if (isRedisConfigured(env)) return readRedis(env, problems);
      problems.push("CHAT_STORE is redis: set REDIS_HOST=host:port too, or REDIS_URL");
      return;
    case "memory":
      if (!env.CHAT_STORE) rejectRedisOptions(env, problems);
      return;
    default:
      problems.push(`CHAT_STORE is ${JSON.stringify(env.CHAT_STORE)}: give redis or memory`);
  }
}
