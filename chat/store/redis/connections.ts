import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { Redis } from "ioredis";
import type { RedisSettings } from "../../config/redis_settings.ts";
import { deadline } from "../deadline.ts";
import { StoreUnavailable } from "../store.ts";
import { Keys } from "./keys.ts";
import { readRefusalReason } from "./refusal_reason.ts";
import { Outage } from "./outage.ts";
import {
  CONNECTION_DOWN,
  describe,
  isExplained,
  isFinal,
  isReply,
  toStoreError,
  UNUSABLE_SERVER,
  USELESS_KEY,
} from "./redis_errors.ts";
import repairScript from "./scripts/repair.lua" with { type: "text" };
import { checkServer, type ServerReport, warnOfSettings } from "./server_check.ts";

/** The connection that sends commands. */
export type CommandConnection = Pick<
  RedisConnection,
  | "keys"
  | "isReady"
  | "run"
  | "defineScript"
  | "defineOrderedScript"
  | "onReady"
  | "onRefusal"
  | "reset"
  | "close"
>;

/** The connection that receives what is published. */
export type SubscriberConnection = Pick<
  RedisConnection,
  | "subscribe"
  | "unsubscribe"
  | "ping"
  | "onMessage"
  | "onClose"
  | "prepare"
  | "onRefusal"
  | "reset"
  | "close"
>;

/** Runs a script with its keys followed by its arguments. */
export type Script<T> = (...keysAndArgs: (string | number)[]) => Promise<T>;

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

/**
 * A connection to a single Redis server that reconnects by itself, for ever. While it is down every
 * command is rejected at once: no command is queued until Redis returns. No command waits longer
 * than two seconds for its reply.
 *
 * Every command rejects with {@linkcode StoreUnavailable} if it did not take effect, and with
 * {@linkcode StoreOutcomeUnknown} if nobody can tell.
 */
class RedisConnection {
  readonly redis: Redis;
  /** The names of the keys and channels that the commands use. */
  readonly keys: Keys;
  /** Called with each cause for which the connection was lost, or could not be established. */
  onFailure: (cause: string, error: Error) => void;
  readonly #settings: RedisSettings;
  readonly #outage: Outage;
  readonly #timer: ReturnType<typeof setInterval>;
  #prepare: () => Promise<void> = async () => {};
  #onReady = () => {};
  #onRefusal: (message: string) => void = () => {};
  #isReady = false;
  #isClosed = false;
  /** Why the present connection, or the present attempt to connect, has failed. */
  #cause: Error | undefined;
  /** The number of attempts to connect since the connection was ready. */
  #attempts = 0;
  readonly #orderedScripts: string[] = [];
  #pendingReplies = 0;
  #bytesRead = 0;
  #silentTicks = 0;

