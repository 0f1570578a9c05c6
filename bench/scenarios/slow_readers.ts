import {
  type Bench,
  describeErrors,
  errorValues,
  runSequentially,
  type Sample,
  type Scenario,
  type Values,
} from "../bench.ts";
import { mib, ms, percent } from "../format.ts";
import { json, type System } from "../systems.ts";
import { Traffic } from "../traffic.ts";
import { PacedPublisher } from "./paced.ts";

const READERS = 1_000;
/** How many clients never read. */
export const NON_READERS = 100;
const MESSAGES_PER_SECOND = 200;
const MESSAGE_CHARS = 1_024;

/** Some clients never read what the server sends to them. */
export const slowReaders: Scenario = {
  name: "slow-readers",
  systems: [json],
  description:
    `${READERS} clients that read publish ${MESSAGES_PER_SECOND} messages of ${MESSAGE_CHARS} ` +
    `bytes a second, first alone, then with ${NON_READERS} more clients in the room that never ` +
    "read. The memory is the highest during the measurement.",
  columns: [
    ["Highest memory", ({ memory }) => mib(memory)],
    ["Latency p50 / p99 of the reading clients, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["Share of a core: server", ({ serverShare }) => percent(serverShare)],
    ["Delivery errors", describeErrors],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
    return [
      { situation: "all clients read", values: await measure(system, bench, 0) },
      {
        situation: `${NON_READERS} more never read`,
        values: await measure(system, bench, NON_READERS),
      },
    ];
  }),
};

async function measure(system: System, bench: Bench, nonReaders: number): Promise<Values> {
  await using server = await bench.startAlone(system);
  const group = server.addClients();
  group.join(READERS);
  group.joinNonReading(nonReaders);
  group.pollUntilQuiet(500);
  const traffic = new Traffic(group, MESSAGE_CHARS);
  const publisher = new PacedPublisher(traffic, group, MESSAGES_PER_SECOND);
  publisher.run(1);
  const from = bench.readCpu(server);
  traffic.resetFigures();
  let memory = 0;
  for (let seconds = bench.isQuick ? 10 : 20; seconds > 0; seconds--) {
    publisher.run(1);
    memory = Math.max(memory, server.process.memoryBytes());
  }
  const figures = bench.figures(traffic, from, server);
  return { ...figures, memory, ...errorValues(traffic.finish(), group) };
}
