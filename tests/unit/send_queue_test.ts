import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChatError } from "../../chat/client/chat_error.ts";
import { SendQueue } from "../../chat/client/send_queue.ts";
import type { ErrorCode } from "../../chat/protocol/errors.ts";
import { makeRandom } from "../support/random.ts";

const END = new ChatError("closed", "end of the test");

interface Line {
  readonly text: string;
  readonly ref: string;
  readonly after?: string;
}

/** The texts of lines, each with the text of the one that it is after. */
function chain(lines: readonly Line[], all: readonly Line[] = lines): string[] {
  const textOf = (ref: string | undefined) => all.find((line) => line.ref === ref)?.text;
  return lines.map(({ text, after }) => `${text} after ${textOf(after)}`);
}

/** A queue whose frames are recorded, with a clock that the test moves. */
function makeQueue() {
  const frames: (readonly string[])[] = [];
  const clock = { ms: 0 };
  let onFrame = (_: Line[]) => {};
  const queue = new SendQueue(
    (lines) => {
      frames.push(lines);
      onFrame(lines.map((line) => JSON.parse(line)));
    },
    () => clock.ms,
    () => clock.ms,
  );
  return {
    queue,
    clock,
    /** All lines that were sent since the last call. */
    takeLines: (): Line[] => frames.splice(0).flat().map((line) => JSON.parse(line)),
    takeTexts: (): string[] => frames.splice(0).flat().map((line) => JSON.parse(line).text),
    nextFrame: () => new Promise<Line[]>((resolve) => onFrame = resolve),
    /** The same as a server's error reply. */
    fail: (code: ErrorCode, { ref }: Line) =>
      queue.onError({ type: "error", code, message: `${code}!`, ref }),
  };
}

async function assertCode(send: Promise<string>, code: ChatError["code"]): Promise<void> {
  assertEquals((await assertRejects(() => send, ChatError)).code, code);
}

const byteLength = (text: string) => new TextEncoder().encode(text).length;

Deno.test("the queue sends nothing before the welcome, and then everything in order", async () => {
  const { queue, takeLines } = makeQueue();
  const sends = ["one", "two"].map((text) => queue.send(text));
  assertEquals(takeLines(), []);
  queue.onWelcome({});
  sends.push(queue.send("three"));
  const lines = takeLines();
  assertEquals(lines.map(({ text }) => text), ["one", "two", "three"]);
  assertEquals(new Set(lines.map(({ ref }) => ref)).size, 3);
  for (const [i, { ref }] of lines.toReversed().entries()) queue.onAck({ ref, id: `${i}-0` });
  assertEquals(await Promise.all(sends), ["2-0", "1-0", "0-0"]);
  queue.onAck({ ref: lines[0].ref, id: "3-0" });
  queue.onAck({ ref: "unknown", id: "4-0" });
});

Deno.test("at most 64 messages are in flight", () => {
  const { queue, takeLines, takeTexts } = makeQueue();
  queue.onWelcome({});
  for (let i = 0; i < 70; i++) queue.send(`${i}`).catch(() => {});
  const lines = takeLines();
  assertEquals(lines.length, 64);
  queue.onAck({ ref: lines[5].ref, id: "1-0" });
  assertEquals(takeTexts(), ["64"]);
  queue.close(END);
});

Deno.test("the lines in flight, and 100 bytes for each, stay within maxInFlightBytes", () => {
  const { queue, takeLines } = makeQueue();
  queue.send("x".repeat(200)).catch(() => {});
  queue.onWelcome({ maxInFlightBytes: 1_000_000 });
  const [first] = takeLines();
  queue.onConnectionLost();
  const size = byteLength(JSON.stringify({ type: "message", ...first })) + 100;
  for (let i = 0; i < 3; i++) queue.send("é".repeat(100)).catch(() => {});

  queue.onWelcome({ maxInFlightBytes: 3 * size - 1 });
  const [, second, ...others] = takeLines();
  assertEquals([second.text.length, others.length], [100, 0]);
  queue.onAck({ ref: first.ref, id: "1-0" });
  assertEquals(takeLines().length, 1);

  queue.onConnectionLost();
  queue.onWelcome({ maxInFlightBytes: 3 * size });
  assertEquals(takeLines().length, 3);
  queue.close(END);
});

