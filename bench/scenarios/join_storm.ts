import { type Bench, coreShares, runSequentially, type Sample, type Scenario } from "../bench.ts";
import { countOccurrences } from "../client_group.ts";
import { digits, ms, percent } from "../format.ts";
import { JOIN_NOTICE_SYSTEMS, type System } from "../systems.ts";

const JOINED = new TextEncoder().encode("joined");

/** Many users join one room, and the server notifies everyone in it of each join. */
export const joinStorm: Scenario = {
  name: "join-storm",
  systems: JOIN_NOTICE_SYSTEMS,
  description:
    "Users join one room one after the other, each as soon as the previous user has received the " +
    "welcome. The server notifies everyone in the room of each join.",
  columns: [
    ["Total server CPU, s", ({ cpuMs }) => digits(cpuMs / 1000)],
    ["Server CPU per join, ms", ({ cpuMs, users }) => ms(cpuMs / users)],
    ["Total time, s", ({ elapsedMs }) => digits(elapsedMs / 1000)],
    ["Share of a core: load generator", ({ generatorShare }) => percent(generatorShare)],
    ["Lost join notices", ({ lost }) => lost > 0 ? `${lost}` : "none"],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
    const users = bench.isQuick ? 500 : 3_000;
    await using server = await bench.startAlone(system, { JOIN_NOTICES: "on" });
    const group = server.addClients();
    const notices = new Int32Array(users);
    let lastAt = 0;
    group.onText = (client, bytes, start, end) => {
      notices[client.index] += countOccurrences(bytes, start, end, JOINED);
      lastAt = group.receivedAt;
    };
    const from = bench.readCpu(server);
    group.join(users, { concurrency: 1 });
    group.pollUntilQuiet(500);
    const to = bench.readCpu(server);
    // Some peers also notify a new user of its own join.
    const lost = notices.reduce((sum, count, i) => sum + Math.max(0, users - 1 - i - count), 0);
    const values = {
      users,
      cpuMs: to.server - from.server,
      elapsedMs: lastAt - from.at,
      lost,
      ...coreShares(from, to),
    };
    return [{ situation: `${users.toLocaleString("en")} users`, values }];
  }),
};