  /** @param name the name that `CLIENT LIST` and the log show */
  constructor(settings: RedisSettings, name: string) {
    this.#settings = settings;
    this.#outage = new Outage(name);
    this.onFailure = (cause) => this.#outage.fail(cause);
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
      // It prints to the console where INFO is denied. `checkServer` does more.
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      // Rejects commands that await their reply as soon as the connection breaks.
      maxRetriesPerRequest: 0,
      // The count of ioredis starts again as soon as a connection is established.
      retryStrategy: () => backoffMs(++this.#attempts),
    });
    this.redis.on("error", (error: Error) => this.#cause ??= error);
    this.redis.on("ready", () => this.#handleConnected());
    this.redis.on("close", () => this.#handleClose());
    this.#timer = setInterval(() => this.#checkSilence(), TICK_MS);
  }

  /** Whether commands can be sent now. */
  get isReady(): boolean {
    // ioredis rejects pending commands before it emits that the connection is closed.
    return this.#isReady && this.redis.status === "ready";
  }

  /**
   * Sends a command and resolves to its reply. Commands take effect in the order in which they are
   * sent.
   */
  run<T>(command: string, ...args: (string | number)[]): Promise<T> {
    return this.#send(() => this.redis.call(command, ...args) as Promise<T>, args);
  }

  /**
   * Registers a Lua script.
   *
   * @param name the script's name in the client; Redis does not see it
   */
  defineScript<T>(name: string, numberOfKeys: number, lua: string): Script<T> {
    this.redis.defineCommand(name, { numberOfKeys, lua });
    const script = (this.redis as unknown as Record<string, Script<T>>)[name];
    return (...args) => this.#send(() => script.apply(this.redis, args), args);
  }

  /**
   * Registers a Lua script of which no call overtakes another. If Redis has lost the script, those
   * that are on their way are rejected; ioredis would repeat them after later ones.
   *
   * @param lua the source, which does nothing without keys
   * @returns a function that runs the script with the number of its keys, its keys and arguments
   */
  defineOrderedScript<T>(lua: string): Script<T> {
    const sha = createHash("sha1").update(lua).digest("hex");
    this.#orderedScripts.push(lua);
    this.#loadScripts();
    const isOrdered = true;
    return (...args) =>
      this.#send(() => this.redis.call("EVALSHA", sha, ...args) as Promise<T>, args, isOrdered);
  }

  /** What is sent after this finds the scripts, unless Redis loses them again. */
  #loadScripts(): void {
    for (const lua of this.#orderedScripts) {
      this.#track(() => this.redis.eval(lua, 0)).catch(() => {});
    }
  }

  /** Subscribes to channels. A connection that was reset has to subscribe again. */
  async subscribe(...channels: string[]): Promise<void> {
    await this.#track(() => this.redis.subscribe(...channels));
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.#track(() => this.redis.unsubscribe(channel));
  }

  /**
   * Resolves if Redis replies. By then everything that was published before the call has been
   * received.
   */
  async ping(): Promise<void> {
    await this.#track(() => this.redis.ping());
  }

  onMessage(listener: (channel: string, payload: string) => void): void {
    this.redis.on("message", listener);
  }

  /** Calls a listener each time the connection is ready again after it was down. */
  onReady(listener: () => void): void {
    this.#onReady = listener;
  }

  /** Calls a listener with each error reply to a command. */
  onRefusal(listener: (message: string) => void): void {
    this.#onRefusal = listener;
  }

  onClose(listener: () => void): void {
    this.redis.on("close", listener);
  }

  /**
   * Sets what has to succeed each time the connection is established again, before it counts as
   * ready. If it rejects, the connection is broken.
   */
  prepare(step: () => Promise<void>): void {
    this.#prepare = step;
  }

  /** Breaks the connection, which then reconnects. The log shows the cause. */
  reset(cause: string): void {
    this.#break(new Error(cause));
  }

  /** Closes the connection. If Redis is there, the replies to earlier commands still arrive. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#track(() => this.redis.quit()).catch(() => {});
    clearInterval(this.#timer);
    this.redis.disconnect();
  }

  /**
   * Checks whether the server can be used.
   *
   * @returns what it says about itself; `undefined` if the user may not ask
   * @throws {StoreUnavailable} if it cannot be used
   */
  async checkServer(): Promise<ServerReport | undefined> {
    const info = await this.#track(() => this.redis.info()).catch((error) => {
      if (!/^NOPERM|unknown command/.test(error.message)) throw error;
    });
    const report = info === undefined ? undefined : checkServer(info);
    await this.#track(() => this.redis.del(...this.keys.probes)).catch((error) => {
      if (UNUSABLE_SERVER.test(error.message)) throw error;
    });
    return report;
  }

  async #handleConnected(): Promise<void> {
    const { stream } = this.redis;
    try {
      // If SELECT fails, ioredis goes on with another database.
      if (this.#cause) throw this.#cause;
      await this.#prepare();
      this.#loadScripts();
    } catch (error) {
      if (this.redis.stream === stream) this.#break(error as Error);
      return;
    }
    if (this.redis.stream !== stream || stream.destroyed) return;
    this.#isReady = true;
    this.#attempts = 0;
    this.#outage.end();
    this.#onReady();
  }

  async #handleClose(): Promise<void> {
    const wasReady = this.#isReady;
    const cause = this.#cause ?? new Error("closed by Redis");
    this.#isReady = false;
    this.#cause = undefined;
    const words = wasReady || isExplained(cause)
      ? undefined
      : await readRefusalReason(this.#settings);
    if (!this.#isReady && !this.#isClosed) this.onFailure(words ?? describe(cause), cause);
  }

  #break(cause: Error): void {
    const { stream } = this.redis;
    if (!stream || stream.destroyed) return;
    this.#cause ??= cause;
    stream.destroy();
  }

  #send<T>(
    command: () => Promise<T>,
    args: readonly (string | number)[],
    isOrdered = false,
  ): Promise<T> {
    if (this.#isReady) return this.#track(command, args, isOrdered);
    this.#outage.countFailedCommand();
    return Promise.reject(new StoreUnavailable(CONNECTION_DOWN));
  }

  /**
   * @param args what may contain keys that another program has made useless. They are deleted, and
   * the command is repeated
   * @param isOrdered whether it is not repeated, because it would overtake
   */
  async #track<T>(
    command: () => Promise<T>,
    args: readonly (string | number)[] = [],
    isOrdered = false,
  ): Promise<T> {
    this.#pendingReplies++;
    try {
      return await command();
    } catch (error) {
      if (USELESS_KEY.test((error as Error).message) && await this.#deleteUseless(args)) {
        if (!isOrdered) return await this.#track(command);
      } else if (!isReply(error)) this.#outage.countFailedCommand();
      else if (this.#isReady) this.#handleRefusal(error);
      throw toStoreError(error);
    } finally {
      this.#pendingReplies--;
    }
  }

  /** Deletes keys that the chat cannot use; returns whether there were or may have been any. */
  async #deleteUseless(args: readonly (string | number)[]): Promise<boolean> {
    const keys = [...new Set(args.map(String))].filter((arg) => this.keys.typeOf(arg));
    if (keys.length === 0) return false;
    try {
      const types = keys.map((key) => this.keys.typeOf(key)!);
      const deleted = await this.redis.eval(repairScript, keys.length, ...keys, ...types);
      for (const key of deleted as string[]) {
        logger.error`Another program has made the Redis key ${key} useless: it was deleted`;
      }
      return true;
    } catch {
      return false;
    }
  }

  #handleRefusal(error: Error): void {
    if (UNUSABLE_SERVER.test(error.message)) return this.#break(error);
    if (error.message.startsWith("NOSCRIPT")) this.#loadScripts();
    this.#onRefusal(describe(error));
  }

  /**
   * Resets a connection that has fallen silent. It counts ticks and reads no clock, unlike the
   * timeouts of ioredis. If the process was too busy to read, its timers run before the replies
   * that have already arrived, and a timeout by the clock would reset a good connection.
   */
  #checkSilence(): void {
    const isWaiting = this.#pendingReplies > 0 || this.redis.status === "connect";
    const bytesRead = this.redis.stream?.bytesRead ?? 0;
    const isSilent = isWaiting && bytesRead === this.#bytesRead;
    this.#silentTicks = isSilent ? this.#silentTicks + 1 : 0;
    this.#bytesRead = bytesRead;
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
 * @throws {StoreUnavailable} if it cannot connect, or if the server cannot be used; the message
 * names host, port and cause
 */
