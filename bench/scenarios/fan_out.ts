import {
  audited,
  auditText,
  type Bench,
  type Outcome,
  type Scenario,
  type Server,
} from "../bench.ts";
import { ms, percent, us } from "../format.ts";
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

/** Servers that run beside one another have many short turns, so that a bad moment of the machine is everyone's. */
const TURNS_A_ROUND = 2;

/** The load generator may often have no more than 20,000 files open: where it would, fewer servers are measured at a time. */
const MOST_CONNECTIONS = 16_000;

/** So many clients join at a time. */
const AT_A_TIME = 100;

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
    "5,000 clients three of them, and one after the other has its turn of a second.",
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
  async *measure(systems, bench, rounds) {
    const situations = bench.isQuick ? QUICK : SITUATIONS;
    const few = situations.filter(([clients]) => clients * systems.length <= MOST_CONNECTIONS);
    yield* measureBeside(systems, few, bench, rounds);
    for (const situation of situations.filter((one) => !few.includes(one))) {
      const atOnce = Math.floor(MOST_CONNECTIONS / situation[0]);
      for (let i = 0; i < systems.length; i += atOnce) {
        yield* measureBeside(systems.slice(i, i + atOnce), [situation], bench, rounds);
      }
    }
  },
};

/** Measures systems whose servers run beside one another. */
async function* measureBeside(
  systems: readonly System[],
  situations: typeof SITUATIONS,
  bench: Bench,
  rounds: number,
): AsyncIterable<Outcome> {
  await using servers = new AsyncDisposableStack();
  const running = new Map<System, Running>();
  await bench.flush();
  for (const system of systems) {
    try {
      const server = servers.use(await bench.startBeside(system));
      running.set(system, { server, crowd: server.crowd() });
    } catch (error) {
      yield { system, round: 1, failed: (error as Error).message };
    }
  }
  for (const [clients, inFlights] of situations) {
    for (const [system, { crowd }] of running) {
      try {
        joinBeside(crowd, clients, system, running);
      } catch (error) {
        running.delete(system);
        yield { system, round: 1, failed: (error as Error).message };
      }
    }
    for (const inFlight of inFlights) {
      for (let round = 1; round <= rounds * TURNS_A_ROUND; round++) {
        for (const [system, { server, crowd }] of running) {
          try {
            const values = talkInFlight(crowd, inFlight, server, bench);
            yield { system, round, sample: { situation: situation(clients, inFlight), values } };
          } catch (error) {
            running.delete(system);
            yield { system, round, failed: (error as Error).message };
          }
          answerPings(running);
        }
      }
    }
  }
}

interface Running {
  readonly server: Server;
  readonly crowd: Crowd;
}

/** Clients who wait for their turn have pings to answer, or they are taken for gone. */
function answerPings(all: Map<System, Running>): void {
  for (const { crowd } of all.values()) while (crowd.pump(0) > 0);
}

/** Lets clients join until there are so many, a few at a time, so that those of the others need not wait. */
function joinBeside(crowd: Crowd, clients: number, system: System, all: Map<System, Running>) {
  // A room of its own, as all of them are on one Redis.
  const room = system.name.replaceAll(/\W/g, "");
  while (crowd.clients.length < clients) {
    crowd.join(Math.min(AT_A_TIME, clients - crowd.clients.length), { room });
    answerPings(all);
  }
  crowd.pumpUntilQuiet(500, () => answerPings(all));
}

/** Keeps so many messages in flight for a while. */
export function talkInFlight(crowd: Crowd, inFlight: number, server: Server, bench: Bench) {
  const talk = new Talk(crowd);
  let isTalking = true;
  talk.done = (sender) => isTalking && talk.say(sender);
  for (let i = 0; i < inFlight; i++) talk.say(crowd.clients[i]);
  crowd.pumpFor(500);
  const from = bench.cpu(server);
  talk.clear();
  crowd.pumpFor(1_000);
  const figures = bench.figures(talk, from, server);
  isTalking = false;
  return { ...figures, ...audited(talk.finish(), crowd) };
}
