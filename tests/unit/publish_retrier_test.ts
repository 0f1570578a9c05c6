import { assert, assertEquals, assertRejects } from "@std/assert";
import { type PendingAppend, PublishRetrier } from "../../chat/store/redis/publish_retrier.ts";
import { OutOfOrder, StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";
import { sleep } from "../support/wait.ts";

const UNKNOWN = new StoreOutcomeUnknown("the connection broke");

/** A log, and messages that append a text to it after a number of failures. */
function makeLog() {
  const log: string[] = [];
  let isPresent = true;
  return {
    log,
    leave: () => isPresent = false,
    message: (text: string, failures = 0): PendingAppend => ({
      isSenderPresent: () => isPresent,
      append() {
        if (failures-- > 0) return Promise.reject(new StoreUnavailable("still down"));
        log.push(text);
        return Promise.resolve(`id of ${text}`);
      },
    }),
  };
}

Deno.test("a sender's messages are retried in their order, until each has an id", async () => {
  const retrier = new PublishRetrier();
  const { log, message } = makeLog();
  const ids = [
    retrier.retry("r:foo", message("a", 2), UNKNOWN),
    retrier.retry("r:foo", message("b"), UNKNOWN),
    retrier.retry("r:foo", message("c", 1), UNKNOWN),
  ];
  assertEquals(await Promise.all(ids), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
});

Deno.test("a sender's later messages wait, also one sent as the retries end", async () => {
  const retrier = new PublishRetrier();
  const { log, message } = makeLog();
  const retried = retrier.retry("r:foo", message("a"), UNKNOWN);
  const queued = retrier.enqueue("r:foo", message("b"));
  const next = retried.then(() =>
    retrier.isRetrying("r:foo") ? retrier.enqueue("r:foo", message("c")) : message("c").append()
  );
  assert(!retrier.isRetrying("r:bar"), "another sender does not wait");
  assertEquals(await Promise.all([retried, queued, next]), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
  assert(!retrier.isRetrying("r:foo"));
});

Deno.test("after the deadline retries stop, and queued messages are appended", async () => {
  const retrier = new PublishRetrier();
  const { log, message } = makeLog();
  let isUp = false;
  const appendWhenUp = (text: string) => ({
    isSenderPresent: () => true,
    append: () => message(text, isUp ? 0 : 1).append(),
  });
  const retried = [
    retrier.retry("r:foo", appendWhenUp("a"), UNKNOWN),
    retrier.retry("r:foo", appendWhenUp("b"), UNKNOWN),
  ];
  const queued = retrier.enqueue("r:foo", message("c"));
  for (const id of retried) {
    await assertRejects(() => id, StoreOutcomeUnknown, "the connection broke");
  }
  assertEquals(await queued, "id of c");
  isUp = true;
  // Longer than the time between two attempts.
  await sleep(300);
  assertEquals(log, ["c"]);
});

Deno.test("when a sender leaves, the retries end, and the queue is rejected", async () => {
  const retrier = new PublishRetrier();
  const { log, message, leave } = makeLog();
  const retried = retrier.retry("r:foo", message("a"), UNKNOWN);
  const queued = retrier.enqueue("r:foo", message("b"));
  leave();
  await Promise.all([
    assertRejects(() => retried, StoreOutcomeUnknown, "the connection broke"),
    assertRejects(() => queued, StoreUnavailable, "left"),
  ]);
  assertEquals(log, []);
  assert(!retrier.isRetrying("r:foo"));
});

Deno.test("a retry ends when the message before it is not in the log", async () => {
  const retrier = new PublishRetrier();
  const { log, message } = makeLog();
  let attempts = 0;
  const refused = {
    ...message("a"),
    append() {
      attempts++;
      return Promise.reject(new OutOfOrder());
    },
  };
  const retried = retrier.retry("r:foo", refused, UNKNOWN);
  const queued = retrier.enqueue("r:foo", message("b"));
  // An earlier attempt may still be on its way.
  await assertRejects(() => retried, StoreOutcomeUnknown, "the connection broke");
  assertEquals(await queued, "id of b");
  assertEquals([attempts, log], [1, ["b"]]);
});
