import { getLogger } from "@logtape/logtape";
import { renderSettings } from "./chat/config/help.ts";
import { configureLogging } from "./chat/config/logging.ts";
import { findUnknownVariables } from "./chat/config/unknown_variables.ts";
import { preparePage } from "./chat/http/page.ts";
import {
  type Config,
  ConfigError,
  type Environment,
  makeInstanceId,
  readConfig,
  startInstance,
  startWorkers,
  StoreUnavailable,
} from "./chat/mod.ts";
import { surviveUnexpectedErrors } from "./chat/workers/unexpected_errors.ts";
import project from "./deno.json" with { type: "json" };

const logger = getLogger(["chat"]);

const VERSION = `deno-redis-chat ${project.version}`;

/**
 * Terminals and service managers such as systemd send a signal to `deno task` too, which passes it
 * on, and with `--watch` Deno adds a SIGTERM. Signals so soon after the first one are the same.
 */
const SAME_SIGNAL_MS = 500;

/**
 * The page is made after this time if nobody has opened it before, so that hardly anybody waits for
 * it.
 */
const MAKE_PAGE_AFTER_MS = 10_000;

/** The process exits after this time, even if the shutdown is not complete. */
const SHUTDOWN_DEADLINE_MS = 9_000;

const [argument] = Deno.args;
if (argument === "--help") {
  printHelp();
} else if (argument !== undefined) {
  fail(`unknown argument ${argument}: only --help is one, settings are environment variables`);
} else {
  await start().catch(explainAndFail);
}

function printHelp(): void {
  console.log(`${VERSION}, a chat server for Deno and Redis

Usage: deno task start [--help]

Settings are environment variables. An empty variable counts as not set.

${renderSettings()}`);
}

async function start(): Promise<void> {
  const env = Deno.env.toObject();
  const warnings = findUnknownVariables(env);
  const config = readConfigOrFail(env, warnings);
  const id = makeInstanceId();
  configureLogging(config, id);
  surviveUnexpectedErrors();
  for (const warning of warnings) logger.warn`${warning}`;
  const instance = await (config.workers > 1 ? startWorkers(config) : startInstance(config, id));
  stopOnSignals(() => instance.close());
  setTimeout(() => {
    preparePage().catch(({ message }) => logger.error`The page cannot be made: ${message}`);
  }, MAKE_PAGE_AFTER_MS);
  if (!config.auth && !isLoopback(config.host)) {
    logger.info`Authentication is off: anyone who reaches this server may join and read any room`;
  }
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  logger.info`Listening on http://${host}:${instance.port} (${VERSION})`;
  if (config.redis) {
    logger.info`Sharing the chat through Redis at ${config.redis.host}:${config.redis.port}`;
  } else {
    const why = env.CHAT_STORE
      ? "CHAT_STORE is memory"
      : "set REDIS_HOST=host:port to share its chat with others";
    logger.info`This instance is alone: ${why}`;
  }
}

function isLoopback(host: string): boolean {
  return /^(localhost|127\..*|::1)$/.test(host);
}

function readConfigOrFail(env: Environment, warnings: readonly string[]): Config {
  try {
    return readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) {
      fail(...warnings.map((line) => `Warning: ${line}`), ...error.problems);
    }
    throw error;
  }
}

function stopOnSignals(stop: () => Promise<void>): void {
  let stoppingSinceMs: number | undefined;
  async function onSignal(): Promise<void> {
    if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
      Deno.exit(130);
    }
    logger.info`Stopping; a second signal ends at once`;
    setTimeout(() => {
      logger.warn`The shutdown takes longer than ${SHUTDOWN_DEADLINE_MS} ms: exiting now`;
      Deno.exit(0);
    }, SHUTDOWN_DEADLINE_MS);
    const stopped = stop();
    // Counted from here on: to close many sessions may take longer than these signals are apart.
    stoppingSinceMs = performance.now();
    await stopped;
    // Sockets of peers that do not read would keep the process running.
    Deno.exit(0);
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, onSignal);
}

function explainAndFail(error: Error): never {
  const prefix = error instanceof StoreUnavailable ? "" : "cannot start ";
  logger.fatal`${prefix}${error.message}`;
  Deno.exit(1);
}

/** Prints plain lines, for what is wrong before the log is configured. */
function fail(...lines: string[]): never {
  for (const line of lines) console.error(line);
  Deno.exit(1);
}
