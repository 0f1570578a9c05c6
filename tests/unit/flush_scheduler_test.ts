import { assert, assertEquals } from "@std/assert";
import { FlushScheduler } from "../../chat/rooms/flush_scheduler.ts";

/** A scheduler that has learned that a write to one member takes 10 microseconds. */
function makeScheduler(members: number) {
  const scheduler = new FlushScheduler(20);
  for (let i = 0; i < 50; i++) scheduler.recordCost(members / 100, members);
  let now = 0;
  return {
    scheduler,
    /** Records a number of flushes at regular intervals. */
    flush(times: number, intervalMs: number, messages: number, wasDelayed = false) {
      for (let i = 0; i < times; i++) {
        scheduler.recordFlush(now += intervalMs, messages, messages, wasDelayed);
      }
    },
  };
}

Deno.test("the wait lasts up to four flushes, and never longer than MAX_FLUSH_MS", () => {
  const { scheduler } = makeScheduler(1_000);
  assertEquals(scheduler.maxWaitMs(100).toFixed(3), "4.000");
  assertEquals(scheduler.maxWaitMs(1_000), 20);
});

Deno.test("a single outlier hardly moves the write cost", () => {
  const { scheduler } = makeScheduler(100);
  scheduler.recordCost(6_000, 100);
  assert(scheduler.maxWaitMs(100) < 10, `${scheduler.maxWaitMs(100)} ms`);
});

Deno.test("the batch delay lasts two flushes, and exists only where sending is the main load", () => {
  const { scheduler, flush } = makeScheduler(500);
  flush(100, 21, 1);
  assertEquals(scheduler.batchDelayMs(500), 0);
  flush(100, 19, 1);
  assertEquals(scheduler.batchDelayMs(500).toFixed(3), "10.000");
  assertEquals(scheduler.batchDelayMs(5_000), 20);
});

Deno.test("a room that was quiet for hours counts as busy after a few flushes", () => {
  const { scheduler, flush } = makeScheduler(500);
  flush(20, 3_600_000, 1);
  assertEquals(scheduler.batchDelayMs(500), 0);
  let flushes = 0;
  for (; scheduler.batchDelayMs(500) === 0 && flushes < 100; flushes++) flush(1, 5, 1);
  assert(flushes < 50, `${flushes} flushes`);
});

Deno.test("the write cost has an upper bound", () => {
  const { scheduler } = makeScheduler(2);
  for (let i = 0; i < 100; i++) scheduler.recordCost(20, 2);
  assert(scheduler.maxWaitMs(2) < 1, `${scheduler.maxWaitMs(2)} ms`);
});

Deno.test("a batch delay that is too short for a timer is skipped", () => {
  const { scheduler, flush } = makeScheduler(50);
  flush(100, 1, 10);
  assertEquals(scheduler.batchDelayMs(50), 0);
});

Deno.test("a batch delay ends at the usual number of messages, which adapts", () => {
  const { scheduler, flush } = makeScheduler(500);
  flush(1, 10, 32, true);
  assert(!scheduler.isBatchComplete(31));
  assert(scheduler.isBatchComplete(32));
  flush(40, 10, 8, true);
  assert(scheduler.isBatchComplete(8));
  assert(!scheduler.isBatchComplete(7));
});

Deno.test("one in 32 batch delays runs in full, however many messages arrive", () => {
  const { scheduler, flush } = makeScheduler(500);
  const isOver = Array.from({ length: 64 }, () => {
    const isComplete = scheduler.isBatchComplete(100);
    flush(1, 10, 8, true);
    return isComplete;
  });
  const whole = isOver.flatMap((isOver, i) => isOver ? [] : i);
  assertEquals(whole, [0, 32]);
});

Deno.test("joins do not end a batch delay, because nobody replies to them", () => {
  const { scheduler } = makeScheduler(500);
  for (let i = 1; i < 100; i++) scheduler.recordFlush(i * 10, 10, 0, true);
  assert(!scheduler.isBatchComplete(0));
});
