import { assert, assertEquals } from "@std/assert";
import { Pace } from "../chat/pace.ts";

/** What so many members cost who take 10 microseconds each, learned from as many measurements as it takes. */
function makePace(members: number, longest = 20): Pace {
  const pace = new Pace(longest);
  for (let i = 0; i < 50; i++) pace.noteCost(members / 100, members);
  return pace;
}

/** Flushes one after the other, so many milliseconds apart. */
function flush(pace: Pace, times: number, apart: number, frames: number, isAfterPause = false) {
  for (let i = 1; i <= times; i++) pace.note(i * apart, frames, frames, isAfterPause);
}

Deno.test("patience is four flushes, and never longer than the longest that something may wait", () => {
  const pace = makePace(1_000);
  assertEquals(pace.patience(100).toFixed(3), "4.000");
  assertEquals(pace.patience(1_000), 20);
});

Deno.test("one measurement that is far off is not believed at once", () => {
  const pace = makePace(100);
  pace.noteCost(6_000, 100);
  assert(pace.patience(100) < 10, `${pace.patience(100)} ms`);
});

Deno.test("a room that is quiet gets no pause, a busy one gets two flushes, up to the longest", () => {
  const pace = makePace(500);
  flush(pace, 100, 1_000, 1);
  assertEquals(pace.pause(500), 0);
  flush(pace, 100, 10, 2);
  assertEquals(pace.pause(500).toFixed(3), "10.000");
  assertEquals(pace.pause(5_000), 20);
});

Deno.test("a pause that no timer can keep is none", () => {
  const pace = makePace(50);
  flush(pace, 100, 1, 10);
  assertEquals(pace.pause(50), 0);
});

Deno.test("after pauses in which nothing was joined they get rarer, until one is worth it again", () => {
  const pace = makePace(500);
  flush(pace, 100, 5, 1);
  /** How many flushes come before the next pause. */
  function untilPause(): number {
    let flushes = 0;
    for (; pace.pause(500) === 0; flushes++) flush(pace, 1, 5, 1);
    return flushes;
  }
  const rarer = Array.from({ length: 7 }, () => {
    flush(pace, 1, 5, 1, true);
    return untilPause();
  });
  assertEquals(rarer, [1, 3, 7, 15, 31, 31, 31]);
  flush(pace, 1, 5, 2, true);
  assertEquals(untilPause(), 0);
});

Deno.test("a pause is over when as much was said as usual, and soon when less is usual than was", () => {
  const pace = makePace(500);
  flush(pace, 1, 10, 32, true);
  assert(!pace.isComplete(31));
  assert(pace.isComplete(32));
  flush(pace, 100, 10, 8, true);
  assert(pace.isComplete(9));
  assert(!pace.isComplete(7));
});

Deno.test("one of 32 pauses is not over before its time, whatever was said", () => {
  const pace = makePace(500);
  const isOver = Array.from({ length: 64 }, () => {
    const isComplete = pace.isComplete(100);
    flush(pace, 1, 10, 8, true);
    return isComplete;
  });
  const whole = isOver.flatMap((isOver, i) => isOver ? [] : i);
  assertEquals(whole, [0, 32]);
});

Deno.test("those who join answer nothing: there is no number of them after which a pause is over", () => {
  const pace = makePace(500);
  for (let i = 1; i < 100; i++) pace.note(i * 10, 10, 0, true);
  assert(!pace.isComplete(0));
});
