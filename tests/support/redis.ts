import { Redis } from "ioredis";
import { run, type Running } from "./process.ts";

/** No answer of Redis is waited for longer than this, in milliseconds: a test that is red then must not hang. */
const PATIENCE = 30_000;

export const PASSWORD = "a password with spaces & signs";

/** A real `redis-server` of a test's own. */
export interface TestRedis extends AsyncDisposable {
  readonly port: number;
  readonly process: Running;
  /** What an instance needs to find it. */
  readonly env: Record<string, string>;
  /** Runs one command on it, as redis-cli would. */
  command(...words: string[]): Promise<unknown>;
  /** Asks again and again until a command's answer is this. */
  becomes(command: string, answer: unknown): Promise<void>;
  /** The names in a room, sorted. */
  users(room?: string): Promise<string[]>;
}

/** Files for a server with TLS, as of {@linkcode makeCertificate}. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A port that nobody listens on right now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * Starts a Redis with a password on a free port. It listens with TLS only if a certificate is given, and knows of a disk
 * only if a folder is: there `SAVE` puts its data, and it finds them when it starts; with `keeps` it puts them there by
 * itself before it answers.
 */
export async function startRedis(
  { port = freePort(), tls, folder, keeps = false }: {
    port?: number;
    tls?: Certificate;
    folder?: string;
    keeps?: boolean;
  } = {},
): Promise<TestRedis> {
  const listen = tls
    ? ["--port", "0", "--tls-port", `${port}`, "--tls-cert-file", tls.cert, "--tls-key-file"]
      .concat(tls.key, "--tls-auth-clients", "no")
    : ["--port", `${port}`];
  const process = startProcess([
    ...listen,
    ...(folder ? ["--dir", folder] : []),
    ...["--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""],
    ...["--appendonly", keeps ? "yes" : "no", "--appendfsync", "always"],
  ]);
  await process.output.find(/Ready to accept connections/);
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
    env: { REDIS_HOST: `127.0.0.1:${port}`, REDIS_PASSWORD: PASSWORD },
    command: (name, ...args) => client.call(name, ...args),
    async becomes(command, answer) {
      const [name, ...args] = command.split(" ");
      const wanted = JSON.stringify(answer);
      for (const giveUp = Date.now() + PATIENCE;;) {
        const seen = JSON.stringify(await client.call(name, ...args));
        if (seen === wanted) return;
        if (Date.now() > giveUp) throw new Error(`${command} is ${seen}, not ${wanted}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async users(room) {
      return (await client.smembers(room ? `chat-users:${room}` : "chat-users")).sort();
    },
    async [Symbol.asyncDispose]() {
      client.disconnect();
      await process[Symbol.asyncDispose]();
    },
  };
}

function startProcess(args: string[]): Running {
  try {
    return run("redis-server", args);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("redis-server is not installed: apt-get install redis-server", {
      cause: error,
    });
  }
}

/** Makes a certificate for localhost and 127.0.0.1 that is its own authority, in a folder that exists. */
export async function makeCertificate(folder: string): Promise<Certificate> {
  const files = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  const openssl = run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...[
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
      "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-keyout", files.key, "-out", files.cert],
  ]);
  const { success } = await openssl.exit;
  if (!success) throw new Error(`openssl failed:\n${(await openssl.output.end()).join("\n")}`);
  return files;
}
