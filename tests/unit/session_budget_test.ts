import { assertEquals } from "@std/assert";
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
  function publish(opensRoom = false) {
    assertEquals(budget.takeLine(1), 0);
    return budget.takeMessage(opensRoom);
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

Deno.test("refusals for ten seconds are too many, unless five seconds pass without one", () => {
  for (const pauseMs of [5_000, 5_001]) {
    const { clock, publish } = makeBudget({ maxMessagesPerSecond: 1 });
    let refusal: ReturnType<typeof publish>;
    const refuse = () => {
      while (!(refusal = publish()));
    };
    refuse();
    for (let i = 0; i < 99; i++) {
      clock.ms += 50;
      refuse();
    }
    clock.ms += pauseMs;
    refuse();
    assertEquals(refusal!.isExcessive, false);
    clock.ms += 50;
    refuse();
    assertEquals(refusal!.isExcessive, pauseMs === 5_000);
  }
});

Deno.test("a line waits for a token, for its bytes, and for its address's bytes", () => {
  const lines = makeBudget({ maxLinesPerSecond: 10 }).budget;
  for (let i = 0; i < 100; i++) assertEquals(lines.takeLine(5_000), 0);
  assertEquals([lines.takeLine(0), lines.msUntilHalfFull()], [100, 5_000]);

  const bytes = makeBudget({ maxBytesPerSecond: 10 }).budget;
  for (let i = 0; i < 4; i++) assertEquals(bytes.takeLine(20), 0);
  assertEquals([bytes.takeLine(7), bytes.msUntilHalfFull()], [700, 4_000]);

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

Deno.test("a client is told of the limits that there are", () => {
  assertEquals(JSON.stringify(makeBudget({}).budget.rates), "{}");
  const { rates } = makeBudget({ maxMessagesPerSecond: 20, maxBytesPerSecond: 1_000 }).budget;
  assertEquals(rates, {
    ...{ messagesPerSecond: 20, messagesBurst: 40 },
    ...{ bytesPerSecond: 1_000, bytesBurst: 8_000 },
  });
});
