import { auditText, type Scenario } from "../bench.ts";
import { beside, type Running } from "../beside.ts";
import { us } from "../format.ts";
import { json, type System, text } from "../systems.ts";
import { talkInFlight } from "./fan_out.ts";

/** A few clients and many. */
export const [FEW, MANY] = [100, 5_000];
/** How many messages are in flight. */
export const IN_FLIGHT = [1, 8, 64];
/** So many turns each has in a round, and so many before the first, in which its code is compiled. */
const [TURNS_A_ROUND, WARM_UP] = [5, 4];

/** The name of a situation. */
export function situationOf(inFlight: number): string {
  return `${inFlight} in flight`;
}

/** The name of a server with so many clients. */
export function withClients(system: string, clients: number): string {
  return `${system}, ${clients.toLocaleString("en")}`;
}

const clientsOf = new Map<System, number>(
  [json, text].flatMap((system) =>
    [FEW, MANY].map((clients) =>
      [{ ...system, name: withClients(system.name, clients) }, clients] as const
    )
  ),
);

/** What a delivery costs where there are many clients, beside what it costs where there are few. */
export const growth: Scenario = {
  name: "growth",
  systems: [...clientsOf.keys()],
  about:
    `The same as in the fan-out, with servers of ${FEW} and of ${
      MANY.toLocaleString("en")
    } clients ` +
    `beside one another, so that a bad moment of the machine is everyone's, after ${WARM_UP} turns ` +
    "that do not count. Not in a quick run.",
  columns: [
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Deliveries lost or repeated", auditText],
  ],
  async *measure(systems, bench, rounds) {
    if (bench.isQuick) return;
    const phases = IN_FLIGHT.map((inFlight) => ({
      clients: (system: System) => clientsOf.get(system)!,
      turns: rounds * TURNS_A_ROUND,
      warmUp: WARM_UP,
      measure: ({ crowd, server }: Running) => ({
        situation: situationOf(inFlight),
        values: talkInFlight(crowd, inFlight, server, bench),
      }),
    }));
    yield* beside(systems, phases, bench);
  },
};