Deno.test("a message whose line just fits into a frame is sent alone", async () => {
  const { queue, takeLines, takeTexts } = makeQueue();
  const long = queue.send("\0".repeat(100));
  queue.send("after it").catch(() => {});
  queue.onWelcome({});
  const [{ ref, text }] = takeLines();
  queue.onConnectionLost();
  const lineBytes = byteLength(JSON.stringify({ type: "message", text, ref }));
  queue.onWelcome({ maxInFlightBytes: lineBytes });
  assertEquals(takeTexts(), [text]);
  queue.onAck({ ref, id: "1-0" });
  assertEquals(await long, "1-0");
  assertEquals(takeTexts(), ["after it"]);
  queue.close(END);
});

Deno.test("what is too large is rejected as soon as the limits are known", async () => {
  const { queue, takeTexts } = makeQueue();
  const waiting = [queue.send("é".repeat(251)), queue.send("\0".repeat(200)), queue.send("a")];
  queue.onWelcome({ maxMessageBytes: 500, maxInFlightBytes: 1_000 });
  await assertCode(waiting[0], "too_large");
  await assertCode(waiting[1], "too_large");
  await assertCode(queue.send("x".repeat(501)), "too_large");
  queue.send("é".repeat(250)).catch(() => {});
  assertEquals(takeTexts(), ["a", "é".repeat(250)]);

  // The server adds 100 bytes to the text itself, which may be more than the rest of the line.
  queue.onConnectionLost();
  queue.onWelcome({ maxMessageBytes: 60, maxInFlightBytes: 120 });
  await assertCode(queue.send("x".repeat(21)), "too_large");
  queue.close(END);
  await assertCode(waiting[2], "unknown");
});

Deno.test("a server that states no limits has the default ones", async () => {
  const { queue, takeTexts } = makeQueue();
  queue.onWelcome({});
  await assertCode(queue.send("x".repeat(65_537)), "too_large");
  for (let i = 0; i < 20; i++) queue.send("x".repeat(65_536)).catch(() => {});
  assertEquals(takeTexts().length, 15);
  queue.close(END);
});

Deno.test("random messages stay within the limits as the server counts", async () => {
  const random = makeRandom(1);
  const below = (most: number) => Math.floor(random() * most);
  for (const maxInFlightBytes of [400, 2_000, 20_000]) {
    const unanswered: Line[] = [];
    const queue = new SendQueue((lines) => {
      assert(byteLength(lines.join("\n")) <= maxInFlightBytes, "the frame is too large");
      unanswered.push(...lines.map((line) => JSON.parse(line)));
      const sum = unanswered.reduce((sum, { text }) => sum + text.length + 100, 0);
      assert(sum <= maxInFlightBytes, "too much is unanswered");
    });
    const features = ["after"];
    queue.onWelcome({ maxMessageBytes: maxInFlightBytes / 2, maxInFlightBytes, features });
    let settled = 0;
    const sends = Array.from({ length: 300 }, () => {
      const text = ["x", "é", "€", "😀", "\0", "\ud800"][below(6)].repeat(below(300));
      return queue.send(text).then(() => settled++, (error) => {
        assertEquals(error.code, "too_large");
        settled++;
      });
    });
    while (unanswered.length > 0) {
      const [{ ref }] = unanswered.splice(below(unanswered.length), 1);
      queue.onAck({ ref, id: "1-0" });
    }
    await Promise.all(sends);
    assertEquals(settled, 300);
  }
});

