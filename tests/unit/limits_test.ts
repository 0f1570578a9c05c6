import { assert, assertEquals } from "@std/assert";
import { ConnectionLimit } from "../../chat/limits/connection_limit.ts";
import { Episode } from "../../chat/limits/episode.ts";
import { PendingUpgrades } from "../../chat/limits/pending_upgrades.ts";
import { endOfTurn, sleep, until } from "../support/wait.ts";

Deno.test("an upgrade above the limit waits until another of its address ends", async () => {
  const upgrades = new PendingUpgrades({ maxPending: 2 });
  assertEquals(await Promise.all([upgrades.begin("a"), upgrades.begin("a")]), [true, true]);
  let third: boolean | undefined;
  upgrades.begin("a").then((mayUpgrade) => third = mayUpgrade);
  assertEquals(await upgrades.begin("b"), true);
  upgrades.end("b", false);
  await endOfTurn();
  assertEquals(third, undefined);
  upgrades.end("a", false);
  await endOfTurn();
  assertEquals(third, true);
});

Deno.test("an upgrade is refused if none of its address ends in time, and only then", async () => {
  const upgrades = new PendingUpgrades({ maxPending: 1, maxWaitMs: 400 });
  await upgrades.begin("a");
  const waiting = [1, 2, 3].map(() => upgrades.begin("a"));
  const start = performance.now();
  for (const next of waiting.slice(0, 2)) {
    await sleep(300);
    upgrades.end("a", false);
    assertEquals(await next, true);
  }
  assertEquals(await waiting[2], false);
  assert(performance.now() - start > 900, "the last one has waited longer than the limit");
  upgrades.end("a", false);
  assertEquals(await upgrades.begin("a"), true);
});

Deno.test("an address is refused when too many of its upgrades have leaked", async () => {
  const upgrades = new PendingUpgrades({ maxLeaked: 2, refuseSeconds: 1 });
  for (const expected of [0, 0, 1]) {
    await upgrades.begin("a");
    upgrades.end("a", true);
    assertEquals(upgrades.secondsRefused("a"), expected);
  }
  assertEquals(upgrades.secondsRefused("b"), 0);
  await until(() => upgrades.secondsRefused("a") === 0, 20);
});

Deno.test("a limit that an error taught is raised once descriptors are free", () => {
  const limit = new ConnectionLimit(0);
  assertEquals(limit.admits(1_000_000), true);
  limit.onTooManyOpenFiles(50);
  assertEquals(limit.admits(49), true);
  // This process has descriptors to spare.
  assertEquals(limit.admits(50), true);
  assertEquals(limit.admits(59), true);
});

Deno.test("a limit that is configured is never raised", () => {
  const limit = new ConnectionLimit(50);
  limit.onTooManyOpenFiles(40);
  assertEquals([49, 50, 51].map((count) => limit.admits(count)), [true, false, false]);
  limit.close();
});

Deno.test("an episode begins with the first case and ends when it has been quiet", async () => {
  const ends: number[] = [];
  const episode = new Episode((count) => ends.push(count), 1_000);
  assertEquals([episode.record(), episode.record()], [true, false]);
  await sleep(550);
  episode.record();
  await sleep(550);
  assertEquals(ends, []);
  await until(() => ends.length === 1, 10);
  assertEquals(ends, [3]);
  assertEquals(episode.record(), true);
  await until(() => ends.length === 2, 10);
});
