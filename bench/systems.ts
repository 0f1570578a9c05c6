/**
 * What is compared: our server, in both of its protocols, and its peers. The files of the peers that run on Node.js and
 * Bun are CommonJS, because `deno check` would look for the packages of ES modules in `deno.json`.
 *
 * @module
 */
import { type Dialect, ECHOING_TEXT, JSON_LINES, NCHAN, SOCKET_IO, TEXT } from "./dialects.ts";
import type { Command } from "./process.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const SOURCES = new URL("peers", import.meta.url).pathname;
/** Where the peers run, with their packages; not in git. */
const FOLDER = new URL(".peers", import.meta.url).pathname;
const NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/** Where a server is to listen, and where its Redis does. */
export interface Ports {
  readonly port: number;
  readonly redis: number;
}

/** A server to measure. */
export interface System {
  /** What it is called on the command line and in the table. */
  readonly name: string;
  readonly dialect: Dialect;
  /** Makes sure that it can be started; fails with why it cannot. */
  prepare(): Promise<void>;
  /** How to start it, with more variables in its environment where there are some to try. */
  command(ports: Ports, env?: Record<string, string>): Promise<Command>;
}

/** What `deno task start` runs. */
async function startCommand(): Promise<string> {
  return JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`)).tasks.start.command;
}

function ours(name: string, dialect: Dialect): System {
  return {
    name,
    dialect,
    prepare: () => Promise.resolve(),
    async command({ port, redis }, env) {
      const folder = Deno.execPath().slice(0, Deno.execPath().lastIndexOf("/"));
      return {
        program: "sh",
        args: ["-c", `exec ${await startCommand()}`],
        cwd: ROOT,
        env: {
          PATH: `${folder}:${Deno.env.get("PATH")}`,
          HOST: "127.0.0.1",
          PORT: `${port}`,
          REDIS_HOST: `127.0.0.1:${redis}`,
          ...env,
        },
      };
    },
  };
}

function packaged(name: string, dialect: Dialect, runtime: string, file: string): System {
  return {
    name,
    dialect,
    prepare: installPackages,
    command: ({ port, redis }) =>
      Promise.resolve({
        program: `${FOLDER}/node_modules/.bin/${runtime}`,
        args: [file],
        cwd: FOLDER,
        env: { PORT: `${port}`, REDIS_PORT: `${redis}`, NODE_ENV: "production" },
      }),
  };
}

const nchan: System = {
  name: "nchan",
  dialect: NCHAN,
  async prepare() {
    const isThere = await Deno.stat(NCHAN_MODULE).then(() => true, () => false);
    if (!isThere) throw new Error("apt-get install nginx-light libnginx-mod-nchan");
    await Deno.mkdir(FOLDER, { recursive: true });
  },
  async command({ port, redis }) {
    const template = await Deno.readTextFile(`${SOURCES}/nchan.conf`);
    const conf = template.replaceAll("${PORT}", `${port}`).replaceAll("${REDIS_PORT}", `${redis}`);
    await Deno.writeTextFile(`${FOLDER}/nchan.conf`, conf);
    const path = `${Deno.env.get("PATH")}:/usr/sbin`;
    return {
      program: "nginx",
      args: ["-p", FOLDER, "-c", `${FOLDER}/nchan.conf`, "-e", "stderr"],
      env: { PATH: path },
    };
  },
};

const bareDeno: System = {
  name: "bare Deno",
  dialect: ECHOING_TEXT,
  prepare: () => Promise.resolve(),
  async command({ port }) {
    // The same heap as ours, or how it grows would count as what connections take.
    const flags = /--v8-flags=\S+/.exec(await startCommand()) ?? [];
    const permissions = ["--allow-net", "--allow-env"];
    return {
      program: Deno.execPath(),
      args: ["run", "--no-config", ...flags, ...permissions, `${SOURCES}/bare_deno.ts`],
      env: { PORT: `${port}` },
    };
  },
};

export const json = ours("JSON", JSON_LINES);
export const text = ours("text", TEXT);
const bun = packaged("Bun", ECHOING_TEXT, "bun", "bun.cjs");
const ws = packaged("ws", ECHOING_TEXT, "node", "ws_node.cjs");
const socketIo = packaged("Socket.IO", SOCKET_IO, "node", "socketio.cjs");

/** Our server with one and with two workers. */
export const SEVERAL_WORKERS: readonly System[] = ["1", "2"].map((WORKERS) => ({
  ...json,
  name: `WORKERS=${WORKERS}`,
  command: (ports) => json.command(ports, { WORKERS }),
}));

/** Who broadcasts messages. */
export const CHATS: readonly System[] = [json, text, ws, bun, socketIo, nchan];
/** Who tells everyone of each join. */
export const ROOMS: readonly System[] = [json, text, bun, ws, socketIo];
/** Who keeps connections. */
export const ALL: readonly System[] = [...CHATS, bareDeno];

/** Installs the packages of the peers, unless they are there as they should be; fails with what npm says. */
async function installPackages(): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const names = ["package.json", "package-lock.json", "bun.cjs", "ws_node.cjs", "socketio.cjs"];
  for (const name of names) await Deno.copyFile(`${SOURCES}/${name}`, `${FOLDER}/${name}`);
  // Written last, so that an installation that was broken off is not taken for one.
  const installed = `${FOLDER}/installed.json`;
  const lock = await Deno.readTextFile(`${SOURCES}/package-lock.json`);
  if (await Deno.readTextFile(installed).catch(() => "") === lock) return;
  const npm = new Deno.Command("npm", {
    args: ["ci", "--no-audit", "--no-fund", "--loglevel=error"],
    cwd: FOLDER,
  });
  const { success, stderr } = await npm.output();
  if (!success) {
    const said = new TextDecoder().decode(stderr).replaceAll("npm error ", "").replace(/\s+/g, " ");
    throw new Error(`npm ci failed: ${said.slice(0, 150)}`);
  }
  await Deno.writeTextFile(installed, lock);
}
