import { assert, assertEquals, assertRejects } from "@std/assert";
import { PublishRetrier } from "../../chat/store/redis/publish_retrier.ts";
import { OutOfOrder, StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";
import { sleep } from "../support/wait.ts";

const UNKNOWN = new StoreOutcomeUnknown("the connection broke");

/** A log, and functions that append a text to it after a number of failures. */
function makeLog() {
  const log: string[] = [];
  return {
    log,
    append: (text: string, failures = 0) => (): Promise<string> => {
      if (failures-- > 0) return Promise.reject(new StoreUnavailable("still down"));
      log.push(text);
      return Promise.resolve(`id of ${text}`);
    },
  };
}

Deno.test("a sender's messages are retried in their order, until each has an id", async () => {
  const retrier = new PublishRetrier();
  const { log, append } = makeLog();
  const ids = [
    retrier.retry("r:foo", append("a", 2), UNKNOWN),
    retrier.retry("r:foo", append("b"), UNKNOWN),
    retrier.retry("r:foo", append("c", 1), UNKNOWN),
  ];
  assertEquals(await Promise.all(ids), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
});

Deno.test("a sender's later messages wait, also one sent as the retries end", async () => {
  const retrier = new PublishRetrier();
  const { log, append } = makeLog();
  const retried = retrier.retry("r:foo", append("a"), UNKNOWN);
  const queued = retrier.enqueue("r:foo", append("b"));
  const next = retried.then(() =>
    retrier.isRetrying("r:foo") ? retrier.enqueue("r:foo", append("c")) : append("c")()
  );
  assert(!retrier.isRetrying("r:bar"), "another sender does not wait");
  assertEquals(await Promise.all([retried, queued, next]), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
  assert(!retrier.isRetrying("r:foo"));
});

Deno.test("after the deadline retries stop, and queued messages are appended", async () => {
  const retrier = new PublishRetrier();
  const { log, append } = makeLog();
  let isUp = false;
  const appendWhenUp = (text: string) => () => append(text, isUp ? 0 : 1)();
  const retried = [
    retrier.retry("r:foo", appendWhenUp("a"), UNKNOWN),
    retrier.retry("r:foo", appendWhenUp("b"), UNKNOWN),
  ];
  const queued = retrier.enqueue("r:foo", append("c"));
  for (const id of retried) {
    await assertRejects(() => id, StoreOutcomeUnknown, "the connection broke");
  }
  assertEquals(await queued, "id of c");
  isUp = true;
  // Longer than the time between two attempts.
  await sleep(300);
  assertEquals(log, ["c"]);
});

Deno.test("when a sender leaves, the queue is rejected and the retries go on", async () => {
  const retrier = new PublishRetrier();
  const { log, append } = makeLog();
  const retried = retrier.retry("r:foo", append("a"), UNKNOWN);
  const queued = retrier.enqueue("r:foo", append("b"));
  retrier.rejectQueued("r:foo");
  await assertRejects(() => queued, StoreUnavailable, "left");
  assertEquals(await retried, "id of a");
  assertEquals(log, ["a"]);
});

Deno.test("a retry ends when the message before it is not in the log", async () => {
  const retrier = new PublishRetrier();
  const { log, append } = makeLog();
  let attempts = 0;
  const retried = retrier.retry("r:foo", () => {
    attempts++;
    return Promise.reject(new OutOfOrder());
  }, UNKNOWN);
  const queued = retrier.enqueue("r:foo", append("b"));
  // An earlier attempt may still be on its way.
  await assertRejects(() => retried, StoreOutcomeUnknown, "the connection broke");
  assertEquals(await queued, "id of b");
  assertEquals([attempts, log], [1, ["b"]]);
});
