import { Redis, ReplyError } from "ioredis";
import { deadline } from "../deadline.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";

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

/** A connection on which no answer came for so many looks is broken: together just under two seconds. */
const SILENT_LOOKS = 7;

/** The time between two looks, in milliseconds. */
const LOOK_EVERY = 250;

/** What says of an error reply that the same question may get another answer soon. */
const PASSING = /^(LOADING|BUSY|MASTERDOWN|TRYAGAIN)/;

/**
 * A connection to Redis that comes back by itself, for ever, after it broke. While it is away every command is refused
 * at once: nothing waits in a queue for Redis to return. No command waits longer than two seconds for its answer.
 */
export class Connection {
  /** The client, for what goes on without a question: events, scripts. Commands go through {@linkcode run}. */
  readonly redis: Redis;
  readonly #name: string;
  readonly #watch: ReturnType<typeof setInterval>;
  #waiting = 0;
  #answered = false;
  #silentLooks = 0;

  /**
   * Makes a connection that is not open yet.
   *
   * @param settings where Redis is
   * @param name what `CLIENT LIST` and the log show for it
   */
  constructor(settings: RedisSettings, name: string) {
    this.#name = name;
    this.redis = new Redis({
      host: settings.host,
      port: settings.port,
      username: settings.username,
      password: settings.password,
      db: settings.database,
      tls: settings.tls ? {} : undefined,
      connectionName: name,
      disableClientInfo: true,
      lazyConnect: true,
      connectTimeout: SILENT_LOOKS * LOOK_EVERY,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      // Commands that were on their way when a connection broke are told so at once.
      maxRetriesPerRequest: 0,
      retryStrategy: pauseBeforeAttempt,
    });
    this.#watch = setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** Whether commands can be sent now. */
  get isReady(): boolean {
    return this.redis.status === "ready";
  }

  /**
   * Sends commands.
   *
   * @param command sends them on the client and gives their answer
   * @returns the answer
   * @throws {StoreUnavailable} if they did not happen, {@linkcode StoreOutcomeUnknown} if nobody can tell
   */
  async run<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    this.#waiting++;
    try {
      const answer = await command(this.redis);
      this.#answered = true;
      return answer;
    } catch (error) {
      if (error instanceof ReplyError) this.#answered = true;
      throw asStoreError(error);
    } finally {
      this.#waiting--;
    }
  }

  /** Ends the connection as it is, so that it comes back anew. */
  reset(cause: string): void {
    this.redis.stream?.destroy(new Error(cause));
  }

  /** Lets the answers on their way arrive where Redis is there, and does not wait where it is not. */
  async close(): Promise<void> {
    await this.run((redis) => redis.quit()).catch(() => {});
    clearInterval(this.#watch);
    this.redis.disconnect();
  }

  /** One line when the connection is lost and one when it is back, however many attempts lie between. */
  reportOutages(): void {
    let cause = "closed";
    let away = false;
    this.redis.on("error", (error: Error) => cause = describe(error));
    this.redis.on("reconnecting", () => {
      if (!away) console.error(`Redis connection ${this.#name} lost (${cause}), trying again`);
      away = true;
    });
    this.redis.on("ready", () => {
      if (away) console.error(`Redis connection ${this.#name} is back`);
      away = false;
      cause = "closed";
    });
  }

  /**
   * Breaks a connection that has gone silent. It counts looks instead of reading a clock (as the time-outs of ioredis
   * do), because after this process was too busy to read, the answers are there, but come after the timers.
   */
  #look(): void {
    const isWaiting = this.#waiting > 0 || this.redis.status === "connect";
    this.#silentLooks = isWaiting && !this.#answered ? this.#silentLooks + 1 : 0;
    this.#answered = false;
    if (this.#silentLooks < SILENT_LOOKS) return;
    this.#silentLooks = 0;
    this.reset("no answer");
  }
}

/** Growing pauses up to two seconds, jittered so that many instances do not return in step. */
function pauseBeforeAttempt(attempt: number): number {
  const most = Math.min(2_000, 50 * 2 ** Math.min(attempt, 10));
  return most / 2 + Math.random() * most / 2;
}

/**
 * Opens connections, and tries again until all of them stand or it is clear that they will not.
 *
 * @param connections the connections
 * @param settings where Redis is, for the message
 * @param milliseconds how long to try
 * @throws {StoreUnavailable} with host, port and cause when the time runs out or Redis says no
 */
export async function openConnections(
  connections: Connection[],
  settings: RedisSettings,
  milliseconds: number,
): Promise<void> {
  let cause = `no answer within ${milliseconds / 1000} s`;
  const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
  function noteCause(error: Error): void {
    cause = describe(error);
    if (error instanceof ReplyError && !PASSING.test(cause)) refuse();
  }
  const opened = connections.map(({ redis }) => {
    redis.on("error", noteCause);
    redis.connect().catch(() => {});
    return new Promise<void>((resolve) => redis.once("ready", resolve));
  });
  try {
    await deadline(Promise.race([Promise.all(opened), refused]), milliseconds);
  } catch {
    await Promise.all(connections.map((connection) => connection.close()));
    const where = `${settings.host}:${settings.port}, TLS ${settings.tls ? "on" : "off"}`;
    throw new StoreUnavailable(`cannot use Redis at ${where}: ${cause}`);
  } finally {
    for (const { redis } of connections) redis.off("error", noteCause);
  }
}

/** One line that says what went wrong: an `AggregateError`, as of a name with several addresses, has no message. */
function describe(error: Error): string {
  const message = error instanceof AggregateError
    ? error.errors.map(String).join(", ")
    : error.message;
  return message.replace(/\s+/g, " ");
}

/** What a caller of a store may see of an error as ioredis gave it: whether the command took effect. */
function asStoreError(error: unknown): StoreUnavailable | StoreOutcomeUnknown {
  const message = describe(error as Error);
  return error instanceof ReplyError || message.startsWith("Stream isn't writeable")
    ? new StoreUnavailable(message, { cause: error })
    : new StoreOutcomeUnknown(message, { cause: error });
}
