/**
 * Measures several servers in short turns, so that a slow moment of the machine affects all of them
 * alike.
 *
 * @module
 */
import type { Bench, Outcome, Sample, Server } from "./bench.ts";
import type { ClientGroup } from "./client_group.ts";
import type { System } from "./systems.ts";

/** How many clients of one server join before the other servers' clients answer their pings. */
const JOIN_BATCH_SIZE = 100;

/** A server that runs during all of its turns, and its clients. */
export interface RunningServer {
  readonly server: Server;
  readonly group: ClientGroup;
}

/** One situation, which is measured in turns. */
export interface Phase {
  /** Returns how many clients a system's server has. */
  clients(system: System): number;
  /** The number of turns of each server. */
  readonly turns: number;
  /** The number of turns before these whose results are discarded. */
  readonly warmUpTurns?: number;
  /** Measures one turn. */
  measure(running: RunningServer): Sample;
}

/** Measures one phase after the other. In each phase the servers take turns. */
export async function* runInterleaved(
  systems: readonly System[],
  phases: readonly Phase[],
  bench: Bench,
): AsyncIterable<Outcome> {
  await using servers = new AsyncDisposableStack();
  const running = new Map<System, RunningServer>();
  await bench.flushRedis();
  for (const system of systems) {
    try {
      const server = servers.use(await bench.startServer(system));
      running.set(system, { server, group: server.addClients() });
    } catch (error) {
      yield { system, round: 1, failure: (error as Error).message };
    }
  }
  for (const { clients, turns, warmUpTurns = 0, measure } of phases) {
    for (const [system, one] of running) {
      try {
        join(one, clients(system), running);
      } catch (error) {
        running.delete(system);
        yield { system, round: 1, failure: (error as Error).message };
      }
    }
    for (let round = 1 - warmUpTurns; round <= turns; round++) {
      for (const [system, one] of running) {
        try {
          if (one.group.disconnects.length > 0) throw new Error(one.group.disconnects[0]);
          const sample = measure(one);
          if (round > 0) yield { system, round, sample };
        } catch (error) {
          running.delete(system);
          yield { system, round, failure: (error as Error).message };
        }
        answerPings(running);
      }
    }
  }
}

/**
 * Lets all clients answer pings. Otherwise a server closes the connections of those that wait for
 * their turn.
 */
function answerPings(running: Map<System, RunningServer>): void {
  for (const { group } of running.values()) while (group.poll(0) > 0);
}

/** Adds clients until the group has `count` of them. */
function join(
  { server, group }: RunningServer,
  count: number,
  running: Map<System, RunningServer>,
): void {
  if (group.clients.length >= count) return;
  // Each server has its own room, because all of them use the same Redis.
  const room = `room${server.process.pid}`;
  while (group.clients.length < count) {
    group.join(Math.min(JOIN_BATCH_SIZE, count - group.clients.length), { room });
    answerPings(running);
  }
  group.pollUntilQuiet(500, () => answerPings(running));
}
