/** The environment; an empty variable counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A setting whose value is a whole number. */
export interface IntegerSetting {
  /** The value if the variable is not set. */
  readonly default: number;
  /** The smallest value. */
  readonly min: number;
  /** The largest value. */
  readonly max: number;
  /** An earlier setting whose doubled value is the smallest value here, instead of `min`. */
  readonly atLeastTwice?: string;
  /** A word that stands for the number of CPU cores. */
  readonly word?: string;
  /** Whether it bounds what clients may do: 0 switches it off, as `LIMITS=off` does. */
  readonly isClientLimit?: boolean;
  /** What the setting does, in Markdown. */
  readonly meaning: string;
}

/** A setting whose value is text. */
export interface TextSetting {
  /** What applies if the variable is not set, in Markdown; empty if nothing does. */
  readonly default: string;
  /** Which values are allowed, in Markdown; empty if any text is. */
  readonly values: string;
  /** What the setting does, in Markdown. */
  readonly meaning: string;
}

/** A setting whose value is one of several words. */
export interface ChoiceSetting {
  /** The words. */
  readonly choices: readonly string[];
  /** The word that applies if the variable is not set. */
  readonly default: string;
  /** What the setting does, in Markdown. */
  readonly meaning: string;
}

/** A setting of any kind. */
type Setting = IntegerSetting | ChoiceSetting | TextSetting;

/**
 * Describes every environment variable that the server reads, by name. The parser, `--help` and the
 * table in README.md are made from it: after a change, run `deno task settings`.
 */
