import { deadline } from "../../chat/store/deadline.ts";
import { TIMEOUT_MS } from "./wait.ts";

/** The output of a process, line by line, while the process still prints. */
export class Lines {
  readonly all: string[] = [];
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(...streams: ReadableStream<Uint8Array>[]) {
    Promise.all(streams.map((stream) => this.#read(stream))).then(() => {
      this.#ended = true;
      this.#wake.resolve();
    });
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.all.push(...lines);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
    if (rest) this.all.push(rest);
  }

  /** Waits for the first line that matches; fails with the whole output if it ends without one. */
  async find(pattern: RegExp): Promise<RegExpExecArray> {
    for (let seen = 0;; await deadline(this.#wake.promise, TIMEOUT_MS)) {
      for (; seen < this.all.length; seen++) {
        const match = pattern.exec(this.all[seen]);
        if (match) return match;
      }
      if (this.#ended) throw new Error(`no line matches ${pattern}:\n${this.all.join("\n")}`);
    }
  }

  /** Waits for the end of the output, and returns all lines. */
  async end(): Promise<string[]> {
    while (!this.#ended) await this.#wake.promise;
    return this.all;
  }
}

const PROJECT = new URL("../..", import.meta.url);

/** A process that a test has started; disposing it kills it. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly output: Lines;
  readonly exit: Promise<Deno.CommandStatus>;
  signal(signal: Deno.Signal): void;
}

/**
 * Starts a program. Its standard output and standard error are one pipe, so that their lines come
 * in the order in which it prints them.
 */
export function run(
  program: string,
  args: string[],
  env: Record<string, string> = {},
  folder: string | URL = PROJECT,
): Running {
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" 2>&1', "sh", program, ...args],
    env: { NO_COLOR: "1", ...env },
    cwd: folder,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const output = new Lines(child.stdout);
  let ended = false;
  const exit = child.status.then((status) => {
    ended = true;
    return status;
  });
  function signal(name: Deno.Signal): void {
    try {
      if (!ended) child.kill(name);
    } catch (error) {
      // It has ended, and the status has not come yet.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return {
    pid: child.pid,
    output,
    exit,
    signal,
    async [Symbol.asyncDispose]() {
      signal("SIGKILL");
      await Promise.all([exit, output.end()]);
    },
  };
}
