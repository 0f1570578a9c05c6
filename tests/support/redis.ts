import { Redis } from "ioredis";
import type { RedisSettings } from "../../chat/config/redis_settings.ts";
import { freePort } from "./ports.ts";
import { run, type Running } from "./process.ts";
import { until } from "./wait.ts";

export const PASSWORD = "a password with spaces & signs";

/** A real `redis-server` that belongs to one test. */
export interface TestRedis extends AsyncDisposable {
  readonly port: number;
  readonly process: Running;
  /** The settings with which a store connects to it. */
  readonly settings: RedisSettings;
  /** The environment variables with which an instance connects to it. */
  readonly env: Record<string, string>;
  /** Runs a command, as redis-cli would, and returns the reply. */
  command(...words: string[]): Promise<unknown>;
  /** Runs a command again and again until the reply is the expected one. */
  untilReply(command: string, expected: unknown): Promise<void>;
  /**
   * Defines a user by rules of ACL SETUSER. Redis 6.0 has none for channels, which begin with `&`,
   * and lets every user use all.
   */
  setUser(name: string, ...rules: string[]): Promise<unknown>;
  /** Starts to count the commands that clients send, without those that scripts call. */
  monitor(): Promise<AsyncDisposable & { count(): number }>;
  /** Lists the names that are taken in a room, sorted. */
  users(room?: string): Promise<string[]>;
  /** Lists the ids of the instances that have a lease, in the order in which the leases end. */
  instances(): Promise<string[]>;
}

/** The files of a TLS certificate and its key. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Starts a Redis with a password, on a free port unless one is given. `REDIS_SERVER` chooses
 * another server to test with: see tools/redis-servers.
 *
 * @param options.tls makes it accept TLS connections only
 * @param options.folder where it loads its data from when it starts, and where `SAVE` writes them
 * @param options.appendOnly makes it write each command to a file in the folder before it replies
 * @param options.args more arguments of `redis-server`
 */
export async function startRedis(
  { port = freePort(), tls, folder, appendOnly = false, args = [] }: {
    port?: number;
    tls?: Certificate;
    folder?: string;
    appendOnly?: boolean;
    args?: string[];
  } = {},
): Promise<TestRedis> {
  const listen = tls
    ? ["--port", "0", "--tls-port", `${port}`, "--tls-cert-file", tls.cert, "--tls-key-file"]
      .concat(tls.key, "--tls-auth-clients", "no")
    : ["--port", `${port}`];
  const program = Deno.env.get("REDIS_SERVER") || "redis-server";
  const process = run(program, [
    ...listen,
    ...(folder ? ["--dir", folder] : []),
    ...["--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""],
    ...["--appendonly", appendOnly ? "yes" : "no", "--appendfsync", "always"],
    ...args,
  ]);
  await process.output.find(/Ready to accept connections/).catch((cause) => {
    if (!/not found$/.test(cause.message)) throw cause;
    throw new Error(`${program} is not installed: apt-get install redis-server`, { cause });
  });
  const client = new Redis({
    host: "127.0.0.1",
    port,
    password: PASSWORD,
    tls: tls && { rejectUnauthorized: false },
    lazyConnect: true,
  });
  client.on("error", () => {});
  return {
    port,
    process,
    settings: redisSettings(port),
    env: { REDIS_HOST: `127.0.0.1:${port}`, REDIS_PASSWORD: PASSWORD },
    command: (name, ...args) => client.call(name, ...args),
    async untilReply(command, expected) {
      const [name, ...args] = command.split(" ");
      const wanted = JSON.stringify(expected);
      let reply = "";
      await until(async () => {
        reply = JSON.stringify(await client.call(name, ...args));
        return reply === wanted;
      }, 20).catch((cause) => {
        throw new Error(`${command} returns ${reply}, not ${wanted}`, { cause });
      });
    },
    setUser: (name, ...rules) =>
      client.call("ACL", "SETUSER", name, ...rules).catch(() =>
        client.call("ACL", "SETUSER", name, ...rules.filter((rule) => !rule.startsWith("&")))
      ),
    async monitor() {
      const monitor = await client.monitor();
      let sent = 0;
      monitor.on("monitor", (_time, _words, source: string) => source === "lua" || sent++);
      return {
        count: () => sent,
        async [Symbol.asyncDispose]() {
          const closed = new Promise((resolve) => monitor.once("end", resolve));
          monitor.disconnect();
          await closed;
        },
      };
    },
    async users(room) {
      return (await client.smembers(room ? `chat-users:${room}` : "chat-users")).sort();
    },
    async instances() {
      const members = await client.call("ZRANGE", "chat-leases", "0", "-1") as string[];
      return members.filter((member) => member !== "format");
    },
    async [Symbol.asyncDispose]() {
      client.disconnect();
      await process[Symbol.asyncDispose]();
    },
  };
}

/** Returns the settings with which a store connects to a test's Redis on a port. */
export function redisSettings(port: number): RedisSettings {
  return { host: "127.0.0.1", port, password: PASSWORD, database: 0, prefix: "", tls: false };
}

/**
 * Makes a self-signed certificate for localhost and 127.0.0.1 in a folder that exists.
 *
 * @param folder where the files go
 * @param validFromSeconds when its two days begin, in seconds from now
 */
export async function makeCertificate(folder: string, validFromSeconds = 0): Promise<Certificate> {
  const files = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  const shift = `${validFromSeconds < 0 ? "" : "+"}${validFromSeconds}s`;
  const openssl = run("faketime", [
    ...["-f", shift, "openssl"],
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-keyout", files.key, "-out", files.cert],
  ]);
  const { success } = await openssl.exit;
  if (!success) throw new Error(`openssl failed:\n${(await openssl.output.end()).join("\n")}`);
  return files;
}