Deno.test("a new connection first gets what was in flight on the old one", async () => {
  const { queue, takeLines } = makeQueue();
  queue.onWelcome({});
  const sends = ["one", "two"].map((text) => queue.send(text));
  const lines = takeLines();
  queue.onAck({ ref: lines[0].ref, id: "1-0" });
  queue.onConnectionLost();
  sends.push(queue.send("three"));
  assertEquals(takeLines(), []);
  queue.onWelcome({});
  const again = takeLines();
  assertEquals(again[0], lines[1]);
  assertEquals(again.map(({ text }) => text), ["two", "three"]);
  queue.onAck({ ref: again[0].ref, id: "2-0" });
  queue.onAck({ ref: again[1].ref, id: "3-0" });
  assertEquals(await Promise.all(sends), ["1-0", "2-0", "3-0"]);
});

Deno.test("what was not delivered, or may not have been, is retried after a pause", async () => {
  const { queue, takeLines, nextFrame, fail } = makeQueue();
  queue.onWelcome({});
  const sends = ["one", "two", "three"].map((text) => queue.send(text));
  const lines = takeLines();
  fail("not_delivered", lines[0]);
  fail("unknown", lines[1]);
  queue.onAck({ ref: lines[2].ref, id: "3-0" });
  sends.push(queue.send("four"));
  assertEquals(takeLines(), []);
  const retried = await nextFrame();
  assertEquals(retried.map(({ text }) => text), ["one", "two", "four"]);
  assertEquals(retried.slice(0, 2), lines.slice(0, 2));
  for (const [i, { ref }] of retried.entries()) queue.onAck({ ref, id: `${i}-0` });
  assertEquals(await Promise.all(sends), ["0-0", "1-0", "3-0", "2-0"]);
});

Deno.test("a welcome ends the pause before a retry", () => {
  const { queue, takeLines, takeTexts, fail } = makeQueue();
  queue.onWelcome({});
  queue.send("one").catch(() => {});
  fail("not_delivered", takeLines()[0]);
  queue.onConnectionLost();
  queue.onWelcome({});
  assertEquals(takeTexts(), ["one"]);
  queue.close(END);
});

Deno.test("other errors reject their message, and make room for the next one", async () => {
  const { queue, takeLines, takeTexts, fail } = makeQueue();
  queue.onWelcome({});
  const sends = Array.from({ length: 65 }, (_, i) => queue.send(`${i}`));
  const [first] = takeLines();
  fail("bad_message", first);
  const error = await assertRejects(() => sends[0], ChatError, "bad_message!");
  assertEquals(error.code, "bad_message");
  assertEquals(takeTexts(), ["64"]);
  fail("bad_message", { text: "", ref: "unknown" });
  queue.onError({ type: "error", code: "bad_since", message: "about no message" });
  assertEquals(takeTexts(), []);
  queue.close(END);
  const others = await Promise.allSettled(sends.slice(1));
  assert(others.every((send) => send.status === "rejected" && send.reason.code === "unknown"));
});

Deno.test("after 270 seconds what is in doubt is rejected, but not what was refused", async () => {
  const { queue, clock, takeLines, takeTexts, fail } = makeQueue();
  queue.onWelcome({});
  const inDoubt = queue.send("in doubt");
  const refused = queue.send("refused");
  const lines = takeLines();
  fail("unknown", lines[0]);
  fail("not_delivered", lines[1]);
  queue.onConnectionLost();
  clock.ms = 270_000;
  queue.onWelcome({});
  assertEquals(takeTexts(), ["in doubt", "refused"]);
  // The store refuses the retry, but the first attempt is still in doubt.
  fail("not_delivered", lines[0]);
  fail("not_delivered", lines[1]);
  queue.onConnectionLost();
  clock.ms = 270_001;
  queue.onWelcome({});
  await assertCode(inDoubt, "unknown");
  assertEquals(takeTexts(), ["refused"]);
  queue.close(END);
  await assertCode(refused, "unknown");
});

