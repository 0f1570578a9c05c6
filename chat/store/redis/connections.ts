import { getLogger } from "@logtape/logtape";
import { Redis, ReplyError } from "ioredis";
import type { RedisSettings } from "../../config/redis_settings.ts";
import { deadline } from "../deadline.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";
import { Keys } from "./keys.ts";

/**
 * A connection to Redis that reconnects by itself, for ever. While it is down every command is
 * rejected at once: no command is queued until Redis returns. No command waits longer than two
 * seconds for its reply.
 *
 * Every command rejects with {@linkcode StoreUnavailable} if it did not take effect, and with
 * {@linkcode StoreOutcomeUnknown} if nobody can tell.
 */
interface Connection {
  /** Calls a listener each time the connection is ready again after it was down. */
  onReady(listener: () => void): void;

  /** Breaks the connection, which then reconnects. The log shows the cause. */
  reset(cause: string): void;

  /** Closes the connection. If Redis is there, the replies to earlier commands still arrive. */
  close(): Promise<void>;
}

/** The connection that sends commands. */
export interface CommandConnection extends Connection {
  /** The names of the keys and channels that the commands use. */
  readonly keys: Keys;

  /** Whether commands can be sent now. */
  readonly isReady: boolean;

  /**
   * Sends a command and resolves to its reply. Commands take effect in the order in which they are
   * sent.
   */
  run<T>(command: string, ...args: (string | number)[]): Promise<T>;

  /**
   * Registers a Lua script.
   *
   * @param name the script's name in the client; Redis does not see it
   * @param numberOfKeys how many keys it takes; `undefined` if each call gives that number as its
   * first argument
   * @param lua the source
   * @returns a function that runs the script with its keys followed by its arguments
   */
  defineScript<T>(name: string, numberOfKeys: number | undefined, lua: string): Script<T>;
}

/** Runs a script; see {@linkcode CommandConnection.defineScript}. */
export type Script<T> = (...keysAndArgs: (string | number)[]) => Promise<T>;

/** The connection that receives what is published. */
export interface SubscriberConnection extends Connection {
  /** Subscribes to channels. A connection that was reset has to subscribe again. */
  subscribe(...channels: string[]): Promise<void>;

  /** Unsubscribes from a channel. */
  unsubscribe(channel: string): Promise<void>;

  /**
   * Resolves if Redis replies. By then everything that was published before the call has been
   * received.
   */
  ping(): Promise<void>;

  /** Calls a listener with everything that is published on the channels. */
  onMessage(listener: (channel: string, payload: string) => void): void;

  /** Calls a listener each time the connection breaks. */
  onClose(listener: () => void): void;
}

const logger = getLogger(["chat", "redis"]);

/** The time between two checks for silence, in milliseconds. */
const TICK_MS = 250;

/**
 * A connection that owes a reply and receives none for this many ticks is broken: just under two
 * seconds.
 */
const SILENT_TICKS = 7;

/** The longest pause between two attempts to connect, in milliseconds. */
const MAX_BACKOFF_MS = 2_000;

/** Error replies after which another attempt to connect may succeed. */
const TRANSIENT_ERROR = /^(LOADING|BUSY|MASTERDOWN|TRYAGAIN)/;

/** A connection to a single Redis server. */
class RedisConnection implements CommandConnection, SubscriberConnection {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly #name: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #pendingReplies = 0;
  #hasReceivedReply = false;
  #silentTicks = 0;

