import type { RedisSettings } from "../../config/redis_settings.ts";
import { deadline } from "../deadline.ts";

/** How long a server has to say something, in milliseconds. */
const DEADLINE_MS = 500;

/**
 * Asks a server that ended a connection for the reason: connects, sends nothing, and reads. Redis
 * says `-ERR max number of clients reached` and hangs up. A client that sends a command first often
 * sees only the end, and the TLS of `node:tls` does not say that a certificate has expired.
 *
 * @returns what the server says, or why TLS fails; `undefined` if neither is known
 */
export async function readRefusalReason(
  { host: hostname, port, tls }: RedisSettings,
): Promise<string | undefined> {
  const connecting = tls ? Deno.connectTls({ hostname, port }) : Deno.connect({ hostname, port });
  const connection = connecting.catch(() => undefined);
  try {
    return await deadline(read(connecting), DEADLINE_MS);
  } catch (error) {
    // It ends with the time of the check, which differs from attempt to attempt.
    if (error instanceof Deno.errors.InvalidData) return error.message.replace(/: verif.*/, "");
  } finally {
    connection.then((opened) => opened?.close()).catch(() => {});
  }
}

async function read(connecting: Promise<Deno.Conn>): Promise<string | undefined> {
  const connection = await connecting;
  const buffer = new Uint8Array(200);
  const length = await connection.read(buffer) ?? 0;
  return /^-(.+)\r\n/.exec(new TextDecoder().decode(buffer.subarray(0, length)))?.[1];
}
