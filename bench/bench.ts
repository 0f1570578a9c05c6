/**
 * What every scenario uses: one Redis, the servers that run on it, and the readings of CPU time.
 *
 * @module
 */
import { ClientGroup } from "./client_group.ts";
import { Poller } from "./libc.ts";
import { freePort, LOAD_CORE, machineCpuMs, ownCpuMs, Process, SERVER_CORE } from "./process.ts";
import type { System } from "./systems.ts";
import type { DeliveryErrors, Traffic } from "./traffic.ts";

/** The figures of one measurement, by name. */
export type Values = Readonly<Record<string, number>>;

/** One measurement. */
export interface Sample {
  /** The conditions, for example `100 clients, 8 in flight`. */
  readonly situation: string;
  readonly values: Values;
}

/** A kind of measurement. */
export interface Scenario {
  /** Its name on the command line and in the table. */
  readonly name: string;
  readonly systems: readonly System[];
  /** What it does, in a few sentences for the table. */
  readonly description: string;
  /** The figures in the table: a title, and a function that formats them. */
  readonly columns: readonly (readonly [string, (values: Values) => string])[];
  /** Measures the systems in `rounds` rounds. */
  measure(systems: readonly System[], bench: Bench, rounds: number): AsyncIterable<Outcome>;
}

/** The result of one turn of a system: a sample, or the reason why there is none. */
export type Outcome =
  & { readonly system: System; readonly round: number }
  & ({ readonly sample: Sample } | { readonly failure: string });

/** Measures one system after the other in every round, so that only one server runs at a time. */
export function runSequentially(
  measure: (system: System, bench: Bench) => Promise<Sample[]>,
): Scenario["measure"] {
  return async function* (systems, bench, rounds) {
    for (let round = 1; round <= rounds; round++) {
      for (const system of systems) {
        try {
          for (const sample of await measure(system, bench)) yield { system, round, sample };
        } catch (error) {
          yield { system, round, failure: (error as Error).message };
        }
      }
    }
  };
}

/** A server that is being measured. */
export interface Server extends AsyncDisposable {
  readonly process: Process;
  /** Creates a group of clients of this server, which has no clients yet. */
  addClients(prefix?: string): ClientGroup;
}

/** The CPU time that each part has used up to a moment, in milliseconds. */
interface CpuReading {
  /** The moment, as `performance.now()` gives it. */
  readonly at: number;
  readonly server: number;
  /**
   * The time in which the load generator had something to do: it polls, so its CPU time says
   * nothing.
   */
  readonly generator: number;
  readonly redis: number;
  /** The rest of the machine, including the servers that wait for their turn. */
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

  /** Starts Redis. */
  static async start(isQuick: boolean): Promise<Bench> {
    const port = freePort();
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const redis = await Process.start(LOAD_CORE, { program: "redis-server", args });
    await redis.waitUntilListening(port);
    return new Bench(redis, port, isQuick);
  }

  /** Deletes every key in Redis. */
  async flushRedis(): Promise<void> {
    using redis = await Deno.connect({ hostname: "127.0.0.1", port: this.#redisPort });
    await redis.write(new TextEncoder().encode("FLUSHALL\r\n"));
    const reply = new Uint8Array(100);
    const count = await redis.read(reply);
    if (!new TextDecoder().decode(reply.subarray(0, count ?? 0)).startsWith("+OK")) {
      throw new Error("Redis cannot be flushed");
    }
  }

  /** Flushes Redis, then starts a server. */
  async startAlone(system: System, env?: Record<string, string>): Promise<Server> {
    await this.flushRedis();
    return await this.startServer(system, env);
  }

  /** Starts a server on the run's Redis, which other servers may be using. */
  async startServer(system: System, env?: Record<string, string>): Promise<Server> {
    const port = freePort();
    const command = await system.command({ port, redis: this.#redisPort }, env);
    const process = await Process.start(SERVER_CORE, command);
    const groups: ClientGroup[] = [];
    try {
      await process.waitUntilListening(port);
      await waitUntilReady(`http://127.0.0.1:${port}${system.protocol.path("nobody", "chat")}`);
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
    return {
      process,
      addClients(prefix) {
        const group = new ClientGroup(port, system.protocol, prefix);
        groups.push(group);
        return group;
      },
      async [Symbol.asyncDispose]() {
        for (const group of groups) group[Symbol.dispose]();
        await process[Symbol.asyncDispose]();
      },
    };
  }

  /** Reads the time and the CPU time of each part. */
  readCpu({ process }: Server): CpuReading {
    const server = process.cpuMs(), redis = this.#redis.cpuMs();
    const others = machineCpuMs() - server - redis - ownCpuMs();
    const at = performance.now();
    return { server, redis, others, generator: at - Poller.totalWaitMs, at };
  }

  /**
   * Computes the figures of the traffic since its figures were reset: `deliveries`, `rate` per
   * second, `cpu` of the server per delivery in microseconds, `p50` and `p99` of the latency in
   * milliseconds, and the shares of a core.
   *
   * @param from the reading when the figures were reset
   */
  figures(traffic: Traffic, from: CpuReading, server: Server): Values {
    const to = this.readCpu(server);
    const durationMs = to.at - from.at;
    const { deliveries, latencies } = traffic;
    if (deliveries === 0) throw new Error("nothing was delivered");
    return {
      deliveries,
      rate: deliveries / durationMs * 1000,
      cpu: (to.server - from.server) * 1000 / deliveries,
      p50: latencies.quantile(0.5),
      p99: latencies.quantile(0.99),
      ...coreShares(from, to),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#redis[Symbol.asyncDispose]();
  }
}

/** Computes which share of a core each part used between two readings. */
export function coreShares(from: CpuReading, to: CpuReading): Values {
  const share = (part: keyof CpuReading) => (to[part] - from[part]) / (to.at - from.at);
  return {
    serverShare: share("server"),
    generatorShare: share("generator"),
    redisShare: share("redis"),
    othersShare: Math.max(0, share("others")),
  };
}

/**
 * Returns delivery errors as values, together with the number of clients that lost their
 * connection.
 */
export function errorValues(errors: DeliveryErrors, group: ClientGroup): Values {
  return { ...errors, disconnected: group.disconnects.length };
}

/** Describes the errors among the values for the table; `none` if there are none. */
export function describeErrors({ lost, duplicated, outOfOrder, disconnected }: Values): string {
  const errors = Object.entries({ lost, duplicated, "out of order": outOfOrder, disconnected })
    .filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return errors.join(", ") || "none";
}

/**
 * Waits until a server no longer responds with 503 to a GET request. It accepts HTML, so that this
 * server makes its page now, and not while it is measured.
 */
async function waitUntilReady(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { status, body } = await fetch(url, { headers: { accept: "text/html" } });
    await body?.cancel();
    if (status !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the server listens, but it is not ready");
}
