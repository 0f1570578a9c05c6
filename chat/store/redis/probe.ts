import type { CommandConnection } from "./connections.ts";
import probeScript from "./scripts/probe.lua" with { type: "text" };

/**
 * Makes a function that tries every command that the chat needs. A command alone would not do: a
 * Redis without memory still answers `PING`.
 *
 * @param connection where to send the commands
 * @param channel a channel that nobody listens to
 * @returns the function; it resolves to the first error reply, or to `undefined`
 */
export function makeProbe(
  connection: CommandConnection,
  channel: string,
): () => Promise<string | undefined> {
  const probe = connection.defineScript<[command: string, error: string] | null>(
    ...["probe", 1, probeScript] as const,
  );
  return async () => {
    const failed = await probe(connection.keys.probe, channel);
    if (failed === null) return undefined;
    const [command, error] = failed;
    // In a script, Redis 6 and 7.0 do not say which command the user may not call.
    return /can't run this command/.test(error)
      ? `${error} (the '${command.toLowerCase()}' command)`
      : error;
  };
}
