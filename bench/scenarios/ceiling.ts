import { type Bench, runSequentially, type Sample, type Scenario, type Values } from "../bench.ts";
import { NCHAN_PROTOCOL } from "../client_protocols.ts";
import { percent, us } from "../format.ts";
import type { System } from "../systems.ts";
import { Traffic } from "../traffic.ts";

const CLIENTS = 1_000;

const blaster: System = {
  name: "blaster",
  protocol: NCHAN_PROTOCOL,
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

/** Measures the limit of the load generator, to show that it does not limit the other scenarios. */
export const ceiling: Scenario = {
  name: "ceiling",
  systems: [blaster],
  description:
    `The limit of the load generator: a server sends the same frame to ${CLIENTS} clients as ` +
    "fast as it can, one or many copies with each send.",
  columns: [
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Share of a core: load generator", ({ generatorShare }) => percent(generatorShare)],
    [
      "Load generator time per delivery, µs",
      ({ rate, generatorShare }) => us(generatorShare * 1e6 / rate),
    ],
    ["Share of a core: blaster", ({ serverShare }) => percent(serverShare)],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
    const samples: Sample[] = [];
    for (const frames of [1, 64]) {
      const situation = frames === 1 ? "1 frame a send" : `${frames} frames a send`;
      samples.push({ situation, values: await measure(system, bench, frames) });
    }
    return samples;
  }),
};

async function measure(system: System, bench: Bench, frames: number): Promise<Values> {
  await using server = await bench.startAlone(system, { FRAMES: `${frames}` });
  const group = server.addClients();
  group.join(CLIENTS);
  const traffic = new Traffic(group);
  traffic.publish(group.clients[0]);
  group.pollFor(500);
  const from = bench.readCpu(server);
  traffic.resetFigures();
  group.pollFor(1_500);
  return bench.figures(traffic, from, server);
}
