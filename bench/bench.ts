/**
 * What every scenario has at hand: one Redis, and servers that come and go on it.
 *
 * @module
 */
import { Crowd } from "./crowd.ts";
import { Poll } from "./libc.ts";
import { everyonesCpu, freePort, OTHER_CORE, ownCpu, Process, SERVER_CORE } from "./process.ts";
import type { System } from "./systems.ts";
import type { Audit, Talk } from "./talk.ts";

/** What was measured of one system in one situation, by name. */
export type Values = Readonly<Record<string, number>>;

/** One measurement. */
export interface Sample {
  /** Under which circumstances. */
  readonly situation: string;
  readonly values: Values;
}

/** A kind of measurement. */
export interface Scenario {
  /** What it is called on the command line and in the table. */
  readonly name: string;
  readonly systems: readonly System[];
  /** What it does, in a sentence or two. */
  readonly about: string;
  /** What the table shows: a title, and how it is read from the values. */
  readonly columns: readonly (readonly [string, (values: Values) => string])[];
  /** Measures systems, in turns. */
  measure(systems: readonly System[], bench: Bench, rounds: number): AsyncIterable<Outcome>;
}

/** What came of one turn of a system: a sample, or why there is none. */
export type Outcome =
  & { readonly system: System; readonly round: number }
  & ({ readonly sample: Sample } | { readonly failed: string });

/** Measures one system after the other, each alone on the machine, and that in every round. */
export function oneByOne(
  measure: (system: System, bench: Bench) => Promise<Sample[]>,
): Scenario["measure"] {
  return async function* (systems, bench, rounds) {
    for (let round = 1; round <= rounds; round++) {
      for (const system of systems) {
        try {
          for (const sample of await measure(system, bench)) yield { system, round, sample };
        } catch (error) {
          yield { system, round, failed: (error as Error).message };
        }
      }
    }
  };
}

/** A server that is being measured. */
export interface Server extends AsyncDisposable {
  readonly process: Process;
  /** Makes a crowd of clients of this server. */
  crowd(prefix?: string): Crowd;
}

/** The CPU time of everyone up to a moment, in milliseconds. */
interface Cpu {
  readonly at: number;
  readonly server: number;
  /** No CPU time, of which it uses all that there is, but the time in which it had something to do. */
  readonly generator: number;
  readonly redis: number;
  /** All the rest, with the servers that wait for their turn. */
  readonly others: number;
}

/** A run on one Redis. */
export class Bench implements AsyncDisposable {
  readonly isQuick: boolean;
  readonly #redis: Process;
  readonly #redisPort: number;

  private constructor(redis: Process, redisPort: number, isQuick: boolean) {
    this.#redis = redis;
    this.#redisPort = redisPort;
    this.isQuick = isQuick;
  }

  static async open(isQuick: boolean): Promise<Bench> {
    const port = freePort();
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const redis = await Process.start(OTHER_CORE, { program: "redis-server", args });
    await redis.listening(port);
    return new Bench(redis, port, isQuick);
  }

  /** Empties Redis. */
  async flush(): Promise<void> {
    using redis = await Deno.connect({ hostname: "127.0.0.1", port: this.#redisPort });
    await redis.write(new TextEncoder().encode("FLUSHALL\r\n"));
    const answer = new Uint8Array(100);
    const count = await redis.read(answer);
    if (!new TextDecoder().decode(answer.subarray(0, count ?? 0)).startsWith("+OK")) {
      throw new Error("Redis cannot be emptied");
    }
  }

  /** Starts a server on a Redis that is empty. */
  async start(system: System, env?: Record<string, string>): Promise<Server> {
    await this.flush();
    return await this.startBeside(system, env);
  }

  /** Starts a server on the same Redis as those that are there. */
  async startBeside(system: System, env?: Record<string, string>): Promise<Server> {
    const port = freePort();
    const command = await system.command({ port, redis: this.#redisPort }, env);
    const process = await Process.start(SERVER_CORE, command);
    const crowds: Crowd[] = [];
    try {
      await process.listening(port);
      await ready(`http://127.0.0.1:${port}${system.dialect.path("nobody", "chat")}`);
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
    return {
      process,
      crowd(prefix) {
        const crowd = new Crowd(port, system.dialect, prefix);
        crowds.push(crowd);
        return crowd;
      },
      async [Symbol.asyncDispose]() {
        for (const crowd of crowds) crowd[Symbol.dispose]();
        await process[Symbol.asyncDispose]();
      },
    };
  }

  /** The time and everyone's CPU time. */
  cpu({ process }: Server): Cpu {
    const server = process.cpu(), redis = this.#redis.cpu();
    const others = everyonesCpu() - server - redis - ownCpu();
    const at = performance.now();
    return { server, redis, others, generator: at - Poll.waited, at };
  }

  /** What a talk came to since its counts were cleared, when everyone's CPU time was `from`. */
  figures(talk: Talk, from: Cpu, server: Server): Values {
    const to = this.cpu(server);
    const milliseconds = to.at - from.at;
    const { deliveries, latencies } = talk;
    if (deliveries === 0) throw new Error("nothing was delivered");
    return {
      deliveries,
      rate: deliveries / milliseconds * 1000,
      cpu: (to.server - from.server) * 1000 / deliveries,
      p50: latencies.quantile(0.5),
      p99: latencies.quantile(0.99),
      ...shares(from, to),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#redis[Symbol.asyncDispose]();
  }
}

/** Whose share of a core was how large meanwhile. */
export function shares(from: Cpu, to: Cpu): Values {
  const share = (who: keyof Cpu) => (to[who] - from[who]) / (to.at - from.at);
  return {
    serverShare: share("server"),
    generatorShare: share("generator"),
    redisShare: share("redis"),
    othersShare: Math.max(0, share("others")),
  };
}

/** An audit as values, with who lost the connection. */
export function audited(audit: Audit, crowd: Crowd): Values {
  return { ...audit, gone: crowd.gone.length };
}

/** Whether anything is wrong with what came, in words. */
export function auditText({ lost, repeated, disordered, gone }: Values): string {
  const wrong = Object.entries({ lost, repeated, "out of order": disordered, "cut off": gone })
    .filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return wrong.join(", ") || "none";
}

/** Resolves once a server no longer says that it is not ready, to a request that upgrades nothing. */
async function ready(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { status, body } = await fetch(url);
    await body?.cancel();
    if (status !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it listens, but is not ready");
}
