import { describeErrors, type Scenario, type Server } from "../bench.ts";
import { percent, us } from "../format.ts";
import { runInterleaved } from "../interleave.ts";
import { WORKER_SYSTEMS } from "../systems.ts";
import { measureInFlight, situationName } from "./fan_out.ts";

const CLIENTS = 1_000;
const IN_FLIGHT = 32;
const TURNS_PER_ROUND = 12;
/**
 * The turns of each system whose results are discarded. There are many, because every worker
 * compiles its own code, and V8 optimizes a function only after a number of calls, which the
 * workers share between them.
 */
const WARM_UP_TURNS = 30;
/** The table shows this many threads. */
const BUSIEST_THREADS = 4;

/** Compares one worker with two. */
export const workers: Scenario = {
  name: "workers",
  systems: WORKER_SYSTEMS,
  description:
    `${CLIENTS} clients with ${IN_FLIGHT} messages in flight, and \`WORKERS\` set in the ` +
    "server's environment. Both servers run on the same core and take turns of half a second, " +
    `after ${WARM_UP_TURNS} turns for warm-up. A thread that has sessions uses CPU for them, so ` +
    "the shares of the busiest threads show how the sessions are distributed.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    [
      "Share of the server's CPU used by its busiest threads",
      (values) =>
        Array.from({ length: BUSIEST_THREADS }, (_, i) => percent(values[`thread${i}`])).join(
          " / ",
        ),
    ],
    ["Delivery errors", describeErrors],
  ],
  async *measure(systems, bench, rounds) {
    yield* runInterleaved(systems, [{
      clients: () => CLIENTS,
      turns: rounds * TURNS_PER_ROUND,
      warmUpTurns: WARM_UP_TURNS,
      measure({ group, server }) {
        const threadShares = watchThreads(server);
        const values = measureInFlight(group, IN_FLIGHT, server, bench);
        return {
          situation: situationName(CLIENTS, IN_FLIGHT),
          values: { ...values, ...threadShares() },
        };
      },
    }], bench);
  },
};

/**
 * Returns a function that computes the busiest threads' shares of the CPU time used since this
 * call.
 */
function watchThreads({ process }: Server): () => Record<string, number> {
  const before = process.threadCpuMs();
  return () => {
    const used = [...process.threadCpuMs()].map(([id, cpuMs]) => cpuMs - (before.get(id) ?? 0));
    const total = used.reduce((sum, cpuMs) => sum + cpuMs, 0);
    used.sort((a, b) => b - a);
    return Object.fromEntries(
      Array.from({ length: BUSIEST_THREADS }, (_, i) => [`thread${i}`, (used[i] ?? 0) / total]),
    );
  };
}
