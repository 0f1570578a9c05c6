import { SETTINGS } from "../../chat/config/settings.ts";
import config from "../../deno.json" with { type: "json" };
import { run, type Running } from "./process.ts";

/** A server process that belongs to one test. */
export interface Instance extends Running {
  readonly port: number;
  readonly http: string;
}

/** No setting is set. `REDIS_SERVER` is for the tests, and looks like one. */
export const NOTHING_SET: Record<string, string> = Object.fromEntries(
  [...Object.keys(SETTINGS), "REDIS_SERVER"].map((name) => [name, ""]),
);

/** The limits of clients are off: all tests have one address. Tests of the limits set them. */
const NO_LIMITS = { LIMITS: "off" };

/** How a test starts a server process. */
export interface LaunchOptions {
  /** The most files that it can have open. */
  readonly openFiles?: number;
  /** The folder of another version of the project. */
  readonly folder?: string;
  /**
   * Whether the test sends it SIGSTOP. If that came while Deno writes to its code cache, the lock
   * would stay, and every other Deno process would wait for it, five seconds for each write.
   */
  readonly mayBeStopped?: boolean;
}

/** Starts `main.ts` as `deno task start ARGUMENTS` does, without waiting for it. */
export function launch(
  env: Record<string, string> = {},
  args: string[] = [],
  { openFiles, folder, mayBeStopped = false }: LaunchOptions = {},
): Running {
  const [, subcommand, ...options] = config.tasks.start.command.split(" ");
  const command = [subcommand, ...(mayBeStopped ? ["--no-code-cache"] : []), ...options];
  const variables = { ...NOTHING_SET, ...NO_LIMITS, ...env };
  if (openFiles === undefined) {
    return run(Deno.execPath(), [...command, ...args], variables, folder);
  }
  const script = `ulimit -n ${openFiles}; exec "$0" "$@"`;
  return run("sh", ["-c", script, Deno.execPath(), ...command, ...args], variables, folder);
}

/** Sets the clock of a process forward by an hour, with Debian's package faketime. */
export const CLOCK_ONE_HOUR_AHEAD = {
  LD_PRELOAD: "/usr/$LIB/faketime/libfaketime.so.1",
  FAKETIME: "+1h",
};

/** Removes time, level and instance id from a line of the log. */
export function messageOf(line: string): string {
  return line.replace(/^\S+Z \w+ [\da-f]{12} /, "");
}

/** Starts `main.ts` on a free port of 127.0.0.1 and waits until it listens. */
export async function startInstance(
  env: Record<string, string> = {},
  options?: LaunchOptions,
): Promise<Instance> {
  const running = launch({ HOST: "127.0.0.1", PORT: "0", ...env }, [], options);
  const [, port] = await running.output.find(/Listening on \S+:(\d+)/);
  return { ...running, port: Number(port), http: `http://127.0.0.1:${port}` };
}

/** Tells how many sockets a process has open. Other descriptors come with the page's thread. */
export function countSockets({ pid }: Running): number {
  const folder = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(folder)].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`${folder}/${name}`).startsWith("socket:");
    } catch (error) {
      // It was closed meanwhile.
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }).length;
}
