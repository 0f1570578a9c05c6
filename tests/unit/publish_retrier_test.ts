import { assert, assertEquals, assertRejects } from "@std/assert";
import { PublishRetrier } from "../../chat/store/redis/publish_retrier.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";

const LOST = new StoreOutcomeUnknown("the connection broke");

/** Appends that take note of what was appended, and fail as often as they are told to before. */
function makeLog() {
  const log: string[] = [];
  return {
    log,
    append: (text: string, failures = 0) => (): Promise<string> => {
      if (failures-- > 0) return Promise.reject(new StoreUnavailable("still away"));
      log.push(text);
      return Promise.resolve(`id of ${text}`);
    },
  };
}

Deno.test("what was lost is settled in its order, however often it has to be asked for", async () => {
  const settling = new PublishRetrier();
  const { log, append } = makeLog();
  const ids = [
    settling.retry("r:foo", append("a", 2), LOST),
    settling.retry("r:foo", append("b"), LOST),
    settling.retry("r:foo", append("c", 1), LOST),
  ];
  assertEquals(await Promise.all(ids), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
});

Deno.test("what is said before that is settled waits, also what is said the moment it is", async () => {
  const settling = new PublishRetrier();
  const { log, append } = makeLog();
  const lost = settling.retry("r:foo", append("a"), LOST);
  const waits = settling.enqueue("r:foo", append("b"));
  const next = lost.then(() =>
    settling.isRetrying("r:foo") ? settling.enqueue("r:foo", append("c")) : append("c")()
  );
  assert(!settling.isRetrying("r:bar"), "another sender waits for nothing");
  assertEquals(await Promise.all([lost, waits, next]), ["id of a", "id of b", "id of c"]);
  assertEquals(log, ["a", "b", "c"]);
  assert(!settling.isRetrying("r:foo"));
});

Deno.test("what waits goes on when nobody can tell any more", async () => {
  const settling = new PublishRetrier();
  const { log, append } = makeLog();
  const lost = [
    settling.retry("r:foo", append("a", Infinity), LOST),
    settling.retry("r:foo", append("b", Infinity), LOST),
  ];
  const waits = settling.enqueue("r:foo", append("c"));
  for (const one of lost) {
    await assertRejects(() => one, StoreOutcomeUnknown, "the connection broke");
  }
  assertEquals(await waits, "id of c");
  assertEquals(log, ["c"]);
});

Deno.test("what waits of a sender who leaves is refused, and what was lost is settled", async () => {
  const settling = new PublishRetrier();
  const { log, append } = makeLog();
  const lost = settling.retry("r:foo", append("a"), LOST);
  const waits = settling.enqueue("r:foo", append("b"));
  settling.rejectQueued("r:foo");
  await assertRejects(() => waits, StoreUnavailable, "left");
  assertEquals(await lost, "id of a");
  assertEquals(log, ["a"]);
});
