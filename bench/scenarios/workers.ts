import {
  auditText,
  type Bench,
  oneByOne,
  type Sample,
  type Scenario,
  type Server,
} from "../bench.ts";
import { percent, us } from "../format.ts";
import { json, type System } from "../systems.ts";
import { talkInFlight } from "./fan_out.ts";

const CLIENTS = 1_000;
const IN_FLIGHT = 32;
/** So often each of them is measured in a round. */
const TURNS = 10;
/** So many turns before are not: each worker has its own code to compile, and should have done so. */
const WARM_UP = 10;
/** So many threads are shown. */
const BUSIEST = 4;

/** The server with more than one worker. */
export const workers: Scenario = {
  name: "workers",
  systems: [json],
  about:
    `${CLIENTS} clients, ${IN_FLIGHT} messages in flight, with \`WORKERS\` set in the server's ` +
    "environment, all of them on the server's one core, after a while of the same. Who has sessions spends CPU on them: the " +
    "busiest threads show how they spread.",
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
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const samples: Sample[] = [];
    await using servers = new AsyncDisposableStack();
    await bench.flush();
    const running = [];
    for (const WORKERS of ["1", "2"]) {
      const server = servers.use(await bench.startBeside(system, { WORKERS }));
      const crowd = server.crowd();
      crowd.join(CLIENTS, { room: `workers${WORKERS}` });
      crowd.pumpUntilQuiet(500);
      running.push({ situation: `WORKERS=${WORKERS}`, server, crowd });
    }
    for (let turn = -WARM_UP; turn < TURNS; turn++) {
      for (const { situation, server, crowd } of running) {
        const threads = watchThreads(server);
        const values = talkInFlight(crowd, IN_FLIGHT, server, bench);
        if (turn >= 0) samples.push({ situation, values: { ...values, ...threads() } });
      }
    }
    return samples;
  }),
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
