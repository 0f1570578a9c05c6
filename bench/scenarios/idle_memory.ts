import { type Bench, runSequentially, type Sample, type Scenario } from "../bench.ts";
import { kib, mib } from "../format.ts";
import { CONNECTION_SYSTEMS, type System } from "../systems.ts";

/**
 * Rooms are small, because join notices to thousands of clients take more memory than their
 * connections.
 */
const CLIENTS_PER_ROOM = 100;

/** Measures the memory of an idle connection. */
export const idleMemory: Scenario = {
  name: "idle-memory",
  systems: CONNECTION_SYSTEMS,
  description:
    `Clients join, ${CLIENTS_PER_ROOM} to a room, and send nothing. The memory per connection is ` +
    "the increase in the server's resident memory, divided by the number of clients.",
  columns: [
    ["Memory per connection", ({ perConnection }) => kib(perConnection)],
    ["Memory without clients", ({ before }) => mib(before)],
    ["Memory with all clients", ({ after }) => mib(after)],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
    const connections = bench.isQuick ? 1_000 : 5_000;
    await using server = await bench.startAlone(system);
    const group = server.addClients();
    group.pollFor(1_000);
    const before = server.process.memoryBytes();
    for (let joined = 0; joined < connections; joined += CLIENTS_PER_ROOM) {
      group.join(CLIENTS_PER_ROOM, { room: `room${joined / CLIENTS_PER_ROOM}` });
    }
    group.pollFor(bench.isQuick ? 2_000 : 5_000);
    const after = server.process.memoryBytes();
    const values = { before, after, perConnection: (after - before) / connections };
    return [{ situation: `${connections.toLocaleString("en")} connections`, values }];
  }),
};
