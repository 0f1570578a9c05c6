/**
 * The claims that must hold. Each is an upper limit for a figure of one run, most often for the
 * ratio of two systems.
 *
 * @module
 */
import { medianRatio, medians, type Results, situationsOf } from "./results.ts";
import { situationName } from "./scenarios/fan_out.ts";
import { NON_READERS } from "./scenarios/slow_readers.ts";

/** A claim, and what a run measured. */
export interface Claim {
  readonly claim: string;
  readonly atMost: number;
  /** The measured figure; `undefined` if part of it was not measured. */
  readonly measured: number | undefined;
}

/** Returns all claims with the figures of a run. */
export function claims(results: Results): Claim[] {
  const value = (scenario: string, situation: string, system: string, name: string) =>
    medians(results, scenario, situation, system)?.[name];
  const compare = (scenario: string, situation: string, one: string, other: string, name: string) =>
    medianRatio(results, scenario, situation, [one, other], name);
  const compareFanOut = (clients: number, inFlight: number, one: string, other: string) =>
    compare("fan-out", situationName(clients, inFlight), one, other, "cpu");
  const inFlightOf = (situation: string) => Number(/(\d+) in flight/.exec(situation)?.[1]);
  const situations = situationsOf(results, "fan-out");

  /** The highest ratio of one system to another in the chosen situations of the fan-out. */
  function highestRatio(one: string, other: string, isChosen: (situation: string) => boolean) {
    return highest(
      situations.filter(isChosen)
        .map((situation) => compare("fan-out", situation, one, other, "cpu")),
    );
  }

  /** The growth that is nearest to its limit. Large rooms cost some machines more. */
  function growthClaim(system: string): Claim {
    const growths = [1, 8, 64].map((inFlight) => {
      const growthOf = (system: string) =>
        value("fan-out", situationName(5_000, inFlight), system, "growth");
      return { measured: growthOf(system), atMost: Math.max(1.25, 1.1 * (growthOf("ws") ?? 0)) };
    });
    const nearest = highest(growths.map(({ measured, atMost }) => ratio(measured, atMost)));
    return {
      claim:
        `CPU per delivery, ${system}, 5,000 / 100 clients (limit: 1.25, or 1.1 times that of ws)`,
      ...growths.find(({ measured, atMost }) => ratio(measured, atMost) === nearest)!,
    };
  }
  const [paced] = situationsOf(results, "paced");
  const [allRead, someDoNotRead] = situationsOf(results, "slow-readers");
  const slow = (situation: string, name: string) => value("slow-readers", situation, "JSON", name);
  const isMoreThanOne = (situation: string) => inFlightOf(situation) > 1;
  const [storm] = situationsOf(results, "join-storm");
  const [idle] = situationsOf(results, "idle-memory");
  const [withWorkers] = situationsOf(results, "workers");
  const queuedBytes = difference(slow(someDoNotRead, "memory"), slow(allRead, "memory"));

  return [
    {
      claim: "CPU per delivery, JSON / Bun, 1,000 clients, 32 in flight",
      atMost: 0.85,
      measured: compareFanOut(1_000, 32, "JSON", "Bun"),
    },
    {
      claim: "CPU per delivery, JSON / Bun, 100 clients, 64 in flight",
      atMost: 1,
      measured: compareFanOut(100, 64, "JSON", "Bun"),
    },
    {
      claim: "CPU per delivery, JSON / Bun, 100 clients, 8 in flight",
      atMost: 1.5,
      measured: compareFanOut(100, 8, "JSON", "Bun"),
    },
    {
      claim: "CPU per delivery, text / ws, highest ratio of all situations",
      atMost: 1.15,
      measured: highestRatio("text", "ws", () => true),
    },
    {
      claim: "CPU per delivery, JSON / nchan, highest ratio with more than one in flight",
      atMost: 1,
      measured: highestRatio("JSON", "nchan", isMoreThanOne),
    },
    {
      claim: "CPU per delivery, JSON / Socket.IO, highest ratio with more than one in flight",
      atMost: 1,
      measured: highestRatio("JSON", "Socket.IO", isMoreThanOne),
    },
    {
      claim: "p99 latency, JSON / Bun, 500 messages a second, 100 clients",
      atMost: 1.5,
      measured: compare("paced", paced, "JSON", "Bun", "p99"),
    },
    growthClaim("JSON"),
    growthClaim("text"),
    {
      claim: "total server CPU of the join storm, JSON, seconds",
      atMost: 10,
      measured: ratio(value("join-storm", storm, "JSON", "cpuMs"), 1_000),
    },
    {
      claim: "total server CPU of the join storm, text / ws",
      atMost: 1.1,
      measured: compare("join-storm", storm, "text", "ws", "cpuMs"),
    },
    {
      claim: "memory of an idle connection, JSON / bare Deno",
      atMost: 1.25,
      measured: compare("idle-memory", idle, "JSON", "bare Deno", "perConnection"),
    },
    {
      claim: "CPU per delivery, WORKERS=2 / WORKERS=1",
      atMost: 1.1,
      measured: compare("workers", withWorkers, "WORKERS=2", "WORKERS=1", "cpu"),
    },
    {
      claim: `extra memory for each of ${NON_READERS} clients that never read, MiB`,
      atMost: 1.2,
      measured: ratio(queuedBytes, NON_READERS * 2 ** 20),
    },
    {
      claim: `p99 latency of the other clients, with ${NON_READERS} that never read / without them`,
      atMost: 2,
      measured: ratio(slow(someDoNotRead, "p99"), slow(allRead, "p99")),
    },
  ];
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
