/**
 * The systems that are compared: this server, in both of its protocols, and its peers. The peers
 * for Node.js and Bun are CommonJS files, because `deno check` would look up the packages that an
 * ES module imports in `deno.json`.
 *
 * @module
 */
import {
  type ClientProtocol,
  ECHOED_TEXT_PROTOCOL,
  JSON_PROTOCOL,
  NCHAN_PROTOCOL,
  SOCKET_IO_PROTOCOL,
  SSE_PROTOCOL,
  TEXT_PROTOCOL,
} from "./client_protocols.ts";
import { SETTINGS } from "../chat/config/settings.ts";
import type { Command } from "./process.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const PEER_SOURCES = new URL("peers", import.meta.url).pathname;
/** The directory where the peers run, with their packages; not in git. */
const PEERS_DIRECTORY = new URL(".peers", import.meta.url).pathname;
const NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/** The ports of a server and of its Redis. */
export interface Ports {
  readonly port: number;
  readonly redis: number;
}

/** A server to measure. */
export interface System {
  /** Its name on the command line and in the table. */
  readonly name: string;
  readonly protocol: ClientProtocol;
  /** The system with which this one is compared, if this one is started from the base build. */
  readonly baseOf?: System;
  /** Installs what it needs; throws with the reason if it cannot be started. */
  prepare(): Promise<void>;
  /** Returns the command that starts it. `env` adds variables to its environment. */
  command(ports: Ports, env?: Record<string, string>): Promise<Command>;
}

/** Returns the command that `deno task start` runs in a checkout. */
async function startCommand(root: string): Promise<string> {
  return JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).tasks.start.command;
}

/** Limits of clients that no client meets. The log is trimmed as by default. */
const LIMITS_ON = Object.fromEntries(
  Object.entries<object>(SETTINGS).flatMap(([name, setting]) =>
    "isClientLimit" in setting && "max" in setting && name !== "HISTORY_BYTES"
      ? [[name, `${setting.max}`]]
      : []
  ),
);

function ourServer(name: string, protocol: ClientProtocol, root = ROOT, hasLimits = false): System {
  return {
    name,
    protocol,
    prepare: () => Promise.resolve(),
    async command({ port, redis }, env) {
      const denoDirectory = Deno.execPath().slice(0, Deno.execPath().lastIndexOf("/"));
      return {
        program: "sh",
        args: ["-c", `exec ${await startCommand(root)}`],
        cwd: root,
        env: {
          PATH: `${denoDirectory}:${Deno.env.get("PATH")}`,
          HOST: "127.0.0.1",
          PORT: `${port}`,
          REDIS_HOST: `127.0.0.1:${redis}`,
          ...(hasLimits ? LIMITS_ON : { LIMITS: "off" }),
          ...env,
        },
      };
    },
  };
}

function npmServer(name: string, protocol: ClientProtocol, runtime: string, file: string): System {
  return {
    name,
    protocol,
    prepare: installPackages,
    command: ({ port, redis }, env) =>
      Promise.resolve({
        program: `${PEERS_DIRECTORY}/node_modules/.bin/${runtime}`,
        args: [file],
        cwd: PEERS_DIRECTORY,
        env: { PORT: `${port}`, REDIS_PORT: `${redis}`, NODE_ENV: "production", ...env },
      }),
  };
}

const nchan: System = {
  name: "nchan",
  protocol: NCHAN_PROTOCOL,
  async prepare() {
    const isInstalled = await Deno.stat(NCHAN_MODULE).then(() => true, () => false);
    if (!isInstalled) throw new Error("apt-get install nginx-light libnginx-mod-nchan");
    await Deno.mkdir(PEERS_DIRECTORY, { recursive: true });
  },
  async command({ port, redis }) {
    const template = await Deno.readTextFile(`${PEER_SOURCES}/nchan.conf`);
    const conf = template.replaceAll("${PORT}", `${port}`).replaceAll("${REDIS_PORT}", `${redis}`);
    await Deno.writeTextFile(`${PEERS_DIRECTORY}/nchan.conf`, conf);
    const path = `${Deno.env.get("PATH")}:/usr/sbin`;
    return {
      program: "nginx",
      args: ["-p", PEERS_DIRECTORY, "-c", `${PEERS_DIRECTORY}/nchan.conf`, "-e", "stderr"],
      env: { PATH: path },
    };
  },
};

