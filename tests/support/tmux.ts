import { assert } from "@std/assert";

/** A program that runs in a terminal of tmux; disposing it ends both. */
export interface TmuxTerminal extends AsyncDisposable {
  /** Returns what the terminal shows, with what has scrolled out of it, without empty lines. */
  screen(): Promise<string[]>;
  /** Returns the value of a format, such as `#{pane_title}`. */
  read(format: string): Promise<string>;
  /** Returns the texts that a program in the terminal has put into the clipboard. */
  clipboard(): Promise<string>;
  /** Types text, and then Enter. */
  type(text: string): Promise<void>;
}

/**
 * Runs a shell command in a tmux server of its own, 100 columns wide, which takes every command
 * that a program gives to its terminal.
 *
 * @throws {Error} if tmux is not installed; the error says how to install it
 */
export async function openTmux(command: string): Promise<TmuxTerminal> {
  const folder = await Deno.makeTempDir();

  async function tmux(...args: string[]): Promise<string> {
    const socket = ["-u", "-S", `${folder}/socket`, "-f", "/dev/null"];
    const options = { args: [...socket, ...args], env: { LC_ALL: "C.UTF-8", TMUX: "" } };
    const result = await new Deno.Command("tmux", options).output().catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new Error("this test needs tmux: apt-get install tmux", { cause: error });
    });
    assert(result.success, `tmux ${args.join(" ")}: ${new TextDecoder().decode(result.stderr)}`);
    return new TextDecoder().decode(result.stdout);
  }

  await tmux(
    ...["set", "-g", "set-clipboard", "on", ";", "set", "-g", "automatic-rename", "off", ";"],
    ...["set", "-g", "allow-rename", "on", ";", "set", "-g", "allow-passthrough", "on", ";"],
    ...["new-session", "-d", "-x", "100", "-y", "50", command],
  );
  return {
    async screen() {
      const lines = (await tmux("capture-pane", "-p", "-S", "-")).split("\n");
      return lines.map((line) => line.trimEnd()).filter((line) => line !== "");
    },
    read: async (format) => (await tmux("display-message", "-p", format)).trimEnd(),
    clipboard: () => tmux("list-buffers", "-F", "#{buffer_sample}"),
    type: async (text) => void await tmux("send-keys", "-l", text, ";", "send-keys", "Enter"),
    async [Symbol.asyncDispose]() {
      await tmux("kill-server");
      await Deno.remove(folder, { recursive: true });
    },
  };
}
