import { type Bench, oneByOne, type Sample, type Scenario, shares, type Values } from "../bench.ts";
import type { Client } from "../crowd.ts";
import { digits, ms, percent } from "../format.ts";
import { makeFrame, TEXT } from "../frames.ts";
import { Histogram } from "../histogram.ts";
import { json, type System } from "../systems.ts";

/** How many connections, and how many sends each of them has in flight. */
const SITUATIONS = [[1, 64], [8, 8], [8, 64]] as const;

/** How fast messages get into the log. */
export const publishRate: Scenario = {
  name: "publish-rate",
  systems: [json],
  about: "Each send has a `ref`, and when its `ack` has come, the next follows.",
  columns: [
    ["Acknowledged a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Time to the ack p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["Server CPU per message, µs", ({ cpu }) => digits(cpu)],
    [
      "Share of a core: server / load generator / Redis",
      ({ serverShare, generatorShare, redisShare }) =>
        [serverShare, generatorShare, redisShare].map(percent).join(" / "),
    ],
    ["Answers that are no ack", ({ wrong }) => wrong > 0 ? `${wrong}` : "none"],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const samples: Sample[] = [];
    for (const [connections, inFlight] of SITUATIONS) {
      const situation = `${connections} × ${inFlight} in flight`;
      const values = await measure(system, bench, connections, inFlight);
      samples.push({ situation, values });
    }
    return samples;
  }),
};

async function measure(
  system: System,
  bench: Bench,
  connections: number,
  inFlight: number,
): Promise<Values> {
  await using server = await bench.start(system);
  const crowd = server.crowd();
  crowd.join(connections);
  crowd.pumpUntilQuiet(200);

  const sentAt: number[] = [];
  const latencies = new Histogram();
  let acks = 0, wrong = 0;
  function say(client: Client): void {
    const ref = `${sentAt.push(performance.now()) - 1}`;
    const line = JSON.stringify({ type: "message", text: "x".repeat(64), ref });
    crowd.send(client, makeFrame(TEXT, new TextEncoder().encode(line)));
  }
  crowd.hear = (client, bytes, start, end) => {
    for (const line of new TextDecoder().decode(bytes.subarray(start, end)).split("\n")) {
      const { type, ref } = JSON.parse(line);
      if (type === "error") wrong++;
      if (type !== "ack") continue;
      acks++;
      latencies.add(crowd.now - sentAt[ref]);
      say(client);
    }
  };
  for (const client of crowd.clients) for (let i = 0; i < inFlight; i++) say(client);
  crowd.pumpFor(bench.isQuick ? 500 : 2_000);
  acks = 0;
  latencies.clear();
  const from = bench.cpu(server);
  crowd.pumpFor(bench.isQuick ? 1_500 : 5_000);
  const to = bench.cpu(server);
  return {
    rate: acks / (to.at - from.at) * 1000,
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
    cpu: (to.server - from.server) * 1000 / acks,
    ...shares(from, to),
    wrong,
  };
}