export const SETTINGS = {
  PORT: {
    default: 8080,
    min: 0,
    max: 65_535,
    meaning: "TCP port to listen on; 0 picks a free one",
  },
  HOST: {
    default: "0.0.0.0",
    values: "",
    meaning: "address to listen on",
  },
  CHAT_STORE: {
    default: "`redis` if `REDIS_HOST` or `REDIS_URL` is set, else `memory`",
    values: "`redis` or `memory`",
    meaning: "where the chat is kept: in Redis, shared by any number of instances, " +
      "or in the memory of one instance",
  },
  REDIS_HOST: {
    default: "",
    values: "`host` or `host:port`",
    meaning: "host name or address of Redis; the default port is 6379",
  },
  REDIS_USERNAME: {
    default: "",
    values: "",
    meaning: "Redis ACL user; leave it out for the default user",
  },
  REDIS_PASSWORD: {
    default: "",
    values: "",
    meaning: "password or access key for Redis",
  },
  REDIS_PASSWORD_FILE: {
    default: "",
    values: "a path",
    meaning: "file that has the `REDIS_PASSWORD`",
  },
  REDIS_URL: {
    default: "",
    values: "`redis://user:password@host:port/database`",
    meaning: "use this instead of `REDIS_HOST`, `REDIS_USERNAME` and `REDIS_PASSWORD`; special " +
      "characters in the user and password must be percent-encoded; `rediss://` turns TLS on",
  },
  REDIS_URL_FILE: {
    default: "",
    values: "a path",
    meaning: "file that has the `REDIS_URL`",
  },
  REDIS_TLS: {
    default: "`on` for port 6380 and for `rediss://`, else `off`",
    values: "`on` or `off`",
    meaning: "whether to connect to Redis with TLS",
  },
  REDIS_PREFIX: {
    default: "",
    values: "up to 64 of the characters `A-Z a-z 0-9 . _ : -`",
    meaning: "put before the name of every key and channel, so that several chats can share one " +
      "Redis",
  },
  AUTH_SECRET: {
    default: "",
    values: "at least 32 bytes",
    meaning:
      "turns authentication on: clients need a token (JWT) that is signed with this secret " +
      "(HS256)",
  },
  AUTH_SECRET_FILE: {
    default: "",
    values: "a path",
    meaning: "file that has the `AUTH_SECRET`",
  },
  AUTH_JWKS_URL: {
    default: "",
    values: "`https://host/path`",
    meaning: "turns authentication on: clients need a token (JWT) that is signed with one of the " +
      "keys of this JSON Web Key Set (RS256, ES256 or EdDSA)",
  },
  AUTH_AUDIENCE: {
    default: "",
    values: "",
    meaning: "what the `aud` of a token must be, or have in its list",
  },
  AUTH_ISSUER: {
    default: "",
    values: "",
    meaning: "what the `iss` of a token must be",
  },
  AUTH_USER_CLAIM: {
    default: "`sub`",
    values: "",
    meaning: "the claim of a token that has the user's name",
  },
  ALLOWED_ORIGINS: {
    default: "any",
    values: "origins, separated by commas",
    meaning: "the origins whose pages may connect and read responses, such as " +
      "`https://chat.example`; the server refuses other pages with `403`",
  },
  WORKERS: {
    default: 1,
    min: 1,
    max: 256,
    word: "auto",
    meaning: "number of instances in this process; they share the port, and each has a thread; " +
      "`auto` starts one per CPU core; more than one needs Redis",
  },
  MAX_CONNECTIONS: {
    default: 0,
    min: 0,
    max: 1_000_000,
    meaning: "most chat connections of this process; the server refuses newcomers above it with " +
      "`503`; 0 stands for as many as its limit of open files allows, less a reserve",
  },
  LIMITS: {
    choices: ["on", "off"],
    default: "on",
    meaning: "`off` switches off every limit below that has `0 for no limit`, except those whose " +
      "variable is set; for benchmarks and load tests",
  },
  TRUST_PROXY: {
    default: 0,
    min: 0,
    max: 16,
    meaning: "number of reverse proxies in front of the server: a client's address is the one " +
      "that the outermost of them has added to `X-Forwarded-For` or `Forwarded`; 0 if clients " +
      "connect directly",
  },
  MAX_CONNECTIONS_PER_ADDRESS: {
    default: 200,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "most chat connections and unread responses of one address at once; the server " +
      "refuses more with `429`; 0 for no limit",
  },
  MAX_JOINS_PER_SECOND: {
    default: 20,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "chat connections that one address may open a second, after five times as many at " +
      "once; the server refuses more with `429`; 0 for no limit",
  },
  MAX_REQUESTS_PER_SECOND: {
    default: 50,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "other HTTP requests and later tokens of one address a second, after five times as " +
      "many at once; the server refuses more with `429`; 0 for no limit",
  },
  MAX_NEW_ROOMS_PER_SECOND: {
    default: 1,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning:
      "first messages that one address may send in empty rooms a second, after 20 times as " +
      "many at once; the server refuses more with the error `too_many`; 0 for no limit",
  },
  MAX_ADDRESS_BYTES_PER_SECOND: {
    default: 1_048_576,
    min: 0,
    max: 1_073_741_824,
    isClientLimit: true,
    meaning: "bytes that the server reads from all chat connections of one address a second, " +
      "after eight times as many at once; counted as for `MAX_BYTES_PER_SECOND`; the bodies of " +
      "its HTTP requests may have as many again; 0 for no limit",
  },
  MAX_ADDRESS_LINES_PER_SECOND: {
    default: 1_000,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "lines of any kind that the server reads from all chat connections of one address a " +
      "second, after twice as many at once; 0 for no limit",
  },
  MAX_DELIVERED_BYTES_PER_SECOND: {
    default: 33_554_432,
    min: 0,
    max: 1_000_000_000_000,
    isClientLimit: true,
    meaning: "bytes that messages and joins of one address may cause a second, after as many at " +
      "once: a message counts as its line and 500 bytes, and a join as 1,200, times the clients " +
      "in the room on the instance; a removal as `HISTORY_BYTES`; the server refuses more with " +
      "`too_many` or `429`; 0 for no limit",
  },
  MAX_MESSAGES_PER_SECOND: {
    default: 20,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "messages that one client may send a second, after twice as many at once; the " +
      "server refuses more with the error `too_many`, and closes the connection with code 4429 " +
      "after ten seconds of it; 0 for no limit",
  },
  MAX_LINES_PER_SECOND: {
    default: 100,
    min: 0,
    max: 1_000_000,
    isClientLimit: true,
    meaning: "lines of any kind that the server reads from one client a second, after ten times " +
      "as many at once; more of them wait, for ten seconds at most; 0 for no limit",
  },
  MAX_BYTES_PER_SECOND: {
    default: 131_072,
    min: 0,
    max: 1_073_741_824,
    isClientLimit: true,
    meaning: "bytes that the server reads from one client a second, after eight times as many " +
      "at once; more of them wait, for ten seconds at most. A UTF-16 code unit counts as one " +
      "byte, and so does the end of a line; 0 for no limit",
  },
  MAX_DEVICES: {
    default: 8,
    min: 1,
    max: 1_000,
    meaning: "with authentication, how many connections of one user may be in a room at once; " +
      "the server closes one more with code 4411",
  },
  MAX_MESSAGE_BYTES: {
    default: 65_536,
    min: 1,
    max: 1_048_576,
    meaning: "longest text of a message, in bytes of UTF-8 as JSON; if a text is longer, a JSON " +
      "client gets an error, and a text client is disconnected with code 1009",
  },
  MAX_BUFFERED_BYTES: {
    default: 1_048_576,
    min: 2,
    max: 1_073_741_824,
    atLeastTwice: "MAX_MESSAGE_BYTES",
    meaning: "most bytes that may wait to be sent to one client; above this, the server closes " +
      "the connection with code 4408. The same limit applies in the other direction: if the " +
      "messages that a client has sent, and that the server has not answered yet, exceed it, the " +
      "server closes the connection with code 4429",
  },
  HISTORY_LIMIT: {
    default: 1_000,
    min: 1,
    max: 1_000_000,
    meaning: "number of messages that each room keeps; it may keep about 100 more",
  },
  HISTORY_BYTES: {
    default: 4_194_304,
    min: 0,
    max: 1_073_741_824,
    isClientLimit: true,
    meaning: "bytes that the messages of each room take in the store, approximately; the oldest " +
      "ones are deleted; 0 for no limit",
  },
  HISTORY_SECONDS: {
    default: 86_400,
    min: 1,
    max: 31_536_000,
    meaning: "messages older than this are deleted, in portions; a room without a new message " +
      "for this long loses all of them",
  },
  MAX_STALL_SECONDS: {
    default: 30,
    min: 1,
    max: 3_600,
    meaning: "longest time that data may wait for a client that reads too slowly; after that, " +
      "the server closes the connection with code 4408",
  },
  MAX_FLUSH_MS: {
    default: 20,
    min: 0,
    max: 1_000,
    meaning: "how long the server may delay an event to JSON clients, in order to send several " +
      "events in one frame",
  },
  IDLE_SECONDS: {
    default: 30,
    min: 1,
    max: 3_600,
    meaning:
      "a client that sends nothing for this long, not even the answer to a ping, is disconnected",
  },
  LOG_FORMAT: {
    choices: ["text", "json"],
    default: "text",
    meaning: "format of the log: lines for people, or a JSON object on each line; the container " +
      "image sets `json`",
  },
  LOG_LEVEL: {
    choices: ["debug", "info", "warning", "error"],
    default: "info",
    meaning: "the least level of what is logged",
  },
} as const satisfies Readonly<Record<string, Setting>>;

