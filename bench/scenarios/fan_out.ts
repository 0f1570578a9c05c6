import { audited, auditText, type Bench, type Scenario, type Server } from "../bench.ts";
import { beside, type Phase } from "../beside.ts";
import { ms, percent, us } from "../format.ts";
import type { Crowd } from "../crowd.ts";
import { CHATS } from "../systems.ts";
import { Talk } from "../talk.ts";

/** How many clients, and how many messages are in flight among them. */
const SITUATIONS: readonly [number, readonly number[]][] = [
  [100, [1, 8, 64]],
  [1_000, [1, 8, 32, 64]],
  [5_000, [1, 8, 64]],
];
const QUICK: typeof SITUATIONS = [[100, [1, 8, 64]], [1_000, [32]]];

/** So many turns a system has before the first that counts, in which its code is compiled. */
const WARM_UP = 4;

/** So many turns a system has in a round: with 5,000 clients each takes seconds. */
function turnsARound(clients: number): number {
  return clients < 5_000 ? 6 : 2;
}

/** A turn in milliseconds, the first of which do not count. Short ones, so that a bad moment of the machine is everyone's. */
const [BEGINNING, TURN] = [250, 500];

/**
 * Nor does what comes before so much was read for each client: after a pause Linux acknowledges up to 16 segments as they
 * come (`TCP_MAX_QUICKACKS`), which within one machine is the sender's work. In one turn few come to each of 5,000.
 */
const FIRST_READS = 16;

/** For these it waits no longer than so many milliseconds. */
const FIRST_WITHIN = 10_000;

/** The load generator may often have no more than 20,000 files open: where it would, fewer servers are measured at a time. */
const MOST_CONNECTIONS = 16_000;

/** The name of a situation, for whoever looks for its samples. */
export function situation(clients: number, inFlight: number): string {
  return `${clients.toLocaleString("en")} clients, ${inFlight} in flight`;
}

/** Everyone says something as soon as everyone has what they said before. */
export const fanOut: Scenario = {
  name: "fan-out",
  systems: CHATS,
  about: "So many messages of 64 bytes are in flight, each of another client in one room; when " +
    "everyone who should has one, its sender says the next. All servers run beside one another, with " +
    "5,000 clients three of them, and one after the other has its turn of half a second, after " +
    `${WARM_UP} that do not count, and in each of them after a beginning of ${FIRST_READS} reads for ` +
    "each client, because TCP acknowledges the first segments after a pause at the sender's cost.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Latency p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    [
      "Share of a core: server / load generator / Redis",
      ({ serverShare, generatorShare, redisShare }) =>
        [serverShare, generatorShare, redisShare].map(percent).join(" / "),
    ],
    ["Deliveries lost or repeated", auditText],
  ],
  async *measure(systems, bench, rounds) {
    const situations = bench.isQuick ? QUICK : SITUATIONS;
    const few = situations.filter(([clients]) => clients * systems.length <= MOST_CONNECTIONS);
    yield* beside(systems, phases(few, bench, rounds), bench);
    for (const situation of situations.filter((one) => !few.includes(one))) {
      const atOnce = Math.floor(MOST_CONNECTIONS / situation[0]);
      for (let i = 0; i < systems.length; i += atOnce) {
        yield* beside(systems.slice(i, i + atOnce), phases([situation], bench, rounds), bench);
      }
    }
  },
};

/** So many messages in flight among so many clients. */
function phases(situations: typeof SITUATIONS, bench: Bench, rounds: number): Phase[] {
  return situations.flatMap(([clients, inFlights]) =>
    inFlights.map((inFlight) => ({
      clients: () => clients,
      turns: rounds * turnsARound(clients),
      warmUp: WARM_UP,
      measure: ({ crowd, server }) => ({
        situation: situation(clients, inFlight),
        values: talkInFlight(crowd, inFlight, server, bench),
      }),
    }))
  );
}

/** Lets a crowd hear enough of a talk that what follows is as it goes on. */
function begin(crowd: Crowd): void {
  const enough = crowd.reads + FIRST_READS * crowd.clients.length;
  const giveUp = performance.now() + FIRST_WITHIN;
  crowd.pumpFor(BEGINNING);
  while (crowd.reads < enough) {
    if (performance.now() > giveUp) throw new Error("too little is delivered to be measured");
    crowd.pump(100);
  }
}

/** Keeps so many messages in flight for a while. */
export function talkInFlight(crowd: Crowd, inFlight: number, server: Server, bench: Bench) {
  const talk = new Talk(crowd);
  let isTalking = true;
  talk.done = (sender) => isTalking && talk.say(sender);
  for (let i = 0; i < inFlight; i++) talk.say(crowd.clients[i]);
  begin(crowd);
  const from = bench.cpu(server);
  talk.clear();
  crowd.pumpFor(TURN);
  const figures = bench.figures(talk, from, server);
  isTalking = false;
  const audit = audited(talk.finish(), crowd);
  // Where a turn is too short for what is in flight, the longest latencies end after it.
  return {
    ...figures,
    p50: talk.latencies.quantile(0.5),
    p99: talk.latencies.quantile(0.99),
    ...audit,
  };
}
