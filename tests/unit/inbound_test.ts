import { assert, assertEquals } from "@std/assert";
import { SessionBudget } from "../../chat/limits/session_budget.ts";
import { Inbound } from "../../chat/session/inbound.ts";
import { NO_RATES, UNLIMITED_ADDRESS } from "../support/budgets.ts";
import { sleep, until } from "../support/wait.ts";

/** An inbound queue that has started, and may read some lines a second by a clock. */
function makeInbound({ maxLinesPerSecond = 0, hasLines = true, clock = makeClock() } = {}) {
  const budget = new SessionBudget(
    { ...NO_RATES, maxLinesPerSecond },
    UNLIMITED_ADDRESS,
    clock.now,
  );
  const read: string[] = [];
  const waits: boolean[] = [];
  let isExcessive = false;
  const inbound = new Inbound(budget, hasLines, {
    onLine: (line, isLast) => void read.push(isLast ? `${line}.` : line),
    onWait: (isFirst) => void waits.push(isFirst),
    onExcess: () => isExcessive = true,
  });
  inbound.start();
  return { budget, inbound, clock, read, waits, isExcessive: () => isExcessive };
}

/** A clock that stands, or goes on by some milliseconds with each line. */
function makeClock(lineMs = 0) {
  const clock = { ms: 0, now: () => clock.ms += lineMs };
  return clock;
}

/** Returns how many lines some inbound queues read in each turn, until all of them are read. */
async function countInTurns(
  inbounds: readonly { read: string[] }[],
  lines: number,
): Promise<number[]> {
  const countRead = () => inbounds.reduce((sum, { read }) => sum + read.length, 0);
  const counts = [countRead()];
  while (counts.at(-1)! < lines) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(countRead());
  }
  return counts.map((count, i) => count - (counts[i - 1] ?? 0));
}

function numbers(start: number, end: number): string[] {
  return Array.from({ length: end - start }, (_, i) => `${start + i}`);
}

// All inbound queues share the turns.
Deno.test.beforeEach(async () => {
  await sleep(0);
  await new Promise((resolve) => setImmediate(resolve));
});

Deno.test("a frame of one line is read at once, and one of many in several turns", async () => {
  const { inbound, budget, read } = makeInbound({ clock: makeClock(0.1) });
  inbound.receive("first");
  assertEquals(read, ["first."]);
  inbound.receive(numbers(0, 100).join("\n"));
  inbound.receive("last");
  const counts = await countInTurns([{ read }], 102);
  assert(Math.max(...counts) <= 23, `${counts}`);
  assertEquals(read, ["first.", ...numbers(0, 99), "99.", "last."]);
  inbound.receive("again");
  assertEquals([read.at(-1), budget.waitingBytes], ["again.", 0]);
});

Deno.test("all clients share the time of a turn", async () => {
  const clock = makeClock(0.1);
  // The turn of the test before may go on: this is later.
  clock.ms = 1_000;
  const clients = Array.from({ length: 20 }, () => makeInbound({ clock }));
  for (const { inbound } of clients) inbound.receive(numbers(0, 100).join("\n"));
  const counts = await countInTurns(clients, 2_000);
  assert(Math.max(...counts) <= 23, `${counts}`);
});

Deno.test("in a turn that is over, one frame of each client is read at once", async () => {
  const clock = makeClock(0.5);
  const [busy, other] = [1, 2].map(() => makeInbound({ clock, maxLinesPerSecond: 1_000 }));
  const counts = () => [busy.read.length, other.read.length];
  for (const line of numbers(0, 100)) busy.inbound.receive(line);
  const [atOnce] = counts();
  assert(atOnce < 10, `${atOnce}`);
  other.inbound.receive("0");
  other.inbound.receive("1");
  assertEquals(counts(), [atOnce, 1]);
  const all = await countInTurns([busy, other], 102);
  assert(Math.max(...all.slice(1)) < 20, `${all}`);
  assertEquals(busy.read, numbers(0, 100).map((line) => `${line}.`));
  assertEquals(other.read, ["0.", "1."]);
});

Deno.test("a client has at most 32 lines read before those of the next one", async () => {
  const order: number[] = [];
  const clock = makeClock(0.02);
  for (const number of [1, 2]) {
    const budget = new SessionBudget(NO_RATES, UNLIMITED_ADDRESS, clock.now);
    const handler = { onLine: () => void order.push(number), onWait() {}, onExcess() {} };
    const inbound = new Inbound(budget, true, handler);
    inbound.start();
    inbound.receive(numbers(0, 200).join("\n"));
  }
  await until(() => order.length === 400);
  assertEquals(order.indexOf(2), 32);
});

Deno.test("while the store has much to answer, only who waits for no answer is read", async () => {
  const [busy, long, quiet] = [makeInbound(), makeInbound(), makeInbound()];
  busy.inbound.addInFlight(128 * 1024 + 1);
  busy.inbound.receive("short");
  long.inbound.receive("x".repeat(5_000));
  quiet.inbound.receive("short");
  await sleep(0);
  const counts = () => [busy, long, quiet].map(({ read }) => read.length);
  assertEquals(counts(), [0, 0, 1]);
  busy.inbound.addInFlight(-1);
  await until(() => counts().join("") === "111");
  busy.inbound.addInFlight(-128 * 1024);
});

Deno.test("a frame without lines is one, whatever it contains", () => {
  const { inbound, read } = makeInbound({ hasLines: false });
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
  const budget = new SessionBudget(NO_RATES, UNLIMITED_ADDRESS, makeClock(0.1).now);
  const inbound = new Inbound(budget, true, {
    onLine: (line) => void read.push(line),
    onWait: () => {},
    onExcess: () => {},
  });
  for (const frame of ["1", "2"]) inbound.receive(frame);
  assertEquals([read, budget.waitingBytes], [[], 2 + 2 * 100]);
  inbound.start();
  assertEquals([read, budget.waitingBytes], [["1", "2"], 0]);
  inbound.receive(numbers(0, 100).join("\n"));
  inbound.close();
  const { length } = read;
  assert(length < 30, `${length}`);
  await sleep(0);
  assertEquals([read.length, budget.waitingBytes], [length, 0]);
});

Deno.test("lines over the budget wait for it, and keep their order", async () => {
  const { inbound, budget, clock, read, waits } = makeInbound({ maxLinesPerSecond: 10 });
  inbound.receive(numbers(0, 100).join("\n"));
  await until(() => read.length === 100);
  assertEquals(waits, []);
  for (const frame of ["100\n101", "102"]) inbound.receive(frame);
  assertEquals([read.length, budget.waitingBytes], [100, 7 + 3 + 2 * 100]);
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
  const { inbound, clock, read, isExcessive } = makeInbound({ maxLinesPerSecond: 10 });
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

Deno.test("what a client sent before it went is read, unless the budget is empty", async () => {
  const { inbound, read } = makeInbound();
  const other = makeInbound().inbound;
  other.addInFlight(1024 * 1024);
  inbound.receive(numbers(0, 100).join("\n"));
  let isFinished = false;
  inbound.finish(() => isFinished = true);
  assertEquals([read.length, isFinished], [0, false]);
  other.addInFlight(-1024 * 1024);
  await until(() => isFinished);
  assertEquals(read.length, 100);
  inbound.close();

  const slow = makeInbound({ maxLinesPerSecond: 10 });
  slow.inbound.receive(numbers(0, 200).join("\n"));
  await until(() => slow.waits.length > 0);
  let isSlowFinished = false;
  slow.inbound.finish(() => isSlowFinished = true);
  assertEquals([slow.read.length, isSlowFinished], [100, true]);
  slow.inbound.close();
});
