/**
 * The processes of a run: each on a core of its own, with its output in a file, ended with the bench, however that ends.
 *
 * @module
 */

/** Linux counts CPU time in hundredths of a second, whatever the kernel's own clock is. */
const TICK_MS = 10;

/** A process that was asked to end gets so many milliseconds. */
const END_WITHIN = 5_000;

/** The servers have this core for themselves. */
export const SERVER_CORE = 0;
/** Redis and the load generator share this one. */
export const OTHER_CORE = 1;

/** How to start a program. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Puts this process, with all its threads and all that it starts, on the core of the load generator. */
export async function pinSelf(): Promise<void> {
  const args = ["-a", "-c", "-p", `${OTHER_CORE}`, `${Deno.pid}`];
  const { success } = await new Deno.Command("taskset", { args, stdout: "null" }).output();
  if (!success) throw new Error("taskset cannot pin: the bench needs Linux and two cores");
}

/** A port of 127.0.0.1 that nobody listens on right now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A running program. */
export class Process implements AsyncDisposable {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #log: string;
  #ended = false;

  private constructor(child: Deno.ChildProcess, log: string) {
    this.#child = child;
    this.pid = child.pid;
    this.#log = log;
    child.status.then(() => this.#ended = true);
  }

  /** Starts a program on a core. Of this process's environment it gets only what a program needs to be found. */
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

  /** Resolves once it listens on a port; fails with its last words if it ends before. */
  async listening(port: number): Promise<void> {
    for (let tries = 0; tries < 300 && !this.#ended; tries++) {
      try {
        using _ = await Deno.connect({ hostname: "127.0.0.1", port });
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    throw new Error(`it does not listen: ${await this.lastWords()}`);
  }

  /** The last line that it printed, or the last that names an error. */
  async lastWords(): Promise<string> {
    const lines = (await Deno.readTextFile(this.#log)).trim().split("\n");
    const line = lines.findLast((line) => /error|cannot|fail/i.test(line)) ?? lines.at(-1);
    return line?.trim().slice(0, 300) || "it printed nothing";
  }

  /** The CPU time that it has used, in milliseconds: all threads, all children. */
  cpu(): number {
    return this.#pids().reduce((sum, pid) => sum + cpuOf(`/proc/${pid}/stat`, true), 0);
  }

  /** The CPU time of each of its threads, in milliseconds. */
  threads(): Map<string, number> {
    const times = new Map<string, number>();
    for (const pid of this.#pids()) {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
        times.set(name, cpuOf(`/proc/${pid}/task/${name}/stat`, false));
      }
    }
    return times;
  }

  /** The memory that it has right now, in bytes: resident, with all children. */
  memory(): number {
    return this.#pids().reduce((sum, pid) => {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`)) ?? [];
      return sum + Number(kilobytes ?? 0) * 1024;
    }, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = this.#pids();
    if (!this.#ended) this.#child.kill("SIGTERM");
    const giveUp = setTimeout(() => {
      for (const pid of pids) kill(pid);
    }, END_WITHIN);
    await this.#child.status;
    clearTimeout(giveUp);
    await Deno.remove(this.#log);
  }

  #pids(): number[] {
    const pids = [this.pid];
    // The list grows as it is read.
    for (const pid of pids) pids.push(...childrenOf(pid));
    return pids;
  }
}

/** The CPU time that this process has used, in milliseconds. */
export function ownCpu(): number {
  return cpuOf("/proc/self/stat", false);
}

/** The CPU time that everyone on this machine has used, in milliseconds. */
export function everyonesCpu(): number {
  const [user, nice, system, , , irq, softirq, steal] = read("/proc/stat").split("\n", 1)[0]
    .split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_MS;
}

function cpuOf(stat: string, withDeadChildren: boolean): number {
  const text = read(stat);
  // The name, in parentheses, may have spaces in it; utime, stime, cutime and cstime are the 14th to 17th field.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, withDeadChildren ? 15 : 13).map(Number);
  return ticks.reduce((sum, tick) => sum + tick, 0) * TICK_MS;
}

function childrenOf(pid: number): number[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) => {
      const children = read(`/proc/${pid}/task/${name}/children`);
      return children.split(" ").filter((child) => child !== "").map(Number);
    });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** What is in a file of /proc; nothing if the process or thread has just ended. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

/** Whether a process or thread has ended: `ENOENT`, or `ESRCH` where its file was open already. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || /\(os error 3\)/.test(`${error}`);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
