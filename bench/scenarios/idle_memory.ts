import { type Bench, oneByOne, type Sample, type Scenario } from "../bench.ts";
import { kib, mib } from "../format.ts";
import { ALL, type System } from "../systems.ts";

/** So many to a room, because to tell thousands of each other leaves more behind than their connections take. */
const PER_ROOM = 100;

/** What a connection takes that does nothing. */
export const idleMemory: Scenario = {
  name: "idle-memory",
  systems: ALL,
  about: `Clients join, ${PER_ROOM} to a room, and are silent: how much more resident memory the ` +
    "server has then than before, for each of them.",
  columns: [
    ["Memory per connection", ({ perConnection }) => kib(perConnection)],
    ["Memory before", ({ before }) => mib(before)],
    ["Memory with them", ({ after }) => mib(after)],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const connections = bench.isQuick ? 1_000 : 5_000;
    await using server = await bench.start(system);
    const crowd = server.crowd();
    crowd.pumpFor(1_000);
    const before = server.process.memory();
    for (let joined = 0; joined < connections; joined += PER_ROOM) {
      crowd.join(PER_ROOM, { room: `room${joined / PER_ROOM}` });
    }
    crowd.pumpFor(bench.isQuick ? 2_000 : 10_000);
    const after = server.process.memory();
    const values = { before, after, perConnection: (after - before) / connections };
    return [{ situation: `${connections.toLocaleString("en")} connections`, values }];
  }),
};
