import { describeErrors, type Scenario } from "../bench.ts";
import { us } from "../format.ts";
import { runInterleaved, type RunningServer } from "../interleave.ts";
import { json, type System, text } from "../systems.ts";
import { measureInFlight } from "./fan_out.ts";

/** The numbers of clients that are compared. */
export const SMALL_ROOM = 100, LARGE_ROOM = 5_000;
/** The numbers of messages in flight. */
export const IN_FLIGHT = [1, 8, 64];
const TURNS_PER_ROUND = 5;
/** The turns of each system whose results are discarded, while its code is being compiled. */
const WARM_UP_TURNS = 4;

/** Returns the name of a situation in the results. */
export function growthSituationName(inFlight: number): string {
  return `${inFlight} in flight`;
}

/** Returns the name of a server with a number of clients. */
export function systemName(system: string, clients: number): string {
  return `${system}, ${clients.toLocaleString("en")}`;
}

const clientCounts = new Map<System, number>(
  [json, text].flatMap((system) =>
    [SMALL_ROOM, LARGE_ROOM].map((clients) =>
      [{ ...system, name: systemName(system.name, clients) }, clients] as const
    )
  ),
);

/** Compares the cost of a delivery in a large room with that in a small one. */
export const growth: Scenario = {
  name: "growth",
  systems: [...clientCounts.keys()],
  description:
    `The traffic of fan-out, in rooms of ${SMALL_ROOM} and of ${LARGE_ROOM.toLocaleString("en")} ` +
    "clients. Each room has its own server. All servers run at the same time and take turns, " +
    `after ${WARM_UP_TURNS} turns for warm-up, so that a slow moment of the machine affects all ` +
    "of them alike. A quick run leaves this scenario out.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Delivery errors", describeErrors],
  ],
  async *measure(systems, bench, rounds) {
    if (bench.isQuick) return;
    const phases = IN_FLIGHT.map((inFlight) => ({
      clients: (system: System) => clientCounts.get(system)!,
      turns: rounds * TURNS_PER_ROUND,
      warmUpTurns: WARM_UP_TURNS,
      measure: ({ group, server }: RunningServer) => ({
        situation: growthSituationName(inFlight),
        values: measureInFlight(group, inFlight, server, bench),
      }),
    }));
    yield* runInterleaved(systems, phases, bench);
  },
};
