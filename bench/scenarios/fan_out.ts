import {
  type Bench,
  describeErrors,
  errorValues,
  type Outcome,
  type Scenario,
  type Server,
} from "../bench.ts";
import type { ClientGroup } from "../client_group.ts";
import { MAX_SENDERS } from "../client_protocols.ts";
import { digits, ms, percent, us } from "../format.ts";
import { type Phase, runInterleaved } from "../interleave.ts";
import { BROADCAST_SYSTEMS, json, sse, type System, text, ws } from "../systems.ts";
import { Traffic } from "../traffic.ts";

/** Numbers of clients, each with the numbers of messages in flight. */
const SITUATIONS: readonly [number, readonly number[]][] = [
  [100, [1, 8, 64]],
  [1_000, [1, 8, 32, 64]],
  [5_000, [1, 8, 64]],
];
const QUICK_SITUATIONS: typeof SITUATIONS = [[100, [1, 8, 64]], [1_000, [32]]];

/**
 * The turns of each system whose results are discarded, while its code is being compiled, and those
 * when only the situation changes.
 */
const WARM_UP_TURNS = 4, FURTHER_WARM_UP_TURNS = 2;

/**
 * Returns the number of turns of each system in a round. With 5,000 clients a turn takes seconds.
 */
function turnsPerRound(clients: number): number {
  return clients < 5_000 ? 4 : 3;
}

/**
 * A turn is measured for this long. Turns are short, so that a slow moment of the machine affects
 * all systems alike.
 */
const TURN_MS = 500;
/** The traffic runs this long before the measurement of a turn begins. */
const RAMP_UP_MS = 250;

/**
 * The traffic also runs until the clients have each read this often on average. After a pause Linux
 * acknowledges each of up to 16 segments as it arrives (`TCP_MAX_QUICKACKS`), and on one machine
 * the sender does that work. With 5,000 clients only a few segments reach each client in a turn.
 */
const RAMP_UP_READS = 16;

/** A turn fails if the clients have not read that often by then. */
const RAMP_UP_TIMEOUT_MS = 10_000;

/**
 * The load generator may have as few as 20,000 open files. Above this limit, fewer servers run at
 * the same time.
 */
const MAX_CONNECTIONS = 16_000;

/**
 * How much the CPU per delivery grows with the room is measured for these, with a server beside the
 * large one whose room has this many clients. Its turns alternate with those of the large one,
 * because within minutes the CPU per delivery of one server in one room varies by half.
 */
const GROWTH_SYSTEMS: readonly System[] = [json, text, ws];
const SMALL_ROOM = 100;

/** Returns the name of a situation in the results. */
export function situationName(clients: number, inFlight: number): string {
  return `${clients.toLocaleString("en")} clients, ${inFlight} in flight`;
}

/** Clients publish their next message as soon as all recipients have the one before. */
export const fanOut: Scenario = {
  name: "fan-out",
  systems: [...BROADCAST_SYSTEMS, sse],
  description:
    "All clients are in one room. Some of them each have one message of 64 bytes in flight. When " +
    "all recipients have a message, its sender publishes the next. All servers run at the same " +
    "time (with 5,000 clients, three at a time) and take turns of half a second, after " +
    `${WARM_UP_TURNS} turns for warm-up, or ${FURTHER_WARM_UP_TURNS} if only the situation ` +
    "changes. In each turn the measurement begins when the clients " +
    `have each read ${RAMP_UP_READS} times on average, because after a pause TCP acknowledges ` +
    "the first segments at the sender's cost. " +
    "The growth is the ratio to the CPU per delivery in a turn right before, of a server of the " +
    `same kind with ${SMALL_ROOM} clients. With SSE, all clients but ` +
    `${MAX_SENDERS} JSON clients only listen.`,
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Growth", ({ growth }) => growth === undefined ? "–" : digits(growth)],
    ["Deliveries a second", ({ rate }) => Math.round(rate).toLocaleString("en")],
    ["Latency p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    [
      "Share of a core: server / load generator / Redis",
      ({ serverShare, generatorShare, redisShare }) =>
        [serverShare, generatorShare, redisShare].map(percent).join(" / "),
    ],
    ["Delivery errors", describeErrors],
  ],
  async *measure(systems, bench, rounds) {
    const situations = bench.isQuick ? QUICK_SITUATIONS : SITUATIONS;
    const together = situations.filter(([clients]) => clients * systems.length <= MAX_CONNECTIONS);
    yield* runInterleaved(systems, phases(together, bench, rounds), bench);
    for (const situation of situations.filter((one) => !together.includes(one))) {
      const maxServers = Math.floor(MAX_CONNECTIONS / situation[0]);
      for (const group of split(systems, maxServers)) {
        yield* measureGrowth(group, phases([situation], bench, rounds), bench);
      }
    }
  },
};

