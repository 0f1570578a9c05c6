import {
  type Bench,
  coreShares,
  runSequentially,
  type Sample,
  type Scenario,
  type Values,
} from "../bench.ts";
import type { Client } from "../client_group.ts";
import { digits, ms, percent } from "../format.ts";
import { makeFrame, TEXT } from "../frames.ts";
import { Histogram } from "../histogram.ts";
import { json, type System } from "../systems.ts";

/**
 * Numbers of connections, each with the number of messages in flight on every connection. A user
 * may have 100,000 refs in five minutes, which one connection alone would use up.
 */
const SITUATIONS = [[4, 16], [8, 8], [8, 64]] as const;

/** Measures how fast messages are appended to the log. */
export const publishRate: Scenario = {
  name: "publish-rate",
  systems: [json],
  description:
    "Each message has a `ref`. When the server has sent its `ack`, the client publishes the next.",
  columns: [
    ["Acks a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Time to the ack p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["Server CPU per message, µs", ({ cpu }) => digits(cpu)],
    [
      "Share of a core: server / load generator / Redis",
      ({ serverShare, generatorShare, redisShare }) =>
        [serverShare, generatorShare, redisShare].map(percent).join(" / "),
    ],
    ["Rejected messages", ({ rejected }) => rejected > 0 ? `${rejected}` : "none"],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
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
  await using server = await bench.startAlone(system);
  const group = server.addClients();
  group.join(connections);
  group.pollUntilQuiet(200);

  const publishedAt: number[] = [];
  const latencies = new Histogram();
  let acks = 0, rejected = 0;
  function publish(client: Client): void {
    const ref = `${publishedAt.push(performance.now()) - 1}`;
    const line = JSON.stringify({ type: "message", text: "x".repeat(64), ref });
    group.send(client, makeFrame(TEXT, new TextEncoder().encode(line)));
  }
  group.onText = (client, bytes, start, end) => {
    for (const line of new TextDecoder().decode(bytes.subarray(start, end)).split("\n")) {
      const { type, ref } = JSON.parse(line);
      if (type === "error") rejected++;
      if (type !== "ack") continue;
      acks++;
      latencies.add(group.receivedAt - publishedAt[ref]);
      publish(client);
    }
  };
  for (const client of group.clients) for (let i = 0; i < inFlight; i++) publish(client);
  group.pollFor(bench.isQuick ? 500 : 2_000);
  acks = 0;
  latencies.clear();
  const from = bench.readCpu(server);
  group.pollFor(bench.isQuick ? 1_500 : 3_000);
  const to = bench.readCpu(server);
  return {
    rate: acks / (to.at - from.at) * 1000,
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
    cpu: (to.server - from.server) * 1000 / acks,
    ...coreShares(from, to),
    rejected,
  };
}
