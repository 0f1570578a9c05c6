import {
  audited,
  auditText,
  type Bench,
  oneByOne,
  type Sample,
  type Scenario,
  type Values,
} from "../bench.ts";
import { mib, ms, percent } from "../format.ts";
import { json, type System } from "../systems.ts";
import { Talk } from "../talk.ts";
import { Pace } from "./paced.ts";

const READERS = 1_000;
/** How many never read. */
export const DEAF = 100;
const PER_SECOND = 200;
const LENGTH = 1_024;

/** Some never read what they are sent. */
export const slowReaders: Scenario = {
  name: "slow-readers",
  systems: [json],
  about:
    `${PER_SECOND} messages of ${LENGTH} bytes a second to ${READERS} clients who read, without ` +
    `and with ${DEAF} more who never do; the highest memory that the server had meanwhile.`,
  columns: [
    ["Highest memory", ({ memory }) => mib(memory)],
    ["Latency p50 / p99 of those who read, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["CPU share of the server", ({ serverShare }) => percent(serverShare)],
    ["Deliveries lost or repeated", auditText],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    return [
      { situation: "everyone reads", values: await measure(system, bench, 0) },
      { situation: `${DEAF} more never read`, values: await measure(system, bench, DEAF) },
    ];
  }),
};

async function measure(system: System, bench: Bench, deaf: number): Promise<Values> {
  await using server = await bench.start(system);
  const crowd = server.crowd();
  crowd.join(READERS);
  crowd.joinDeaf(deaf);
  crowd.pumpUntilQuiet(500);
  const talk = new Talk(crowd, LENGTH);
  const pace = new Pace(talk, crowd, PER_SECOND);
  pace.keep(1);
  const from = bench.cpu(server);
  talk.clear();
  let memory = 0;
  for (let seconds = bench.isQuick ? 10 : 60; seconds > 0; seconds--) {
    pace.keep(1);
    memory = Math.max(memory, server.process.memory());
  }
  const figures = bench.figures(talk, from, server);
  return { ...figures, memory, ...audited(talk.finish(), crowd) };
}