/** The name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** A setting's name as programs write it: `MAX_FLUSH_MS` becomes `maxFlushMs`. */
export type CamelCase<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${Lowercase<First>}${Capitalize<CamelCase<Rest>>}`
  : Lowercase<Name>;

/** The values of all settings that are whole numbers. {@linkcode SETTINGS} has their meanings. */
export type IntegerValues = {
  readonly [
    Name in SettingName as (typeof SETTINGS)[Name] extends IntegerSetting ? CamelCase<Name> : never
  ]: number;
};

/** The values of all settings that are one of several words. */
export type ChoiceValues = {
  readonly [
    Name in SettingName as (typeof SETTINGS)[Name] extends ChoiceSetting ? CamelCase<Name> : never
  ]: (typeof SETTINGS)[Name] extends ChoiceSetting ? (typeof SETTINGS)[Name]["choices"][number]
    : never;
};

/** Converts a setting's name to camel case. */
export function camelCase(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}

/** A setting as documentation shows it: every field is Markdown. */
export interface SettingDescription {
  /** The variable's name. */
  readonly name: SettingName;
  /** What applies if the variable is not set; empty if nothing does. */
  readonly defaultValue: string;
  /** Which values are allowed; empty if any text is. */
  readonly values: string;
  /** What the setting does. */
  readonly meaning: string;
}

/** Describes every setting in the order of {@linkcode SETTINGS}. */
export function describeSettings(): SettingDescription[] {
  return Object.entries<Setting>(SETTINGS).map(([name, setting]) => ({
    name: name as SettingName,
    meaning: setting.meaning,
    ...describeValues(setting),
  }));
}

function describeValues(setting: Setting): { defaultValue: string; values: string } {
  if ("values" in setting) return { defaultValue: setting.default, values: setting.values };
  if ("min" in setting) return describeInteger(setting);
  return {
    defaultValue: `\`${setting.default}\``,
    values: setting.choices.map((choice) => `\`${choice}\``).join(", "),
  };
}

function describeInteger(setting: IntegerSetting): { defaultValue: string; values: string } {
  const { min, max, atLeastTwice, word } = setting;
  const twice = `twice \`${atLeastTwice}\``;
  return {
    defaultValue: `${setting.default}${atLeastTwice ? `, or ${twice} if that is more` : ""}`,
    values: `${atLeastTwice ? twice : min} to ${max}${word ? ` or \`${word}\`` : ""}`,
  };
}