Deno.test("what is in doubt and then too large may have been delivered", async () => {
  const { queue, takeTexts } = makeQueue();
  queue.onWelcome({ maxMessageBytes: 10 });
  const send = queue.send("ten bytes!");
  assertEquals(takeTexts(), ["ten bytes!"]);
  queue.onConnectionLost();
  queue.onWelcome({ maxMessageBytes: 9 });
  await assertCode(send, "unknown");
});

Deno.test("when the queue closes, only what is in doubt may have been delivered", async () => {
  const { queue } = makeQueue();
  const sends = Array.from({ length: 65 }, (_, i) => queue.send(`${i}`));
  queue.onWelcome({});
  queue.close(new ChatError("refused", "not allowed"));
  await assertCode(sends[63], "unknown");
  await assertCode(sends[64], "refused");
  await Promise.allSettled(sends);
});

Deno.test("each message names the one before it that is not answered, if that is offered", () => {
  const { queue, takeLines, fail } = makeQueue();
  for (const text of ["a", "b", "c"]) queue.send(text).catch(() => {});
  queue.onWelcome({ features: ["other"] });
  assertEquals(takeLines().map(({ after }) => after), [undefined, undefined, undefined]);
  queue.onConnectionLost();
  queue.onWelcome({ features: ["other", "after"] });
  const lines = takeLines();
  assertEquals(chain(lines), ["a after undefined", "b after a", "c after b"]);

  queue.onAck({ ref: lines[0].ref, id: "1-0" });
  fail("too_large", lines[1]);
  queue.send("d").catch(() => {});
  lines.push(...takeLines());
  assertEquals(chain(lines.slice(3), lines), ["d after c"]);
  queue.onAck({ ref: lines[2].ref, id: "2-0" });
  queue.onAck({ ref: lines[3].ref, id: "3-0" });
  queue.send("e").catch(() => {});
  assertEquals(chain(takeLines()), ["e after undefined"]);
  queue.close(END);
});

Deno.test("what is sent again names the one before it, in flight or not", async () => {
  const { queue, takeLines, nextFrame, fail } = makeQueue();
  queue.onWelcome({ features: ["after"] });
  for (const text of ["a", "b", "c", "d"]) queue.send(text).catch(() => {});
  const lines = takeLines();
  fail("not_delivered", lines[1]);
  fail("unknown", lines[3]);
  queue.send("e").catch(() => {});
  const again = await nextFrame();
  assertEquals(chain(again, [...lines, ...again]), ["b after a", "d after c", "e after d"]);
  queue.close(END);
});

Deno.test("messages are paced by the rates of the server and half of its bursts", async () => {
  const perSecond = 1_000;
  const rates = [
    { messagesPerSecond: perSecond, messagesBurst: 20 },
    { bytesPerSecond: 1_000 * perSecond, bytesBurst: 40_000 },
  ];
  for (const [i, rate] of rates.entries()) {
    const { queue, clock, takeLines, nextFrame } = makeQueue();
    for (let n = 0; n < 25; n++) queue.send("x".repeat(1_000)).catch(() => {});
    queue.onWelcome(rate);
    const sent = takeLines();
    // A line has about 1,065 bytes, which count as 1,165.
    assertEquals(sent.length, [10, 17][i]);
    for (const { ref } of sent) queue.onAck({ ref, id: "1-0" });
    assertEquals(takeLines(), []);
    clock.ms += 3;
    assertEquals((await nextFrame()).length, [3, 2][i]);
    queue.close(END);
  }
});

Deno.test("what was refused as too many is repeated in order, when the server says", async () => {
  const { queue, clock, takeLines, takeTexts, nextFrame } = makeQueue();
  queue.onWelcome({ features: ["after"] });
  for (const text of ["one", "two", "three"]) queue.send(text).catch(() => {});
  const [one, two, three] = takeLines();
  queue.onAck({ ref: one.ref, id: "1-0" });
  const tooMany = { type: "error", code: "too_many", message: "" } as const;
  const start = performance.now();
  queue.onError({ ...tooMany, ref: two.ref, retryAfterMs: 700 });
  queue.onError({ ...tooMany, ref: three.ref, retryAfterMs: 650 });
  // The shorter pause of another error does not end this one.
  queue.onError({ ...tooMany, retryAfterMs: 10 });
  queue.send("four").catch(() => {});
  assertEquals(takeTexts(), []);
  clock.ms += 700;
  const repeated = await nextFrame();
  assert(performance.now() - start > 600);
  assertEquals(chain(repeated), ["two after undefined", "three after two", "four after three"]);
  assertEquals(repeated.slice(0, 2).map(({ ref }) => ref), [two.ref, three.ref]);
  queue.close(END);
});

