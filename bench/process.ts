/**
 * The processes of a run. Each is pinned to one core and writes its output to a file. The kernel
 * kills them when the bench ends, even if it crashes.
 *
 * @module
 */

/** The unit of CPU time in `/proc`: USER_HZ is 100 on x86-64 and ARM64. */
const TICK_MS = 10;

/** A process is killed if it has not exited this long after SIGTERM. */
const EXIT_TIMEOUT_MS = 5_000;

/** The core of the servers, which nothing else in the bench uses. */
export const SERVER_CORE = 0;
/** The core that Redis and the load generator share. */
export const LOAD_CORE = 1;

/** How to start a program. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/**
 * Pins this process to the core of the load generator, with its threads and the processes that it
 * starts.
 */
export async function pinSelf(): Promise<void> {
  const args = ["-a", "-c", "-p", `${LOAD_CORE}`, `${Deno.pid}`];
  const { success } = await new Deno.Command("taskset", { args, stdout: "null" }).output();
  if (!success) throw new Error("taskset cannot pin: the bench needs Linux and two cores");
}

/** Returns a port of 127.0.0.1 on which no process listens at the moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A running program. */
export class Process implements AsyncDisposable {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #log: string;
  #hasExited = false;

  private constructor(child: Deno.ChildProcess, log: string) {
    this.#child = child;
    this.pid = child.pid;
    this.#log = log;
    child.status.then(() => this.#hasExited = true);
  }

  /** Starts a program on a core. From this process's environment it gets `PATH` and `HOME` only. */
  static async start(core: number, { program, args, env, cwd }: Command): Promise<Process> {
    const log = await Deno.makeTempFile({ prefix: "bench-", suffix: ".log" });
    const path = Deno.env.get("PATH") ?? "";
    const pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", `${core}`, program, ...args];
    const child = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, ...pinned],
      clearEnv: true,
      env: { PATH: path, HOME: Deno.env.get("HOME") ?? "/", NO_COLOR: "1", ...env },
      cwd,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new Process(child, log);
  }

  /** Waits until it listens on a port; throws with its last log line if it does not. */
  async waitUntilListening(port: number): Promise<void> {
    for (let tries = 0; tries < 300 && !this.#hasExited; tries++) {
      try {
        using _ = await Deno.connect({ hostname: "127.0.0.1", port });
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    throw new Error(`it does not listen: ${await this.lastLogLine()}`);
  }

  /** Returns the last line that names an error, or else the last line that it printed. */
  async lastLogLine(): Promise<string> {
    const lines = (await Deno.readTextFile(this.#log)).trim().split("\n");
    const line = lines.findLast((line) => /error|cannot|fail/i.test(line)) ?? lines.at(-1);
    return line?.trim().slice(0, 300) || "it printed nothing";
  }

  /** Returns the CPU time that it has used, with all its threads and child processes. */
  cpuMs(): number {
    return this.#pids().reduce((sum, pid) => sum + cpuMsOf(`/proc/${pid}/stat`, true), 0);
  }

  /** Returns the CPU time in milliseconds of each of its threads, by thread id. */
  threadCpuMs(): Map<string, number> {
    const times = new Map<string, number>();
    for (const pid of this.#pids()) {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
        times.set(name, cpuMsOf(`/proc/${pid}/task/${name}/stat`, false));
      }
    }
    return times;
  }

  /** Returns its resident memory, with all child processes. */
  memoryBytes(): number {
    return this.#pids().reduce((sum, pid) => {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`)) ?? [];
      return sum + Number(kilobytes ?? 0) * 1024;
    }, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = this.#pids();
    if (!this.#hasExited) this.#child.kill("SIGTERM");
    const killTimer = setTimeout(() => {
      for (const pid of pids) kill(pid);
    }, EXIT_TIMEOUT_MS);
    await this.#child.status;
    clearTimeout(killTimer);
    await Deno.remove(this.#log);
  }

  #pids(): number[] {
    const pids = [this.pid];
    // The list grows during the loop.
    for (const pid of pids) pids.push(...childrenOf(pid));
    return pids;
  }
}

/** Returns the CPU time that this process has used. */
export function ownCpuMs(): number {
  return cpuMsOf("/proc/self/stat", false);
}

/** Returns the CPU time that the whole machine has used. */
export function machineCpuMs(): number {
  const [user, nice, system, , , irq, softirq, steal] = read("/proc/stat").split("\n", 1)[0]
    .split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_MS;
}

function cpuMsOf(statFile: string, withExitedChildren: boolean): number {
  const text = read(statFile);
  // The name stands in parentheses and may contain spaces. utime, stime, cutime and cstime are
  // fields 14 to 17.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, withExitedChildren ? 15 : 13).map(Number);
  return ticks.reduce((sum, tick) => sum + tick, 0) * TICK_MS;
}

function childrenOf(pid: number): number[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) => {
      const children = read(`/proc/${pid}/task/${name}/children`);
      return children.split(" ").filter((child) => child !== "").map(Number);
    });
  } catch (error) {
    if (hasExited(error)) return [];
    throw error;
  }
}

/** Reads a file in /proc; returns an empty string if the process or thread has exited. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (hasExited(error)) return "";
    throw error;
  }
}

/**
 * Whether an error means that a process or thread has exited: `ENOENT`, or `ESRCH` if its file was
 * open.
 */
function hasExited(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || /\(os error 3\)/.test(`${error}`);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has exited by itself.
  }
}
