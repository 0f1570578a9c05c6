import type { AuthOptions } from "../auth/authenticate.ts";
import { readAuth, readOrigins } from "./auth_settings.ts";
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
  readonly auth?: AuthOptions;
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
 * Reads the configuration from environment variables: {@linkcode SETTINGS} describes them. Secrets
 * in files are read from there.
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
  const host = readHost(env, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...integers, ...choices, host, redis, auth, allowedOrigins };
}

function readHost(env: Environment, problems: string[]): string {
  const given = env.HOST || SETTINGS.HOST.default;
  const host = given.replace(/^\[(.*:.*)\]$/, "$1");
  // An address of IPv6 has two colons at least, and a port would come after a single one.
  if (/[\s/[\]]|^[^:]*:[^:]*$/.test(host)) {
    problems.push(`HOST is ${JSON.stringify(given)}: give an address or a name, such as 127.0.0.1`);
  }
  return host;
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
    problems.push(`${name} is ${JSON.stringify(given)}: give ${listChoices(choices)}`);
  }
  return values as unknown as ChoiceValues;
}

/** Such as `text or json`, or `debug, info, warning or error`. */
function listChoices(choices: readonly string[]): string {
  return `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
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
