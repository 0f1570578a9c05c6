import { type Bench, oneByOne, type Sample, type Scenario, type Values } from "../bench.ts";
import { NCHAN } from "../dialects.ts";
import { percent, us } from "../format.ts";
import type { System } from "../systems.ts";
import { Talk } from "../talk.ts";

const CLIENTS = 1_000;

const blaster: System = {
  name: "blaster",
  dialect: NCHAN,
  prepare: () => Promise.resolve(),
  command: ({ port }, { FRAMES } = { FRAMES: "1" }) =>
    Promise.resolve({
      program: Deno.execPath(),
      args: [
        ...[
          "run",
          "--no-config",
          "--allow-ffi",
          new URL("../blaster.ts", import.meta.url).pathname,
        ],
        ...[`${port}`, `${CLIENTS}`, FRAMES],
      ],
    }),
};

/** How much the load generator takes in, so that one sees whether it is what was measured. */
export const ceiling: Scenario = {
  name: "ceiling",
  systems: [blaster],
  about:
    `A server that only sends the same frame again and again to ${CLIENTS} clients, one or many ` +
    "with each send.",
  columns: [
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Share of a core: load generator", ({ generatorShare }) => percent(generatorShare)],
    [
      "Its time per delivery, µs",
      ({ rate, generatorShare }) => us(generatorShare * 1e6 / rate),
    ],
    ["Share of a core: blaster", ({ serverShare }) => percent(serverShare)],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const samples: Sample[] = [];
    for (const frames of [1, 64]) {
      const situation = frames === 1 ? "1 frame a send" : `${frames} frames a send`;
      samples.push({ situation, values: await measure(system, bench, frames) });
    }
    return samples;
  }),
};

async function measure(system: System, bench: Bench, frames: number): Promise<Values> {
  await using server = await bench.start(system, { FRAMES: `${frames}` });
  const crowd = server.crowd();
  crowd.join(CLIENTS);
  const talk = new Talk(crowd);
  talk.say(crowd.clients[0]);
  crowd.pumpFor(500);
  const from = bench.cpu(server);
  talk.clear();
  crowd.pumpFor(1_500);
  return bench.figures(talk, from, server);
}