const bareDeno: System = {
  name: "bare Deno",
  protocol: ECHOED_TEXT_PROTOCOL,
  prepare: () => Promise.resolve(),
  async command({ port }) {
    // The same heap settings as this server's. Otherwise heap growth would count as memory of the
    // connections.
    const flags = /--v8-flags=\S+/.exec(await startCommand(ROOT)) ?? [];
    const permissions = ["--allow-net", "--allow-env"];
    return {
      program: Deno.execPath(),
      args: ["run", "--no-config", ...flags, ...permissions, `${PEER_SOURCES}/bare_deno.ts`],
      env: { PORT: `${port}` },
    };
  },
};

const hasLimits = Deno.args.includes("--limits");

/** This server, with JSON clients. */
export const json = ourServer("JSON", JSON_PROTOCOL, ROOT, hasLimits);
/** This server, with listeners over Server-Sent Events. */
export const sse = ourServer("SSE", SSE_PROTOCOL, ROOT, hasLimits);
/** This server, with text clients. */
export const text = ourServer("text", TEXT_PROTOCOL, ROOT, hasLimits);
const bun = npmServer("Bun", ECHOED_TEXT_PROTOCOL, "bun", "bun.cjs");
/** Rooms on Node.js with the package `ws`. */
export const ws = npmServer("ws", ECHOED_TEXT_PROTOCOL, "node", "ws_node.cjs");
const socketIo = npmServer("Socket.IO", SOCKET_IO_PROTOCOL, "node", "socketio.cjs");

/** This server with one and with two workers. */
export const WORKER_SYSTEMS: readonly System[] = ["1", "2"].map((WORKERS) => ({
  ...json,
  name: `WORKERS=${WORKERS}`,
  command: (ports) => json.command(ports, { WORKERS }),
}));

/** The systems that broadcast messages. */
export const BROADCAST_SYSTEMS: readonly System[] = [json, text, ws, bun, socketIo, nchan];
/**
 * The systems that notify a room of each join: the peers only with `JOIN_NOTICES=on`, because
 * otherwise it would take minutes until 5,000 clients have joined.
 */
export const JOIN_NOTICE_SYSTEMS: readonly System[] = [json, text, bun, ws, socketIo];
/** The systems that keep connections open. */
export const CONNECTION_SYSTEMS: readonly System[] = [...BROADCAST_SYSTEMS, bareDeno];

/**
 * Adds the base build of this server: `JSON base` after `JSON`, and `text base` after `text`.
 *
 * @param directory the checkout of the base build
 */
export function withBase(systems: readonly System[], directory: string): System[] {
  return systems.flatMap((system) => {
    if (system !== json && system !== text) return [system];
    const base = ourServer(`${system.name} base`, system.protocol, directory);
    return [system, { ...base, baseOf: system, prepare: () => installDependencies(directory) }];
  });
}

/** Runs `deno task deps` in a checkout. */
async function installDependencies(cwd: string): Promise<void> {
  const deps = new Deno.Command(Deno.execPath(), { args: ["task", "--quiet", "deps"], cwd });
  const { success, stderr } = await deps.output();
  if (success) return;
  throw new Error(`deno task deps failed in ${cwd}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Installs the peers' npm packages unless they are up to date; throws with npm's error. */
async function installPackages(): Promise<void> {
  await Deno.mkdir(PEERS_DIRECTORY, { recursive: true });
  const names = ["package.json", "package-lock.json", "bun.cjs", "ws_node.cjs", "socketio.cjs"];
  for (const name of names) {
    await Deno.copyFile(`${PEER_SOURCES}/${name}`, `${PEERS_DIRECTORY}/${name}`);
  }
  // This file is written last, so that an interrupted installation is repeated.
  const installed = `${PEERS_DIRECTORY}/installed.json`;
  const lock = await Deno.readTextFile(`${PEER_SOURCES}/package-lock.json`);
  if (await Deno.readTextFile(installed).catch(() => "") === lock) return;
  const npm = new Deno.Command("npm", {
    args: ["ci", "--no-audit", "--no-fund", "--loglevel=error"],
    cwd: PEERS_DIRECTORY,
  });
  const { success, stderr } = await npm.output();
  if (!success) {
    const error = new TextDecoder().decode(stderr).replaceAll("npm error ", "")
      .replace(/\s+/g, " ");
    throw new Error(`npm ci failed: ${error.slice(0, 150)}`);
  }
  await Deno.writeTextFile(installed, lock);
}
