/**
 * The machine and the software versions of a run.
 *
 * @module
 */
import packages from "./peers/package.json" with { type: "json" };

/** A description of the machine and the software, as texts for the table. */
export interface Machine {
  readonly hardware: string;
  readonly system: string;
  readonly versions: string;
  readonly commit: string;
}

/** Describes this machine and the installed software. */
export async function describeMachine(): Promise<Machine> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const model = /^model name\s*: (.*)/m.exec(cpuinfo)?.[1] ?? Deno.build.arch;
  const gigabytes = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const release = await Deno.readTextFile("/etc/os-release").catch(() => "");
  const distribution = /^PRETTY_NAME="(.*)"/m.exec(release)?.[1] ?? "Linux";
  const redis = /v=(\S+)/.exec(await output("redis-server", "--version"))?.[1] ?? "?";
  const nchan = await output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan");
  const versions = {
    Deno: Deno.version.deno,
    Redis: redis,
    ...packages.dependencies,
    nchan: nchan || "not installed",
  };
  return {
    hardware: `${model}, ${navigator.hardwareConcurrency} cores, ${gigabytes} GiB`,
    system: `${distribution}, Linux ${Deno.osRelease()}`,
    versions: Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "),
    commit: await commitOf("."),
  };
}

/** Returns the commit that is checked out in a directory. */
export async function commitOf(directory: string): Promise<string> {
  return await output("git", "-C", directory, "describe", "--always", "--dirty");
}

/**
 * Returns what a program prints, without surrounding space; an empty string if it cannot be run.
 */
async function output(program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await new Deno.Command(program, { args, stderr: "null" }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return "";
  }
}
