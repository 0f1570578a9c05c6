import { type Bench, oneByOne, type Sample, type Scenario, shares } from "../bench.ts";
import { countWords } from "../crowd.ts";
import { digits, ms, percent } from "../format.ts";
import { ROOMS, type System } from "../systems.ts";

const JOINED = new TextEncoder().encode("joined");

/** Everyone comes, and everyone is told of everyone. */
export const joinStorm: Scenario = {
  name: "join-storm",
  systems: ROOMS,
  about:
    "Users join one room one after the other, each as soon as the one before was welcomed, and " +
    "everyone in the room is told of each of them.",
  columns: [
    ["Server CPU in all, s", ({ cpuMs }) => digits(cpuMs / 1000)],
    ["Server CPU per join, ms", ({ cpuMs, users }) => ms(cpuMs / users)],
    ["Time in all, s", ({ elapsed }) => digits(elapsed / 1000)],
    ["Share of a core: load generator", ({ generatorShare }) => percent(generatorShare)],
    ["Notices lost", ({ lost }) => lost > 0 ? `${lost}` : "none"],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const users = bench.isQuick ? 500 : 3_000;
    await using server = await bench.start(system);
    const crowd = server.crowd();
    const heard = new Int32Array(users);
    let lastAt = 0;
    crowd.hear = (client, bytes, start, end) => {
      heard[client.index] += countWords(bytes, start, end, JOINED);
      lastAt = crowd.now;
    };
    const from = bench.cpu(server);
    crowd.join(users, { atOnce: 1 });
    crowd.pumpUntilQuiet(500);
    const to = bench.cpu(server);
    // Some peers tell a newcomer of itself too.
    const lost = heard.reduce((sum, count, i) => sum + Math.max(0, users - 1 - i - count), 0);
    const values = {
      users,
      cpuMs: to.server - from.server,
      elapsed: lastAt - from.at,
      lost,
      ...shares(from, to),
    };
    return [{ situation: `${users.toLocaleString("en")} users`, values }];
  }),
};
