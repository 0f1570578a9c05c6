import { getLogger } from "@logtape/logtape";
import { StoreUnavailable } from "../store.ts";

const logger = getLogger(["chat", "redis"]);

/** The least version of Redis: the first with ACLs, on which the tests run too. */
const LEAST_VERSION = 6;

/** What an operator has to know about a server. */
export interface ServerReport {
  /** `noeviction`, or which keys the server deletes when its memory is full. */
  readonly evictionPolicy?: string;
}

/**
 * Checks whether a server can be used.
 *
 * @param info its reply to `INFO`
 * @throws {StoreUnavailable} if it is older than Redis 6.0, unknown, or a Redis Cluster
 */
export function checkServer(info: string): ServerReport {
  const fields = new Map(
    info.split("\r\n").map((line) => line.split(/:(.*)/, 2) as [string, string]),
  );
  const version = fields.get("redis_version") ?? "";
  // Valkey gives a redis_version too: that of the Redis with which it is compatible.
  if (!(parseInt(version) >= LEAST_VERSION)) {
    throw new StoreUnavailable(
      `this is Redis ${
        version || "of an unknown version"
      }, but Redis ${LEAST_VERSION}.0 is the least`,
    );
  }
  if (fields.get("cluster_enabled") === "1") {
    throw new StoreUnavailable("this is a Redis Cluster, which is not supported yet");
  }
  return { evictionPolicy: fields.get("maxmemory_policy") };
}

/** Warns of a server that was started with unsuitable settings, or that does not show them. */
export function warnOfSettings(report: ServerReport | undefined): void {
  if (!report) {
    logger.warn`The Redis user may not call INFO: version and settings of Redis are unchecked`;
    return;
  }
  const policy = report.evictionPolicy ?? "noeviction";
  if (policy === "noeviction") return;
  logger.warn`Redis has the maxmemory-policy ${policy}: use noeviction (docs/operations.md)`;
}

/** Warns if a measurement is refused. Then `publish.lua` does not limit the bytes of a log. */
export async function warnWithoutMemoryUsage(measurement: Promise<unknown>): Promise<void> {
  try {
    await measurement;
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    logger.warn`The Redis user may not call MEMORY USAGE: HISTORY_BYTES has no effect`;
  }
}
