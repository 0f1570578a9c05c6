import { assert, assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { AddressBudgets } from "../../chat/limits/address_budgets.ts";
import { SessionBudget, type SharedBudget } from "../../chat/limits/session_budget.ts";
import { TokenBucket } from "../../chat/protocol/token_bucket.ts";
import { NO_RATES, UNLIMITED_ADDRESS } from "../support/budgets.ts";

/** A budget with a clock that the test moves, and what its address shares. */
function makeBudget(rates: Partial<typeof NO_RATES>, address: Partial<SharedBudget> = {}) {
  const clock = { ms: 0 };
  const budget = new SessionBudget(
    { ...NO_RATES, ...rates },
    { ...UNLIMITED_ADDRESS, ...address },
    () => clock.ms,
  );
  /** Takes a line and its message; returns the refusal, if there is one. */
  function publish(opensRoom = false, receivers = 1) {
    assertEquals(budget.takeLine(1), 0);
    return budget.takeMessage(opensRoom, receivers);
  }
  return { budget, clock, publish };
}

Deno.test("40 messages at once are taken, and then 20 a second", () => {
  const { clock, publish } = makeBudget({ maxMessagesPerSecond: 20 });
  for (let i = 0; i < 40; i++) assertEquals(publish(), undefined);
  for (let i = 0; i < 200; i++) {
    clock.ms += 50;
    assertEquals(publish(), undefined);
  }
});

Deno.test("after a refused message all are refused until half of the burst is back", () => {
  const { clock, publish } = makeBudget({ maxMessagesPerSecond: 20 });
  for (let i = 0; i < 40; i++) publish();
  assertEquals(publish(), { retryAfterMs: 1_000, isFirst: true, isExcessive: false });
  // A token is back, but a message that was sent later must not be published earlier.
  clock.ms += 300;
  assertEquals(publish(), { retryAfterMs: 700, isFirst: false, isExcessive: false });
  clock.ms += 700;
  for (let i = 0; i < 20; i++) assertEquals(publish(), undefined);
  assertEquals(publish()?.isFirst, true);
});

Deno.test("refusals for ten seconds are too many, unless the client waits as it is told", () => {
  for (const pauseMs of [499, 500]) {
    const { clock, publish } = makeBudget({ maxMessagesPerSecond: 20 });
    let refusal: ReturnType<typeof publish>;
    // In each second, the client sends at once, and then again after a part of the time.
    for (let second = 0; second <= 10; second++) {
      for (const ms of [0, 1_000 - pauseMs]) {
        clock.ms = second * 1_000 + ms;
        for (let i = 0; i < 60; i++) refusal = publish();
        assertEquals(refusal!.isExcessive, pauseMs === 499 && second === 10);
      }
    }
  }
});

Deno.test("300 messages pass, if what was refused is sent again when the client is told", () => {
  const { clock, publish } = makeBudget({ maxMessagesPerSecond: 20 });
  let rest = 300;
  for (let rounds = 0; rest > 0; rounds++) {
    assert(rounds < 15);
    const refusals = Array.from({ length: rest }, () => publish()).filter((one) => one);
    assert(!refusals.some((refusal) => refusal!.isExcessive), `after ${clock.ms} ms`);
    rest = refusals.length;
    clock.ms += refusals.at(-1)?.retryAfterMs ?? 0;
  }
});

Deno.test("a line waits for a token, for its bytes, and for those of its address", () => {
  const lines = makeBudget({ maxLinesPerSecond: 10 }).budget;
  for (let i = 0; i < 100; i++) assertEquals(lines.takeLine(5_000), 0);
  assertEquals([lines.takeLine(0), lines.msUntilHalfFull()], [100, 5_000]);

  const bytes = makeBudget({ maxBytesPerSecond: 10 }).budget;
  for (let i = 0; i < 4; i++) assertEquals(bytes.takeLine(20), 0);
  assertEquals([bytes.takeLine(7), bytes.msUntilHalfFull()], [700, 4_000]);

  const shared = makeBudget({}, { lines: new TokenBucket(1, 10) }).budget;
  for (let i = 0; i < 10; i++) assertEquals(shared.takeLine(5_000), 0);
  assertEquals([shared.takeLine(0), shared.msUntilHalfFull()], [1_000, 5_000]);

  const address = { bytes: new TokenBucket(10, 8) };
  const [one, two] = [1, 2].map(() => makeBudget({}, address).budget);
  for (const budget of [one, two, one, two]) assertEquals(budget.takeLine(20), 0);
  assertEquals([one.takeLine(7), two.takeLine(8), two.msUntilHalfFull()], [700, 800, 4_000]);
});

Deno.test("the first message of a room is taken from what the address may send", () => {
  const waits = [0, 700];
  const { clock, publish } = makeBudget({}, { takeNewRoom: () => waits.shift()! });
  assertEquals(publish(true), undefined);
  assertEquals(publish(), undefined);
  assertEquals(publish(true), { retryAfterMs: 700, isFirst: true, isExcessive: false });
  assertEquals(publish(true)?.isFirst, false);
  clock.ms += 700;
  waits.push(0);
  assertEquals(publish(true), undefined);
});

Deno.test("a message costs its address its line and 500 bytes, for each who receives it", () => {
  const charged: number[] = [];
  const waits = [0, 0, 3_000];
  const takeDelivery = (bytes: number) => (charged.push(bytes), waits.shift()!);
  const { publish } = makeBudget({}, { takeDelivery });
  assertEquals([publish(false, 1), publish(false, 1_000)], [undefined, undefined]);
  assertEquals(publish(false, 2), { retryAfterMs: 3_000, isFirst: true, isExcessive: false });
  assertEquals(publish(false, 2)?.isFirst, false);
  assertEquals(charged, [501, 501_000, 1_002]);
});

Deno.test("a user is typing once in three seconds, at the cost of its deliveries", () => {
  const charged: number[] = [];
  let waitMs = 0;
  const takeDelivery = (bytes: number) => (charged.push(bytes), waitMs);
  const { clock, budget } = makeBudget({}, { takeDelivery });
  const type = (atMs: number) => {
    clock.ms = atMs;
    budget.takeLine(17);
    return budget.takeTyping(2);
  };
  assertEquals([0, 1_500, 2_999, 3_000, 5_999].map(type), [true, false, false, true, false]);
  waitMs = 100;
  assertEquals(type(6_000), false);
  waitMs = 0;
  assertEquals([6_100, 9_099].map(type), [true, false]);
  assertEquals(charged, [1_034, 1_034, 1_034, 1_034]);
});

Deno.test("a client is told of the limits that there are", () => {
  assertEquals(JSON.stringify(makeBudget({}).budget.rates), "{}");
  const { rates } = makeBudget({ maxMessagesPerSecond: 20, maxBytesPerSecond: 1_000 }).budget;
  assertEquals(rates, {
    ...{ messagesPerSecond: 20, messagesBurst: 40 },
    ...{ bytesPerSecond: 1_000, bytesBurst: 8_000 },
  });
});

Deno.test("a removal costs what Redis writes anew", () => {
  const MIB = 1024 * 1024;
  for (const [historyBytes, cost] of [[16 * MIB, 16 * MIB], [0, 4 * MIB]]) {
    let delivered = 0;
    const takeDelivery = (bytes: number) => (delivered += bytes, 0);
    const { budget, publish } = makeBudget({ historyBytes }, { takeDelivery });
    publish(false, 0);
    assertEquals([budget.takeMessage(false, 0, true), delivered], [undefined, cost]);
  }
});

Deno.test("while too much of an address waits, a client may have a message waiting", () => {
  const limits = readConfig({ LIMITS: "on", MAX_ADDRESS_BYTES_PER_SECOND: "100000" });
  const address = new AddressBudgets(limits).of("one");
  const [busy, quiet] = [1, 2].map(() => new SessionBudget(limits, address));
  const areTooMuch = () => [busy, quiet].map((budget) => budget.isTooMuchWaiting);
  quiet.addWaiting(1, 65_636);
  busy.addWaiting(50, 125_468);
  assertEquals(areTooMuch(), [false, false]);
  busy.addWaiting(0, 1);
  assertEquals(areTooMuch(), [true, false]);
  busy.clearWaiting();
  assertEquals([...areTooMuch(), busy.waitingBytes], [false, false, 0]);
});

Deno.test("after an address had too much waiting, each of its clients may have a message", () => {
  const clock = { ms: 0 };
  const limits = readConfig({ LIMITS: "on" });
  const address = new AddressBudgets(limits, () => clock.ms).of("one");
  const client = new SessionBudget(limits, address, () => clock.ms);
  client.addWaiting(40, 0);
  address.chargeExcess();
  client.addWaiting(1, 0);
  assertEquals(client.isTooMuchWaiting, false);
  address.beStrict();
  assertEquals(client.isTooMuchWaiting, true);
  client.addWaiting(-1, 0);
  assertEquals(client.isTooMuchWaiting, false);
  client.addWaiting(1, 0);
  clock.ms = 9_999;
  assertEquals(client.isTooMuchWaiting, true);
  // Whoever is disconnected meanwhile does not prolong it.
  address.beStrict();
  clock.ms = 10_000;
  assertEquals(client.isTooMuchWaiting, false);
  // Without the limit of bytes, nothing changes.
  const unlimited = new AddressBudgets(readConfig({ LIMITS: "off" }), () => clock.ms).of("one");
  unlimited.beStrict();
  assertEquals(unlimited.isTooMuchWaiting, false);
});

Deno.test("at most 1,024 frames of a client wait, if its lines have a limit", () => {
  for (const maxLinesPerSecond of [0, 1]) {
    const { budget } = makeBudget({ maxLinesPerSecond });
    budget.addWaiting(1_024, 1);
    assertEquals(budget.isTooMuchWaiting, false);
    budget.addWaiting(1, 1);
    assertEquals(budget.isTooMuchWaiting, maxLinesPerSecond === 1);
  }
});
