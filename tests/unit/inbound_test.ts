import { assert, assertEquals } from "@std/assert";
import { SessionBudget } from "../../chat/limits/session_budget.ts";
import { Inbound } from "../../chat/session/inbound.ts";
import { NO_RATES, UNLIMITED_ADDRESS } from "../support/budgets.ts";
import { sleep, until } from "../support/wait.ts";

/** An inbound queue that has started and may read some lines a second, with a clock that stands. */
function makeInbound(maxLinesPerSecond = 0, hasLines = true) {
  const clock = { ms: 0 };
  const rates = { ...NO_RATES, maxLinesPerSecond };
  const read: string[] = [];
  const waits: boolean[] = [];
  let isExcessive = false;
  const inbound = new Inbound(
    new SessionBudget(rates, UNLIMITED_ADDRESS, () => clock.ms),
    hasLines,
    {
      onLine: (line, isLast) => void read.push(isLast ? `${line}.` : line),
      onWait: (isFirst) => void waits.push(isFirst),
      onExcess: () => isExcessive = true,
    },
  );
  inbound.start();
  return { inbound, clock, read, waits, isExcessive: () => isExcessive };
}

function numbers(start: number, end: number): string[] {
  return Array.from({ length: end - start }, (_, i) => `${start + i}`);
}

Deno.test("a frame of one line is read at once, and one of many in several turns", async () => {
  const { inbound, read } = makeInbound();
  inbound.receive("first");
  assertEquals(read, ["first."]);
  inbound.receive(numbers(0, 100).join("\n"));
  assertEquals(read.length, 1 + 32);
  let turnsOfOthers = 0;
  function others(): void {
    turnsOfOthers++;
    if (read.length < 102) setImmediate(others);
  }
  setImmediate(others);
  inbound.receive("last");
  assertEquals(read.length, 1 + 32);
  await until(() => read.length === 102);
  assertEquals(read, ["first.", ...numbers(0, 99), "99.", "last."]);
  assert(turnsOfOthers >= 3, `${turnsOfOthers}`);
  inbound.receive("again");
  assertEquals([read.at(-1), inbound.queuedBytes], ["again.", 0]);
});

Deno.test("the frames of many clients are read in turns, which others have, too", async () => {
  const clients = Array.from({ length: 20 }, () => makeInbound());
  const countRead = () => clients.reduce((sum, { read }) => sum + read.length, 0);
  const counts = [0];
  for (const { inbound } of clients) inbound.receive(numbers(0, 100).join("\n"));
  while (counts.at(-1)! < 2_000) {
    counts.push(countRead());
    await new Promise((resolve) => setImmediate(resolve));
  }
  const most = Math.max(...counts.slice(1).map((count, i) => count - counts[i]));
  assert(most <= 2 * 32, `${most} lines were read in one turn`);
});

Deno.test("long lines are read in turns, 64 KiB at a time, and one at once", async () => {
  const clients = Array.from({ length: 20 }, () => makeInbound());
  const countRead = () => clients.reduce((sum, { read }) => sum + read.length, 0);
  const line = "x".repeat(40_000);
  for (const { inbound } of clients) {
    for (const frame of [line, `${line}\n${line}`, line, line]) inbound.receive(frame);
  }
  // The turn is free for the first one.
  const counts = [countRead()];
  while (counts.at(-1)! < 100) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(countRead());
  }
  const most = Math.max(...counts.slice(1).map((count, i) => count - counts[i]));
  assertEquals([counts[0], most <= 4], [1, true], `${most} lines were read in one turn`);
});

Deno.test("a frame without lines is one, whatever it contains", () => {
  const { inbound, read } = makeInbound(0, false);
  inbound.receive("one\ntwo\n");
  assertEquals(read, ["one\ntwo\n."]);
});

Deno.test("a text of control characters takes what it costs as JSON", () => {
  const read: string[] = [];
  const rates = { ...NO_RATES, maxBytesPerSecond: 125 };
  const inbound = new Inbound(new SessionBudget(rates, UNLIMITED_ADDRESS), false, {
    onLine: (line) => void read.push(line),
    onWait: () => {},
    onExcess: () => {},
  });
  inbound.start();
  // Eight seconds' bytes are 1,000.
  for (const frame of ["\0".repeat(100), "\0".repeat(100)]) inbound.receive(frame);
  assertEquals(read.length, 1);
  inbound.close();
});

Deno.test("nothing is read before the start and after the end", async () => {
  const read: string[] = [];
  const inbound = new Inbound(new SessionBudget(NO_RATES, UNLIMITED_ADDRESS), true, {
    onLine: (line) => void read.push(line),
    onWait: () => {},
    onExcess: () => {},
  });
  for (const frame of ["1", "2"]) inbound.receive(frame);
  assertEquals([read, inbound.queuedBytes], [[], 2 + 2 * 100]);
  inbound.start();
  assertEquals([read, inbound.queuedBytes], [["1", "2"], 0]);
  inbound.receive(numbers(0, 100).join("\n"));
  inbound.close();
  await sleep(0);
  assertEquals([read.length, inbound.queuedBytes], [2 + 32, 0]);
});

Deno.test("lines over the budget wait for it, and keep their order", async () => {
  const { inbound, clock, read, waits } = makeInbound(10);
  inbound.receive(numbers(0, 100).join("\n"));
  await until(() => read.length === 100);
  assertEquals(waits, []);
  for (const frame of ["100\n101", "102"]) inbound.receive(frame);
  assertEquals([read.length, inbound.queuedBytes], [100, 7 + 3 + 2 * 100]);
  clock.ms = 200;
  await until(() => read.length === 102);
  clock.ms = 300;
  await until(() => read.length === 103);
  assertEquals(read, [...numbers(0, 99), "99.", "100", "101.", "102."]);
  // The client is told once.
  assertEquals([waits[0], waits.lastIndexOf(true)], [true, 0]);
  // After more than five seconds without a wait, it is told again.
  for (const [ms, isToldAgain] of [[5_200, false], [10_201, true]] as const) {
    clock.ms = ms;
    const count = waits.length;
    inbound.receive(numbers(0, 120).join("\n"));
    await until(() => waits.length > count);
    assertEquals(waits[count], isToldAgain);
  }
  inbound.close();
});

Deno.test("lines that wait for ten seconds are too many", async () => {
  const { inbound, clock, read, isExcessive } = makeInbound(10);
  inbound.receive(numbers(0, 102).join("\n"));
  await until(() => read.length === 100);
  clock.ms = 200;
  await until(() => read.length === 102);
  // The queue was empty, so the time begins again.
  inbound.receive(numbers(102, 300).join("\n"));
  clock.ms = 10_199;
  await until(() => read.length > 200);
  await sleep(150);
  assert(!isExcessive());
  clock.ms = 10_200;
  await until(isExcessive);
  inbound.close();
});
