import { DEFAULT_ROOM } from "../../protocol/names.ts";
import { StoreUnavailable } from "../store.ts";
import type { CommandConnection } from "./connections.ts";

/**
 * The format of the data in Redis, which docs/protocol.md describes. It rises when an instance of
 * the version before could no longer work with the data, or with the events, of this one.
 */
export const DATA_FORMAT = 2;

/**
 * The member of the ZSET of leases whose score is the format. It stands beside the leases, so that
 * Redis cannot lose one and keep the other.
 */
export const FORMAT_MEMBER = "format";

/**
 * Checks that the data in Redis has the format of this version, or that there is none.
 *
 * @throws {StoreUnavailable} if it has another format
 */
export async function checkDataFormat(connection: CommandConnection): Promise<void> {
  const { keys } = connection;
  // If somebody else put a key of another type there, it is no data of the chat.
  async function read<T>(command: string, ...args: (string | number)[]): Promise<T[]> {
    return await connection.run<T[]>(command, ...args).catch(() => []);
  }
  // One read of the ZSET, because other instances may be starting.
  const leases = (await read<string | string[]>("ZRANGE", keys.leases, 0, -1, "WITHSCORES")).flat();
  const index = leases.indexOf(FORMAT_MEMBER);
  if (index >= 0) return checkNumber(leases[index + 1]);

  if (leases.length > 0) refuseOldData(keys.leases);
  if ((await read("SMEMBERS", keys.oldInstances)).length > 0) refuseOldData(keys.oldInstances);
  const { log } = keys.room(DEFAULT_ROOM);
  // In the entries of a log, older versions wrote the field `prev` first, this one `rest`.
  const [newest] = await read<[id: string, fields: string[]]>(
    "XREVRANGE",
    log,
    "+",
    "-",
    "COUNT",
    1,
  );
  if (newest?.[1][0] === "prev") refuseOldData(log);
}

function checkNumber(format: string): void {
  if (Number(format) === DATA_FORMAT) return;
  throw new StoreUnavailable(
    `its data has the format ${format}, but this version has the format ${DATA_FORMAT}: ` +
      "use the version that wrote it, or stop its instances and delete the chat's keys",
  );
}

/** Versions before 0.3 wrote no format. */
function refuseOldData(key: string): never {
  throw new StoreUnavailable(
    `${key} is from a version before 0.3: stop its instances, then delete the chat's keys`,
  );
}