Deno.test("a queue sends first what a former one has left, with the same refs", async () => {
  const { queue, clock, takeLines, fail } = makeQueue();
  const stored: string[] = [];
  const later = queue.send("later");
  const left = ["old", "sent", "refused", "not sent"].map((text, i) => ({ text, ref: `r${i}` }));
  clock.ms = 300_001;
  const restored = queue.restore(
    JSON.stringify(left.map((one, i) => ({ ...one, firstSentAt: [30_000, 30_001, 30_001][i] }))),
    (unsent) => stored.push(unsent),
  );
  assertEquals(restored.map(({ text, ref }) => ({ text, ref })), left);
  assertEquals(queue.unsent.map(({ text }) => text), [...left.map(({ text }) => text), "later"]);
  queue.onWelcome({ features: ["after"] });
  // It is too late for the first one: the server may have forgotten its ref.
  await assertCode(restored[0].id, "unknown");
  const lines = takeLines();
  const after = ["sent after undefined", "refused after sent", "not sent after refused"];
  assertEquals(chain(lines), [...after, "later after not sent"]);
  assertEquals(lines.slice(0, 3).map(({ ref }) => ref), ["r1", "r2", "r3"]);
  // The attempt of the former queue may have been delivered.
  fail("bad_message", lines[1]);
  await assertCode(restored[2].id, "unknown");
  queue.onAck({ ref: "r1", id: "1-0" });
  assertEquals(await restored[1].id, "1-0");
  queue.close(END);
  // Nobody has to handle what becomes of the fourth one.
  await assertCode(later, "unknown");
  assertEquals(stored.at(-1), "");
});

Deno.test("a queue stores what is not acknowledged when that has changed", async () => {
  const { queue, clock, takeLines, fail } = makeQueue();
  const stored: string[] = [];
  queue.restore("", (unsent) => stored.push(unsent));
  const takeStored = async () => {
    await Promise.resolve();
    return stored.splice(0).map((unsent) =>
      JSON.parse(unsent).map(({ text, firstSentAt }: { text: string; firstSentAt?: number }) =>
        `${text} ${firstSentAt}`
      )
    );
  };
  await takeStored();
  for (const text of ["one", "two"]) queue.send(text).catch(() => {});
  assertEquals(await takeStored(), [["one undefined", "two undefined"]]);
  clock.ms = 7;
  queue.onWelcome({});
  assertEquals(await takeStored(), [["one 7", "two 7"]]);
  const [one, two] = takeLines();
  fail("not_delivered", two);
  assertEquals(await takeStored(), [["one 7", "two undefined"]]);
  queue.onAck({ ref: one.ref, id: "1-0" });
  assertEquals(await takeStored(), [["two undefined"]]);
  // Of more than 256 KiB, the oldest are stored.
  for (let i = 0; i < 5; i++) queue.send("x".repeat(60_000)).catch(() => {});
  assertEquals((await takeStored())[0].length, 5);
  queue.close(END);
  assertEquals(stored.splice(0), [""]);
  queue.send("after the end").catch(() => {});
  await takeStored();
  assertEquals(stored, []);
  queue.close(END);
});

Deno.test("a queue ignores what it has not stored", () => {
  for (const stored of ["", "{", "null", "{}", "[null]", "7"]) {
    const { queue } = makeQueue();
    assertEquals(queue.restore(stored, () => {}), []);
    assertEquals(queue.unsent, []);
  }
});
