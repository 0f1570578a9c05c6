import { assert, assertEquals } from "@std/assert";
import { FlushScheduler } from "../../chat/rooms/flush_scheduler.ts";

/** The pace of so many members who take 10 microseconds each, learned from as many measurements as it takes. */
function makePace(members: number) {
  const pace = new FlushScheduler(20);
  for (let i = 0; i < 50; i++) pace.recordCost(members / 100, members);
  let now = 0;
  return {
    pace,
    /** Flushes so many times, so many milliseconds after the time before. */
    flush(times: number, apart: number, frames: number, isAfterPause = false) {
      const cameInPause = isAfterPause ? frames - 1 : undefined;
      for (let i = 0; i < times; i++) pace.recordFlush(now += apart, frames, frames, cameInPause);
    },
  };
}

Deno.test("patience is four flushes, and never longer than the longest that something may wait", () => {
  const { pace } = makePace(1_000);
  assertEquals(pace.maxWaitMs(100).toFixed(3), "4.000");
  assertEquals(pace.maxWaitMs(1_000), 20);
});

Deno.test("one measurement that is far off is not believed at once", () => {
  const { pace } = makePace(100);
  pace.recordCost(6_000, 100);
  assert(pace.maxWaitMs(100) < 10, `${pace.maxWaitMs(100)} ms`);
});

Deno.test("a pause takes two flushes, up to the longest, where sending would take a quarter of the time", () => {
  const { pace, flush } = makePace(500);
  flush(100, 21, 1);
  assertEquals(pace.batchDelayMs(500), 0);
  flush(100, 19, 1);
  assertEquals(pace.batchDelayMs(500).toFixed(3), "10.000");
  assertEquals(pace.batchDelayMs(5_000), 20);
});

Deno.test("a room that was quiet for hours is busy after a few flushes", () => {
  const { pace, flush } = makePace(500);
  flush(20, 3_600_000, 1);
  assertEquals(pace.batchDelayMs(500), 0);
  let flushes = 0;
  for (; pace.batchDelayMs(500) === 0 && flushes < 100; flushes++) flush(1, 5, 1);
  assert(flushes < 50, `${flushes} flushes`);
});

Deno.test("a write is not believed to be dearer than any is", () => {
  const { pace } = makePace(2);
  for (let i = 0; i < 100; i++) pace.recordCost(20, 2);
  assert(pace.maxWaitMs(2) < 1, `${pace.maxWaitMs(2)} ms`);
});

Deno.test("a pause that no timer can keep is none", () => {
  const { pace, flush } = makePace(50);
  flush(100, 1, 10);
  assertEquals(pace.batchDelayMs(50), 0);
});

Deno.test("after pauses in which nothing was joined they get rarer, until one is worth it again", () => {
  const { pace, flush } = makePace(500);
  flush(100, 5, 1);
  /** How many flushes come before the next pause. */
  function untilPause(): number {
    let flushes = 0;
    for (; pace.batchDelayMs(500) === 0; flushes++) flush(1, 5, 1);
    return flushes;
  }
  const rarer = Array.from({ length: 7 }, () => {
    flush(1, 5, 1, true);
    return untilPause();
  });
  assertEquals(rarer, [1, 3, 7, 15, 31, 31, 31]);
  flush(1, 5, 2, true);
  assertEquals(untilPause(), 0);
});

Deno.test("a pause is over when as much was said as usual, and soon when less is usual than was", () => {
  const { pace, flush } = makePace(500);
  flush(1, 10, 32, true);
  assert(!pace.isBatchComplete(31));
  assert(pace.isBatchComplete(32));
  flush(40, 10, 8, true);
  assert(pace.isBatchComplete(8));
  assert(!pace.isBatchComplete(7));
});

Deno.test("one of 32 pauses is not over before its time, whatever was said", () => {
  const { pace, flush } = makePace(500);
  const isOver = Array.from({ length: 64 }, () => {
    const isComplete = pace.isBatchComplete(100);
    flush(1, 10, 8, true);
    return isComplete;
  });
  const whole = isOver.flatMap((isOver, i) => isOver ? [] : i);
  assertEquals(whole, [0, 32]);
});

Deno.test("those who join answer nothing: there is no number of them after which a pause is over", () => {
  const { pace } = makePace(500);
  for (let i = 1; i < 100; i++) pace.recordFlush(i * 10, 10, 0, 9);
  assert(!pace.isBatchComplete(0));
});

Deno.test("what had happened before a pause is not what came of it", () => {
  const { pace, flush } = makePace(500);
  flush(100, 5, 1);
  assert(pace.batchDelayMs(500) > 0);
  pace.recordFlush(505, 2, 2, 1);
  assert(pace.batchDelayMs(500) > 0);
  pace.recordFlush(510, 2, 2, 0);
  assertEquals(pace.batchDelayMs(500), 0);
});
