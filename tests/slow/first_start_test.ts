import { assertEquals, assertRejects } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { messageOf, NOTHING_SET } from "../support/instance.ts";
import { openTerminal } from "../support/terminal.ts";
import { sleep } from "../support/wait.ts";

/** Deno draws a progress bar again after 120 ms, and removes it then if its work is done. */
const LAST_BAR_MS = 1_000;

for (const task of ["start", "dev"] as const) {
  Deno.test(`the first \`deno task ${task}\` shows in a terminal where it listens`, async () => {
    const folder = await Deno.makeTempDir();
    const project = ["deno.json", "deno.lock", "main.ts", "chat", "tools", "web"];
    const cwd = new URL("../..", import.meta.url);
    const copy = new Deno.Command("cp", { args: ["-r", ...project, folder], cwd });
    assertEquals((await copy.output()).code, 0);
    await using terminal = openTerminal(`'${Deno.execPath()}' task ${task}`, {
      cwd: folder,
      env: { ...NOTHING_SET, HOST: "127.0.0.1", PORT: "0", DENO_DIR: `${folder}/empty` },
    });
    const [, port] = await terminal.output.find(/Listening on \S+:(\d+)/);
    await terminal.output.find(/This instance is alone/);
    await sleep(LAST_BAR_MS);
    await terminal.type("\x03");
    assertEquals((await terminal.exit).code, 0);
    await terminal.output.end();

    assertEquals(
      terminal.screen()
        .filter((line) => !line.startsWith("JSR cannot be reached: "))
        .map((line) => messageOf(line.replace(/^\^C/, ""))),
      [
        `Task deps ${config.tasks.deps.command}`,
        `Task ${task} ${config.tasks[task].command}`,
        `Listening on http://127.0.0.1:${port} (deno-redis-chat ${config.version})`,
        "This instance is alone: set REDIS_HOST=host:port to share its chat with others",
        "Stopping; a second signal ends at once",
      ],
    );
    const connect = () => Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await assertRejects(connect, Deno.errors.ConnectionRefused);
    await Deno.remove(folder, { recursive: true });
  });
}