  /**
   * Creates a connection that is not connected yet.
   *
   * @param settings where Redis is
   * @param name the name that `CLIENT LIST` and the log show
   */
  constructor(settings: RedisSettings, name: string) {
    this.#name = name;
    this.keys = new Keys(settings);
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
      connectTimeout: SILENT_TICKS * TICK_MS,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      // Rejects commands that await their reply as soon as the connection breaks.
      maxRetriesPerRequest: 0,
      retryStrategy: backoffMs,
    });
    this.#timer = setInterval(() => this.#checkSilence(), TICK_MS);
  }

  get isReady(): boolean {
    return this.redis.status === "ready";
  }

  run<T>(command: string, ...args: (string | number)[]): Promise<T> {
    return this.#track(() => this.redis.call(command, ...args) as Promise<T>);
  }

  defineScript<T>(name: string, numberOfKeys: number | undefined, lua: string): Script<T> {
    this.redis.defineCommand(name, { numberOfKeys, lua });
    const script = (this.redis as unknown as Record<string, Script<T>>)[name];
    return (...keysAndArgs) => this.#track(() => script.apply(this.redis, keysAndArgs));
  }

  async subscribe(...channels: string[]): Promise<void> {
    await this.#track(() => this.redis.subscribe(...channels));
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.#track(() => this.redis.unsubscribe(channel));
  }

  async ping(): Promise<void> {
    await this.#track(() => this.redis.ping());
  }

  onMessage(listener: (channel: string, payload: string) => void): void {
    this.redis.on("message", listener);
  }

  onReady(listener: () => void): void {
    this.redis.on("ready", listener);
  }

  onClose(listener: () => void): void {
    this.redis.on("close", listener);
  }

  reset(cause: string): void {
    this.redis.stream?.destroy(new Error(cause));
  }

  async close(): Promise<void> {
    await this.#track(() => this.redis.quit()).catch(() => {});
    clearInterval(this.#timer);
    this.redis.disconnect();
  }

  /**
   * Logs one line when the connection is lost and one when it is back, however many attempts lie
   * between.
   */
  reportOutages(): void {
    let cause = "closed";
    let isDown = false;
    this.redis.on("error", (error: Error) => cause = describe(error));
    this.redis.on("reconnecting", () => {
      if (!isDown) logger.warn`Redis connection ${this.#name} lost (${cause}), trying again`;
      isDown = true;
    });
    this.redis.on("ready", () => {
      if (isDown) logger.info`Redis connection ${this.#name} is back`;
      isDown = false;
      cause = "closed";
    });
  }

  async #track<T>(command: () => Promise<T>): Promise<T> {
    this.#pendingReplies++;
    try {
      const reply = await command();
      this.#hasReceivedReply = true;
      return reply;
    } catch (error) {
      if (error instanceof ReplyError) this.#hasReceivedReply = true;
      throw toStoreError(error);
    } finally {
      this.#pendingReplies--;
    }
  }

  /**
   * Resets a connection that has fallen silent. It counts ticks and reads no clock, unlike the
   * timeouts of ioredis. If the process was too busy to read, its timers run before the replies
   * that have already arrived, and a timeout by the clock would reset a good connection.
   */
  #checkSilence(): void {
    const isWaiting = this.#pendingReplies > 0 || this.redis.status === "connect";
    this.#silentTicks = isWaiting && !this.#hasReceivedReply ? this.#silentTicks + 1 : 0;
    this.#hasReceivedReply = false;
    if (this.#silentTicks < SILENT_TICKS) return;
    this.#silentTicks = 0;
    this.reset("no answer");
  }
}

/**
 * Connects to Redis: one connection for commands, and one that receives what is published. It
 * retries until both connections are ready, Redis refuses one of them, or the time is up.
 *
 * @param settings where Redis is
 * @param timeoutMs how long to try, in milliseconds
 * @throws {StoreUnavailable} if it cannot connect; the message names host, port and cause
 */
export async function connect(
  settings: RedisSettings,
  timeoutMs: number,
): Promise<{ commands: CommandConnection; subscriber: SubscriberConnection }> {
  const commands = new RedisConnection(settings, "chat-commands");
  const subscriber = new RedisConnection(settings, "chat-subscriber");
  const connections = [commands, subscriber];
  let cause = `no answer within ${timeoutMs / 1000} s`;
  const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
  function noteCause(error: Error): void {
    cause = describe(error);
    if (error instanceof ReplyError && !TRANSIENT_ERROR.test(cause)) refuse();
  }
  const ready = connections.map(({ redis }) => {
    redis.on("error", noteCause);
    redis.connect().catch(() => {});
    return new Promise<void>((resolve) => redis.once("ready", resolve));
  });
  try {
    await deadline(Promise.race([Promise.all(ready), refused]), timeoutMs);
  } catch {
    await Promise.all(connections.map((connection) => connection.close()));
    const where = `${settings.host}:${settings.port}, TLS ${settings.tls ? "on" : "off"}`;
    throw new StoreUnavailable(`cannot use Redis at ${where}: ${cause}`);
  } finally {
    for (const { redis } of connections) redis.off("error", noteCause);
  }
  for (const connection of connections) connection.reportOutages();
  return { commands, subscriber };
}

/** Grows up to two seconds, with jitter so that many instances do not reconnect in step. */
function backoffMs(attempt: number): number {
  const max = Math.min(MAX_BACKOFF_MS, 50 * 2 ** Math.min(attempt, 10));
  return max / 2 + Math.random() * max / 2;
}

/**
 * One line. An `AggregateError`, as for a host name with several addresses, has no message of its
 * own.
 */
function describe(error: Error): string {
  const message = error instanceof AggregateError
    ? error.errors.map(String).join(", ")
    : error.message;
  return message.replace(/\s+/g, " ");
}

/**
 * An error reply, and a command that was never written, did not take effect. All else is unknown.
 */
function toStoreError(error: unknown): StoreUnavailable | StoreOutcomeUnknown {
  const message = describe(error as Error);
  return error instanceof ReplyError || message.startsWith("Stream isn't writeable")
    ? new StoreUnavailable(message, { cause: error })
    : new StoreOutcomeUnknown(message, { cause: error });
}