export async function connect(
  settings: RedisSettings,
  timeoutMs: number,
): Promise<{ commands: CommandConnection; subscriber: SubscriberConnection }> {
  const commands = new RedisConnection(settings, "chat-commands");
  const subscriber = new RedisConnection(settings, "chat-subscriber");
  const connections = [commands, subscriber];
  let report: ServerReport | undefined;
  commands.prepare(async () => void (report = await commands.checkServer()));
  let cause = `no answer within ${timeoutMs / 1000} s`;
  const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
  const ready = connections.map((connection) => {
    const { onFailure } = connection;
    connection.onFailure = (words, error) => {
      cause = words + hintOfTls(settings, words);
      if (isFinal(error)) refuse();
    };
    connection.redis.connect().catch(() => {});
    return new Promise<void>((resolve) => connection.onReady(resolve))
      .then(() => connection.onFailure = onFailure);
  });
  try {
    await deadline(Promise.race([Promise.all(ready), refused]), timeoutMs);
  } catch {
    await Promise.all(connections.map((connection) => connection.close()));
    throw cannotUse(settings, cause);
  }
  warnOfSettings(report);
  return { commands, subscriber };
}

/** Says so where the cause is likely that one side speaks TLS and the other does not. */
function hintOfTls({ tls }: RedisSettings, cause: string): string {
  if (tls) return /ETIMEDOUT|no answer|corrupt message/.test(cause) ? " (is TLS on there?)" : "";
  return /ECONNRESET|closed by Redis/.test(cause) ? " (is TLS off there?)" : "";
}

/** Makes the error that ends a start. */
export function cannotUse(settings: RedisSettings, cause: string): StoreUnavailable {
  const where = `${settings.host}:${settings.port}, TLS ${settings.tls ? "on" : "off"}`;
  return new StoreUnavailable(`cannot use Redis at ${where}: ${cause}`);
}

/** Grows up to two seconds, with jitter so that many instances do not reconnect in step. */
function backoffMs(attempt: number): number {
  const max = Math.min(MAX_BACKOFF_MS, 50 * 2 ** Math.min(attempt, 10));
  return max / 2 + Math.random() * max / 2;
}
