/**
 * What has to hold, as ratios of what one run has measured.
 *
 * @module
 */
import { medians, type Results, situationsOf } from "./results.ts";
import { situation } from "./scenarios/fan_out.ts";
import { FEW, IN_FLIGHT, MANY, situationOf, withClients } from "./scenarios/growth.ts";
import { DEAF } from "./scenarios/slow_readers.ts";

/** Something that has to hold. */
export interface Claim {
  readonly what: string;
  readonly atMost: number;
  /** What was measured; `undefined` where something of it was not. */
  readonly measured: number | undefined;
}

/** All claims, with what a run says of them. */
export function claims(results: Results): Claim[] {
  const value = (scenario: string, situation: string, system: string, name: string) =>
    medians(results, scenario, situation, system)?.[name];
  const fanOut = (clients: number, inFlight: number, system: string) =>
    value("fan-out", situation(clients, inFlight), system, "cpu");
  const inFlightOf = (situation: string) => Number(/(\d+) in flight/.exec(situation)?.[1]);
  const situations = situationsOf(results, "fan-out");

  /** The worst ratio of one system to another in the situations that are chosen. */
  function worst(one: string, other: string, isChosen: (situation: string) => boolean) {
    const chosen = situations.filter(isChosen);
    return highest(chosen.map((situation) =>
      ratio(
        value("fan-out", situation, one, "cpu"),
        value("fan-out", situation, other, "cpu"),
      )
    ));
  }
  const growthOf = (system: string) =>
    highest(IN_FLIGHT.map((inFlight) => {
      const cpu = (clients: number) =>
        value("growth", situationOf(inFlight), withClients(system, clients), "cpu");
      return ratio(cpu(MANY), cpu(FEW));
    }));
  const [pacing] = situationsOf(results, "paced");
  const [all, deaf] = situationsOf(results, "slow-readers");
  const slow = (situation: string, name: string) => value("slow-readers", situation, "JSON", name);
  const isSeveral = (situation: string) => inFlightOf(situation) > 1;
  const [storm] = situationsOf(results, "join-storm");
  const joins = (system: string) => value("join-storm", storm, system, "cpuMs");
  const [idle] = situationsOf(results, "idle-memory");
  const perConnection = (system: string) => value("idle-memory", idle, system, "perConnection");
  const [together] = situationsOf(results, "workers");
  const withWorkers = (system: string) => value("workers", together, system, "cpu");
  const held = difference(slow(deaf, "memory"), slow(all, "memory"));

  return [
    claim(
      "JSON to Bun, CPU per delivery, 1,000 clients, 32 in flight",
      0.85,
      ratio(fanOut(1_000, 32, "JSON"), fanOut(1_000, 32, "Bun")),
    ),
    claim(
      "JSON to Bun, CPU per delivery, 100 clients, 64 in flight",
      1,
      ratio(fanOut(100, 64, "JSON"), fanOut(100, 64, "Bun")),
    ),
    claim(
      "JSON to Bun, CPU per delivery, 100 clients, 8 in flight",
      1.5,
      ratio(fanOut(100, 8, "JSON"), fanOut(100, 8, "Bun")),
    ),
    claim("text to ws, CPU per delivery, everywhere", 1.15, worst("text", "ws", () => true)),
    claim(
      "JSON to nchan, CPU per delivery, more than one in flight",
      1,
      worst("JSON", "nchan", isSeveral),
    ),
    claim(
      "JSON to Socket.IO, CPU per delivery, more than one in flight",
      1,
      worst("JSON", "Socket.IO", isSeveral),
    ),
    claim(
      "JSON to Bun, p99 latency, 500 messages a second to 100 clients",
      1.5,
      ratio(value("paced", pacing, "JSON", "p99"), value("paced", pacing, "Bun", "p99")),
    ),
    claim("JSON at 5,000 clients to 100, CPU per delivery", 1.25, growthOf("JSON")),
    claim("text at 5,000 clients to 100, CPU per delivery", 1.25, growthOf("text")),
    claim("join storm of JSON users, server CPU in all, s", 10, ratio(joins("JSON"), 1_000)),
    claim("join storm, text to ws, server CPU", 1.1, ratio(joins("text"), joins("ws"))),
    claim(
      "JSON to bare Deno, memory of an idle connection",
      1.25,
      ratio(perConnection("JSON"), perConnection("bare Deno")),
    ),
    claim(
      "WORKERS=2 to 1, CPU per delivery",
      1.1,
      ratio(withWorkers("WORKERS=2"), withWorkers("WORKERS=1")),
    ),
    claim(
      `${DEAF} who never read, memory over that without them, of 1 MiB each`,
      1.2,
      ratio(held, DEAF * 2 ** 20),
    ),
    claim(
      `${DEAF} who never read, p99 latency of the others to that without them`,
      2,
      ratio(slow(deaf, "p99"), slow(all, "p99")),
    ),
  ];
}

function claim(what: string, atMost: number, measured: number | undefined): Claim {
  return { what, atMost, measured };
}

function ratio(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other;
}

function difference(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one - other;
}

function highest(values: (number | undefined)[]): number | undefined {
  if (values.length === 0 || values.includes(undefined)) return undefined;
  return Math.max(...values as number[]);
}
