import { assert, assertEquals } from "@std/assert";
import { TokenBucket } from "../../chat/protocol/token_bucket.ts";

Deno.test("a token bucket starts full, and fills at its rate up to its burst", () => {
  const bucket = new TokenBucket(10, 0.3);
  assert([0, 0, 0].every((now) => bucket.take(1, now)));
  assert(!bucket.take(1, 99));
  assertEquals(bucket.msUntil(1, 99), 1);
  assert(bucket.take(1, 100));
  assert(bucket.msUntil(bucket.burst, 399) > 0);
  assertEquals(bucket.msUntil(bucket.burst, 400), 0);
  assert(bucket.take(3, 10_000));
  assert(!bucket.take(1, 10_000));
});

Deno.test("what costs more than a full bucket is taken when it is full, and paid back", () => {
  const bucket = new TokenBucket(10, 0.3);
  assert(bucket.take(5, 0));
  assertEquals(bucket.msUntil(1, 0), 300);
  assertEquals(bucket.msUntil(5, 0), 500);
  assert(!bucket.take(5, 499));
  assert(bucket.take(5, 500));
});

Deno.test("a rate of 0 is no limit", () => {
  const bucket = new TokenBucket(0, 2);
  assert(bucket.take(1e9, 0));
  assertEquals(bucket.msUntil(1e9, 0), 0);
  assertEquals(bucket.msUntil(bucket.burst, 0), 0);
});
