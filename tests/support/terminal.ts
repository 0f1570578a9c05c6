import { Lines, type Running } from "./process.ts";

/** The size of a terminal window that nobody has resized. */
const [ROWS, COLUMNS] = [24, 80];

/** A program that runs in a terminal; disposing it hangs up. */
export interface Terminal extends Omit<Running, "signal"> {
  /** Types text or keys, such as `\x03` for Ctrl-C. */
  type(keys: string): Promise<void>;
  /** Returns what the terminal shows: see {@linkcode renderScreen}. */
  screen(): string[];
}

/** Runs a shell command in a pseudo-terminal, with `script` of util-linux. */
export function openTerminal(
  command: string,
  { cwd, env }: { cwd: string; env: Record<string, string> },
): Terminal {
  const prepare = `unset NO_COLOR; stty rows ${ROWS} cols ${COLUMNS}`;
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", `${prepare}; exec ${command}`, "/dev/null"],
    cwd,
    env: { TERM: "xterm-256color", ...env },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = new Lines(child.stdout);
  const keyboard = child.stdin.getWriter();
  return {
    pid: child.pid,
    output,
    exit: child.status,
    type: (keys) => keyboard.write(new TextEncoder().encode(keys)),
    screen: () => renderScreen(output.all.join("\n")),
    async [Symbol.asyncDispose]() {
      // `script` ends then, and the kernel sends SIGHUP to what runs in its terminal.
      await keyboard.close().catch(() => {});
      try {
        child.kill("SIGKILL");
      } catch { /* It has ended. */ }
      await Promise.all([child.status, output.end()]);
    },
  };
}

/**
 * Renders the output of a program as a terminal of 24 rows and 80 columns shows it, lines that have
 * scrolled out of it included. It knows the control sequences that Deno prints.
 *
 * @returns the lines; where the terminal broke a line at its right edge, it is whole again
 * @throws {Error} if the output has another control sequence
 */
export function renderScreen(output: string): string[] {
  /** Each row, and whether its text goes on in the next one. */
  const rows = [{ cells: [] as string[], wraps: false }];
  let [row, column] = [0, 0];

  function moveTo(newRow: number): void {
    const top = Math.max(0, rows.length - ROWS);
    row = Math.max(top, newRow);
    while (rows.length <= row) rows.push({ cells: [], wraps: false });
  }

  function print(char: string): void {
    if (column === COLUMNS) {
      rows[row].wraps = true;
      moveTo(row + 1);
      column = 0;
    }
    rows[row].cells[column++] = char;
  }

  function erase(fromRow: number, fromColumn: number, toRow: number): void {
    for (const line of rows.slice(fromRow, toRow + 1)) {
      line.cells.length = Math.min(line.cells.length, line === rows[row] ? fromColumn : 0);
      line.wraps = false;
    }
  }

  const controls: Record<string, (count: number) => void> = {
    A: (count) => moveTo(row - (count || 1)),
    B: (count) => moveTo(row + (count || 1)),
    G: (count) => column = Math.max(count, 1) - 1,
    J: () => erase(row, column, rows.length),
    K: (part) => erase(row, part === 2 ? 0 : column, row),
    m: () => {},
  };

  // deno-lint-ignore no-control-regex
  for (const [token, count, name] of output.matchAll(/\x1b\[([\d;]*)([A-Z])|[^]/giu)) {
    if (name && Object.hasOwn(controls, name)) controls[name](Number.parseInt(count) || 0);
    else if (token === "\r") column = 0;
    else if (token === "\n") moveTo(row + 1);
    else if (token >= " ") print(token);
    else throw new Error(`not a known control sequence: ${JSON.stringify(token)}`);
  }

  const lines = [""];
  for (const { cells, wraps } of rows) {
    lines.push(lines.pop() + Array.from(cells, (cell) => cell ?? " ").join(""));
    if (!wraps) lines.push("");
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== "");
}