/**
 * Measures phases with many clients; the values of {@linkcode GROWTH_SYSTEMS} have the `growth` of
 * the CPU per delivery too.
 */
async function* measureGrowth(
  systems: readonly System[],
  phases: readonly Phase[],
  bench: Bench,
): AsyncIterable<Outcome> {
  const small = new Map(GROWTH_SYSTEMS.map((system) => [system, { ...system }]));
  const isSmall = (system: System) => [...small.values()].includes(system);
  const all = systems.flatMap((system) => [small.get(system) ?? [], system].flat());
  const withSmall = phases.map((phase) => ({
    ...phase,
    clients: (system: System) => isSmall(system) ? SMALL_ROOM : phase.clients(system),
  }));
  let smallCpu = NaN;
  for await (const outcome of runInterleaved(all, withSmall, bench)) {
    if ("failure" in outcome) {
      yield outcome;
    } else if (isSmall(outcome.system)) {
      smallCpu = outcome.sample.values.cpu;
    } else {
      const { situation, values } = outcome.sample;
      const growth = values.cpu / smallCpu;
      smallCpu = NaN;
      const isMeasured = small.has(outcome.system);
      yield isMeasured
        ? { ...outcome, sample: { situation, values: { ...values, growth } } }
        : outcome;
    }
  }
}

/**
 * Splits systems into groups of at most `maxSize`, and keeps a base build in the group of the build
 * before it.
 */
function split(systems: readonly System[], maxSize: number): System[][] {
  const groups: System[][] = [];
  systems.forEach((system, i) => {
    const group = groups.at(-1);
    const size = systems[i + 1]?.baseOf === system ? 2 : 1;
    if (group && (system.baseOf || group.length + size <= maxSize)) group.push(system);
    else groups.push([system]);
  });
  return groups;
}

function phases(situations: typeof SITUATIONS, bench: Bench, rounds: number): Phase[] {
  return situations.flatMap(([clients, inFlights]) =>
    inFlights.map((inFlight, i) => ({
      clients: () => clients,
      turns: rounds * turnsPerRound(clients),
      warmUpTurns: i === 0 ? WARM_UP_TURNS : FURTHER_WARM_UP_TURNS,
      measure: ({ group, server }) => ({
        situation: situationName(clients, inFlight),
        values: measureInFlight(group, inFlight, server, bench),
      }),
    }))
  );
}

/** Lets traffic run until it has reached its steady state. */
function rampUp(group: ClientGroup): void {
  const readsBefore = group.reads;
  const enough = RAMP_UP_READS * group.clients.length;
  const deadline = performance.now() + RAMP_UP_TIMEOUT_MS;
  group.pollFor(RAMP_UP_MS);
  for (let reads; (reads = group.reads - readsBefore) < enough;) {
    if (group.disconnects.length > 0) throw new Error(group.disconnects[0]);
    if (performance.now() > deadline) {
      const seconds = RAMP_UP_TIMEOUT_MS / 1000;
      throw new Error(`only ${reads} reads in ${seconds} s, ${enough} are needed to measure`);
    }
    group.poll(100);
  }
}

/** Measures one turn with `inFlight` messages in flight. */
export function measureInFlight(
  group: ClientGroup,
  inFlight: number,
  server: Server,
  bench: Bench,
) {
  const traffic = new Traffic(group);
  let isPublishing = true;
  traffic.onDelivered = (sender) => isPublishing && traffic.publish(sender);
  for (let i = 0; i < inFlight; i++) traffic.publish(group.clients[i]);
  rampUp(group);
  const from = bench.readCpu(server);
  traffic.resetFigures();
  group.pollFor(TURN_MS);
  const figures = bench.figures(traffic, from, server);
  isPublishing = false;
  const errors = errorValues(traffic.finish(), group);
  // These latencies include the messages that were in flight when the turn ended, which may be the
  // slowest ones.
  return {
    ...figures,
    p50: traffic.latencies.quantile(0.5),
    p99: traffic.latencies.quantile(0.99),
    ...errors,
  };
}
