import { type Environment, type SettingName, SETTINGS } from "./settings.ts";

/** Names that other programs give to what this server calls something else. */
const FOREIGN_NAMES: Readonly<Record<string, SettingName>> = {
  REDIS_HOSTNAME: "REDIS_HOST",
  REDIS_ADDR: "REDIS_HOST",
  REDIS_ADDRESS: "REDIS_HOST",
  REDIS_SERVER: "REDIS_HOST",
  REDIS_USER: "REDIS_USERNAME",
  REDIS_PASS: "REDIS_PASSWORD",
  REDIS_AUTH: "REDIS_PASSWORD",
  REDIS_ACCESS_KEY: "REDIS_PASSWORD",
  REDIS_SSL: "REDIS_TLS",
  MAX_MESSAGE_SIZE: "MAX_MESSAGE_BYTES",
  MAX_MESSAGE_LENGTH: "MAX_MESSAGE_BYTES",
};

/** Advice for what has no variable of its own. */
const ADVICE: Readonly<Record<string, string>> = {
  REDIS_PORT: "Put the port into REDIS_HOST: REDIS_HOST=host:port",
  REDIS_DB: "Put the database into REDIS_URL: REDIS_URL=redis://host:port/database",
  REDIS_DATABASE: "Put the database into REDIS_URL: REDIS_URL=redis://host:port/database",
};

/** Names as short as PORT resemble too many others, such as SORT and POST. */
const MIN_CHARS_TO_COMPARE = 8;

/** A setting of at least this length matches a name that is two edits away, others one edit. */
const MIN_CHARS_FOR_TWO_EDITS = 11;

/**
 * Finds variables that look like a setting and are none, such as `REDIS_HSOT` and `REDIS_PORT`.
 *
 * @param env the environment
 * @returns a line for each, which names the right setting and shows no value
 *
 * @example
 * ```ts
 * import { findUnknownVariables } from "./unknown_variables.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(findUnknownVariables({ REDIS_HSOT: "redis.example", HOSTNAME: "chat-1" }), [
 *   "REDIS_HSOT is not a setting and is ignored. Did you mean REDIS_HOST?",
 * ]);
 * ```
 */
export function findUnknownVariables(env: Environment): string[] {
  return Object.entries(env).flatMap(([name, value]) => {
    if (!value || name in SETTINGS || isServicePort(name, value)) return [];
    const meant = FOREIGN_NAMES[name] ?? findSimilarSetting(name.toUpperCase());
    const advice = ADVICE[name] ?? (meant && `Did you mean ${meant}?`);
    return advice ? [`${name} is not a setting and is ignored. ${advice}`] : [];
  });
}

/** For a service called redis, Kubernetes and Docker's links set `REDIS_PORT=tcp://…`. */
function isServicePort(name: string, value: string): boolean {
  return name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

function findSimilarSetting(name: string): string | undefined {
  const [closest] = Object.keys(SETTINGS)
    .filter((setting) => setting.length >= MIN_CHARS_TO_COMPARE)
    .map((setting) => ({ setting, edits: countEdits(name, setting) }))
    .filter(({ setting, edits }) => edits <= (setting.length < MIN_CHARS_FOR_TWO_EDITS ? 1 : 2))
    .sort((a, b) => a.edits - b.edits);
  return closest?.setting;
}

/** Counts insertions, deletions, substitutions and swaps of two neighbours between two words. */
function countEdits(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, substitute);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.length][b.length];
}
