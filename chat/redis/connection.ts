import { Redis, ReplyError } from "ioredis";
import { StoreAnswerLost, StoreUnavailable } from "../store.ts";

/** Where Redis is and how to get in. */
export interface RedisSettings {
  /** Its host name or address. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
  /** The name of an ACL user; `undefined` for the default one. */
  readonly username?: string;
  /** The password; `undefined` where Redis asks for none. */
  readonly password?: string;
  /** The number of the database, see https://redis.io/docs/latest/commands/select/ */
  readonly database: number;
  /** Whether to use TLS, with certificates checked against those that Deno trusts. */
  readonly tls: boolean;
}

/** No command waits longer than this for its answer, in milliseconds. */
const ANSWER_WITHIN = 2_000;

/**
 * Makes a connection that is not open yet. Once it is, it comes back for ever by itself after it broke, and while it is
 * away every command is refused at once: nothing waits in a queue for Redis to return.
 *
 * @param settings where Redis is
 * @param name what `CLIENT LIST` shows for it
 */
export function makeConnection(settings: RedisSettings, name: string): Redis {
  return new Redis({
    host: settings.host,
    port: settings.port,
    username: settings.username,
    password: settings.password,
    db: settings.database,
    tls: settings.tls ? {} : undefined,
    connectionName: name,
    disableClientInfo: true,
    lazyConnect: true,
    connectTimeout: ANSWER_WITHIN,
    commandTimeout: ANSWER_WITHIN,
    socketTimeout: ANSWER_WITHIN,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // Commands that were on their way when a connection broke are told so at once.
    maxRetriesPerRequest: 0,
    retryStrategy: pauseBeforeAttempt,
  });
}

/** Growing pauses up to two seconds, jittered so that many instances do not return in step. */
function pauseBeforeAttempt(attempt: number): number {
  const most = Math.min(2_000, 50 * 2 ** Math.min(attempt, 10));
  return most / 2 + Math.random() * most / 2;
}

/**
 * Opens connections, and tries again until all of them stand or it is clear that they will not.
 *
 * @param connections as made by {@linkcode makeConnection}
 * @param settings where Redis is, for the message
 * @param within how long to try, in milliseconds
 * @throws {StoreUnavailable} with host, port and cause, after `within` or as soon as Redis refuses the credentials
 */
export async function openConnections(
  connections: Redis[],
  settings: RedisSettings,
  within: number,
): Promise<void> {
  let cause = `no answer within ${within / 1000} s`;
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  const timer = setTimeout(() => fail(), within);
  function noteCause(error: Error): void {
    cause = describe(error);
    // What Redis itself says no to will not change by trying again, unless it is only just starting.
    if (error instanceof ReplyError && !/^(LOADING|BUSY|MASTERDOWN)/.test(cause)) fail();
  }
  const opened = connections.map((connection) => {
    connection.on("error", noteCause);
    connection.connect().catch(() => {});
    return new Promise<void>((resolve) => connection.once("ready", resolve));
  });
  try {
    await Promise.race([Promise.all(opened), failed]);
  } catch {
    for (const connection of connections) connection.disconnect();
    const where = `${settings.host}:${settings.port}, TLS ${settings.tls ? "on" : "off"}`;
    throw new StoreUnavailable(`cannot use Redis at ${where}: ${cause}`);
  } finally {
    clearTimeout(timer);
    for (const connection of connections) connection.off("error", noteCause);
  }
}

/** One line that says what went wrong: an `AggregateError`, as of a name with several addresses, has no message. */
export function describe(error: Error): string {
  const message = error instanceof AggregateError
    ? error.errors.map(String).join(", ")
    : error.message;
  return message.replace(/\s+/g, " ");
}

/**
 * Says of a command that failed whether it took effect.
 *
 * @param error as ioredis gave it
 * @returns what a caller of a store may see
 */
export function asStoreError(error: unknown): StoreUnavailable | StoreAnswerLost {
  const message = describe(error as Error);
  return error instanceof ReplyError || message.startsWith("Stream isn't writeable")
    ? new StoreUnavailable(message, { cause: error })
    : new StoreAnswerLost(message, { cause: error });
}
