import config from "../../deno.json" with { type: "json" };
import { run, type Running } from "./process.ts";

/** A server process of a test's own. */
export interface Instance extends Running {
  readonly port: number;
  readonly http: string;
}

const NOTHING_SET = Object.fromEntries(
  "PORT HOST CHAT_STORE REDIS_HOST REDIS_USERNAME REDIS_PASSWORD REDIS_URL REDIS_TLS MAX_MESSAGE_BYTES MAX_BUFFERED_BYTES WORKERS IDLE_SECONDS MAX_STALL_SECONDS MAX_FLUSH_MS HISTORY_LIMIT HISTORY_SECONDS"
    .split(" ").map((name) => [name, ""]),
);

/** Starts `main.ts` as `deno task start` does, without waiting for it. */
export function launch(env: Record<string, string> = {}): Running {
  const [, ...args] = config.tasks.start.command.split(" ");
  return run(Deno.execPath(), args, { ...NOTHING_SET, ...env });
}

/** What sets the clock of a process forward by an hour, with Debian's package faketime. */
export const AN_HOUR_AHEAD = { LD_PRELOAD: "/usr/$LIB/faketime/libfaketime.so.1", FAKETIME: "+1h" };

/** Starts `main.ts` on a free port of 127.0.0.1 and waits until it listens. */
export async function startInstance(env: Record<string, string> = {}): Promise<Instance> {
  const running = launch({ HOST: "127.0.0.1", PORT: "0", ...env });
  const [, port] = await running.output.find(/^Listening on \S+:(\d+)/);
  return { ...running, port: Number(port), http: `http://127.0.0.1:${port}` };
}
