import { configureSync, getConsoleSink, type LogRecord } from "@logtape/logtape";
import type { Config } from "./config.ts";

/**
 * Configures where and how this process, or this worker, logs. Modules log through
 * `getLogger(["chat", …])` of LogTape. Levels below `warning` go to standard output, the others
 * to standard error. Nothing logs the text of a message, a token or a password.
 *
 * @param config the format and the least level
 * @param instanceId the id of this instance, which is part of every line
 */
export function configureLogging(
  { logFormat, logLevel }: Pick<Config, "logFormat" | "logLevel">,
  instanceId: string,
): void {
  const format = logFormat === "json" ? formatJson : formatText;
  configureSync({
    reset: true,
    sinks: { console: getConsoleSink({ formatter: (record) => format(record, instanceId) }) },
    loggers: [
      { category: "chat", lowestLevel: logLevel, sinks: ["console"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["console"] },
    ],
  });
}

/** Such as `2026-11-26T18:00:00.000Z warning 3f9a1c2e7b40 Redis is away`. */
function formatText(record: LogRecord, instanceId: string): string {
  return `${formatTime(record)} ${record.level} ${instanceId} ${formatMessage(record)}`;
}

function formatJson(record: LogRecord, instance: string): string {
  return JSON.stringify({
    time: formatTime(record),
    level: record.level,
    instance,
    message: formatMessage(record),
  });
}

function formatTime({ timestamp }: LogRecord): string {
  return new Date(timestamp).toISOString();
}

function formatMessage({ message }: LogRecord): string {
  return message.map((part) => part instanceof Error ? part.stack : part).join("");
}
