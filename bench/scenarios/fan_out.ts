import { audited, auditText, type Bench, type Sample, type Scenario } from "../bench.ts";
import { ms, percent, us } from "../format.ts";
import type { Server } from "../bench.ts";
import type { Crowd } from "../crowd.ts";
import { CHATS, type System } from "../systems.ts";
import { Talk } from "../talk.ts";

/** How many clients, and how many messages are in flight among them. */
const SITUATIONS: readonly [number, readonly number[]][] = [
  [100, [1, 8, 64]],
  [1_000, [1, 8, 32, 64]],
  [5_000, [1, 8, 64]],
];
const QUICK: typeof SITUATIONS = [[100, [1, 8, 64]], [1_000, [32]]];

/** The name of a situation, for whoever looks for its samples. */
export function situation(clients: number, inFlight: number): string {
  return `${clients.toLocaleString("en")} clients, ${inFlight} in flight`;
}

/** Everyone says something as soon as everyone has what they said before. */
export const fanOut: Scenario = {
  name: "fan-out",
  systems: CHATS,
  about: "So many messages of 64 bytes are in flight, each of another client in one room; when " +
    "everyone who should has one, its sender says the next.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Latency p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    [
      "CPU share of server / load generator / Redis",
      ({ serverShare, generatorShare, redisShare }) =>
        [serverShare, generatorShare, redisShare].map(percent).join(" / "),
    ],
    ["Deliveries lost or repeated", auditText],
  ],
  async measure(system: System, bench: Bench): Promise<Sample[]> {
    await using server = await bench.start(system);
    const crowd = server.crowd();
    const samples: Sample[] = [];
    for (const [clients, inFlights] of bench.isQuick ? QUICK : SITUATIONS) {
      crowd.join(clients - crowd.clients.length);
      crowd.pumpUntilQuiet(500);
      for (const inFlight of inFlights) {
        const values = talkInFlight(crowd, inFlight, server, bench);
        samples.push({ situation: situation(clients, inFlight), values });
      }
    }
    return samples;
  },
};

/** Keeps so many messages in flight for a while. */
export function talkInFlight(crowd: Crowd, inFlight: number, server: Server, bench: Bench) {
  const talk = new Talk(crowd);
  let isTalking = true;
  talk.done = (sender) => isTalking && talk.say(sender);
  for (let i = 0; i < inFlight; i++) talk.say(crowd.clients[i]);
  crowd.pumpFor(bench.isQuick ? 500 : 1_500);
  const from = bench.cpu(server);
  talk.clear();
  crowd.pumpFor(bench.isQuick ? 1_000 : 3_000);
  const figures = bench.figures(talk, from, server);
  isTalking = false;
  return { ...figures, ...audited(talk.finish(), crowd) };
}
