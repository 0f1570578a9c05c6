import { auditText, type Scenario, type Server } from "../bench.ts";
import { beside } from "../beside.ts";
import { percent, us } from "../format.ts";
import { SEVERAL_WORKERS } from "../systems.ts";
import { situation, talkInFlight } from "./fan_out.ts";

const CLIENTS = 1_000;
const IN_FLIGHT = 32;
/**
 * So many turns each has in a round, and so many before the first: each worker has its own code to compile, and gets only
 * its share of the calls after which V8 does so.
 */
const [TURNS_A_ROUND, WARM_UP] = [15, 30];
/** So many threads are shown. */
const BUSIEST = 4;

/** The server with more than one worker. */
export const workers: Scenario = {
  name: "workers",
  systems: SEVERAL_WORKERS,
  about:
    `${CLIENTS} clients, ${IN_FLIGHT} messages in flight, with \`WORKERS\` set in the server's ` +
    "environment, both servers on the same core. One after the other has its turn of half a second, " +
    `after ${WARM_UP} that do not count. Who has sessions spends CPU on them: the busiest threads ` +
    "show how they spread.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    [
      "Share of the server's CPU of its busiest threads",
      (values) =>
        Array.from({ length: BUSIEST }, (_, i) => percent(values[`thread${i}`])).join(" / "),
    ],
    ["Deliveries lost or repeated", auditText],
  ],
  async *measure(systems, bench, rounds) {
    yield* beside(systems, [{
      clients: () => CLIENTS,
      turns: rounds * TURNS_A_ROUND,
      warmUp: WARM_UP,
      measure({ crowd, server }) {
        const threads = watchThreads(server);
        const values = talkInFlight(crowd, IN_FLIGHT, server, bench);
        return {
          situation: situation(CLIENTS, IN_FLIGHT),
          values: { ...values, ...threads() },
        };
      },
    }], bench);
  },
};

/** Gives, when called, the busiest threads' shares of the CPU time used since. */
function watchThreads({ process }: Server): () => Record<string, number> {
  const before = process.threads();
  return () => {
    const used = [...process.threads()].map(([name, cpu]) => cpu - (before.get(name) ?? 0));
    const all = used.reduce((sum, cpu) => sum + cpu, 0);
    used.sort((a, b) => b - a);
    return Object.fromEntries(
      Array.from({ length: BUSIEST }, (_, i) => [`thread${i}`, (used[i] ?? 0) / all]),
    );
  };
}
