/**
 * Servers that run beside one another and take short turns, so that a bad moment of the machine is everyone's.
 *
 * @module
 */
import type { Bench, Outcome, Sample, Server } from "./bench.ts";
import type { Crowd } from "./crowd.ts";
import type { System } from "./systems.ts";

/** So many clients join at a time. */
const AT_A_TIME = 100;

/** A server that is there for all of its turns, with its clients. */
export interface Running {
  readonly server: Server;
  readonly crowd: Crowd;
}

/** Something to measure in turns. */
export interface Phase {
  /** How many clients a system's server has. */
  clients(system: System): number;
  /** How many turns each server has. */
  readonly turns: number;
  /** How many turns it has before, of which nothing is kept. */
  readonly warmUp?: number;
  /** What happens in a turn. */
  measure(running: Running): Sample;
}

/** Measures one phase after the other, and in each of them one system after the other, as often as it has turns. */
export async function* beside(
  systems: readonly System[],
  phases: readonly Phase[],
  bench: Bench,
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
  for (const { clients, turns, warmUp = 0, measure } of phases) {
    for (const [system, { crowd }] of running) {
      try {
        join(crowd, clients(system), system, running);
      } catch (error) {
        running.delete(system);
        yield { system, round: 1, failed: (error as Error).message };
      }
    }
    for (let round = 1 - warmUp; round <= turns; round++) {
      for (const [system, one] of running) {
        try {
          if (one.crowd.gone.length > 0) throw new Error(one.crowd.gone[0]);
          const sample = measure(one);
          if (round > 0) yield { system, round, sample };
        } catch (error) {
          running.delete(system);
          yield { system, round, failed: (error as Error).message };
        }
        answerPings(running);
      }
    }
  }
}

/** Clients who wait for their turn have pings to answer, or they are taken for gone. */
function answerPings(all: Map<System, Running>): void {
  for (const { crowd } of all.values()) while (crowd.pump(0) > 0);
}

/** Lets clients join until there are so many, a few at a time, so that those of the others need not wait. */
function join(crowd: Crowd, clients: number, system: System, all: Map<System, Running>): void {
  if (crowd.clients.length >= clients) return;
  // A room of its own, as all of them are on one Redis.
  const room = system.name.replaceAll(/\W/g, "");
  while (crowd.clients.length < clients) {
    crowd.join(Math.min(AT_A_TIME, clients - crowd.clients.length), { room });
    answerPings(all);
  }
  crowd.pumpUntilQuiet(500, () => answerPings(all));
}
