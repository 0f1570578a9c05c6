import { assert, assertEquals } from "@std/assert";
import type { Message } from "../../chat/protocol/events.ts";
import { isLater } from "../../chat/protocol/ids.ts";
import {
  RoomSubscription,
  type SubscriptionSource,
} from "../../chat/store/redis/room_subscription.ts";
import type { Log } from "../../chat/store/redis/log.ts";

function message(n: number, prev = n - 1): { event: Message; line: string } {
  const event: Message = {
    ...{ type: "message", id: `${n}-0`, prev: `${prev}-0`, user: "foo", text: `message ${n}` },
  };
  return { event, line: JSON.stringify(event) };
}

const joined = (user: string) => JSON.stringify({ type: "joined", user, session: "s", users: 1 });

/** A feed whose log has what a test puts into it, and what its listener heard. */
function makeFeed() {
  const said: { event: Message; line: string }[] = [];
  const heard: string[] = [];
  const brokenOff: string[] = [];
  let failures = 0;
  let beforeAnswer = () => {};
  const log = {
    newest() {
      if (failures-- > 0) return Promise.reject(new Error("away"));
      return Promise.resolve(said.at(-1)?.event.id ?? "0-0");
    },
    readAfter(_room: string, position: string, count: number) {
      const found = said.filter(({ event }) => isLater(event.id, position)).slice(0, count);
      return Promise.resolve(found);
    },
  } as unknown as Log;
  const source: SubscriptionSource = {
    ping() {
      beforeAnswer();
      return Promise.resolve();
    },
    reset: (cause) => brokenOff.push(cause),
  };
  const feed = new RoomSubscription("r", log, source, {
    onEvent: (event) => heard.push("text" in event ? event.text : `${event.type} ${event.user}`),
    onNameLost() {},
  });
  return {
    feed,
    said,
    heard,
    brokenOff,
    /** The log cannot be read so many times. */
    fail: (times: number) => failures = times,
    /** What comes on the channel while the feed waits to have heard everything. */
    meanwhile: (body: () => void) => beforeAnswer = body,
  };
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `message ${from + i}`);
}

/** Long enough for everything that is under way in a feed of this test. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("a feed hands on what comes in a row, and nothing that was said before it began", async () => {
  const { feed, said, heard } = makeFeed();
  said.push(message(1), message(2));
  feed.handlePayload(message(2).line);
  assertEquals(await feed.start(), "2-0");
  feed.handlePayload(message(1).line);
  feed.handlePayload(message(3).line);
  feed.handlePayload(joined("bar"));
  feed.handlePayload("a line from outside");
  assertEquals(heard, ["message 3", "joined bar", "a line from outside"]);
});

Deno.test("a feed takes several events at once, but a line from outside with breaks in it as it is", async () => {
  const { feed, heard } = makeFeed();
  await feed.start();
  feed.handlePayload([message(1).line, joined("bar"), message(2).line].join("\n"));
  const almost = [message(3).line, "not an event", message(4).line].join("\n");
  feed.handlePayload(almost);
  feed.handlePayload(`${joined("foo")}\n`);
  feed.handlePayload("two\nlines");
  assertEquals(heard, [
    ...["message 1", "joined bar", "message 2"],
    ...[almost, `${joined("foo")}\n`, "two\nlines"],
  ]);
});

Deno.test("a feed of which the first of several events is missing hands on all of them in order", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  for (let n = 1; n <= 4; n++) said.push(message(n));
  feed.handlePayload([2, 3, 4].map((n) => message(n).line).join("\n"));
  await turn();
  assertEquals(heard, texts(1, 4));
});

Deno.test("a feed fills a gap before it hands on what is later, and hands on nothing twice", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  for (let n = 1; n <= 250; n++) said.push(message(n));
  feed.handlePayload(message(1).line);
  feed.handlePayload(message(249).line);
  feed.handlePayload(joined("bar"));
  feed.handlePayload(message(250).line);
  feed.handlePayload(message(249).line);
  assertEquals(heard, ["message 1"]);
  await feed.fillGap();
  assertEquals(heard, [...texts(1, 249), "joined bar", "message 250"]);
});

Deno.test("a feed that lost its connection has everything that was said meanwhile, in its place", async () => {
  const { feed, said, heard, meanwhile } = makeFeed();
  await feed.start();
  feed.handlePayload(message(1).line);
  for (let n = 1; n <= 5; n++) said.push(message(n));
  // These two are in the log already when it is read, and heard a little later.
  meanwhile(() => {
    feed.handlePayload(joined("bar"));
    feed.handlePayload(message(4).line);
    feed.handlePayload(message(5).line);
    meanwhile(() => {});
  });
  await feed.resync();
  assertEquals(heard, [...texts(1, 3), "joined bar", "message 4", "message 5"]);
});

Deno.test("a feed tries until the log can be read, and begins with what is newest then", async () => {
  const { feed, said, heard, fail } = makeFeed();
  said.push(message(1));
  fail(1);
  assertEquals(await feed.start().catch(({ message }) => message), "away");
  feed.handlePayload(joined("bar"));
  await feed.resync();
  said.push(message(2), message(3));
  fail(2);
  feed.handlePayload(message(3).line);
  await feed.resync();
  assertEquals(heard, ["message 2", "message 3"]);
});

Deno.test("a feed goes on after a log that lost its end, and tells nothing again", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  for (let n = 1; n <= 5; n++) feed.handlePayload(message(n).line);
  said.push(message(1), message(2), message(3));
  await feed.resync();
  // Another one with an id that is not later than what was lost.
  feed.handlePayload(message(4, 3).line);
  assertEquals(heard, [...texts(1, 5), "message 4"]);
});

Deno.test("a feed goes on after a log that went away or began anew", async () => {
  const { feed, heard } = makeFeed();
  await feed.start();
  feed.handlePayload(message(5, 0).line);
  feed.handlePayload(message(7, 0).line);
  await feed.resync();
  feed.handlePayload(message(2, 0).line);
  assertEquals(heard, ["message 5", "message 7", "message 2"]);
});

Deno.test("a feed hands on much that was missing little by little", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  for (let n = 1; n <= 20; n++) {
    const { event } = message(n);
    said.push({ event, line: "x".repeat(64 * 1024) });
  }
  const filled = feed.fillGap();
  feed.handlePayload(message(20).line);
  await turn();
  assertEquals(heard.length, 1);
  await filled;
  assertEquals(heard, texts(1, 20));
});

Deno.test("a feed whose hole cannot be filled any more hands on what there is", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  feed.handlePayload(message(1).line);
  said.push(message(8), message(9));
  feed.handlePayload(message(9).line);
  await turn();
  assertEquals(heard, ["message 1", "message 8", "message 9"]);
  feed.handlePayload(message(10).line);
  assertEquals(heard.at(-1), "message 10");
});

Deno.test("a feed that ended hands on nothing, also where it was being filled", async () => {
  const { feed, said, heard } = makeFeed();
  await feed.start();
  said.push(message(1), message(2));
  feed.handlePayload(message(2).line);
  feed.close();
  await turn();
  feed.handlePayload(message(3).line);
  assertEquals(heard, []);
});

Deno.test("a feed that waits for the log holds only so much", async () => {
  const MiB = 1024 * 1024;
  for (
    const [line, most] of [[joined("bar"), 6 * MiB], [joined("bar".repeat(MiB)), 20 * MiB]] as const
  ) {
    const { feed, brokenOff } = makeFeed();
    let waiting = 0;
    for (; brokenOff.length === 0; waiting += line.length) {
      assert(waiting < most, `${waiting} characters wait`);
      feed.handlePayload(line);
    }
    assert(waiting > most / 2, `it broke off at ${waiting} characters`);
    assertEquals(brokenOff, ["too much waits for the log"]);
    feed.close();
    await turn();
    feed.handlePayload(line);
    assertEquals(brokenOff.length, 1);
  }
});
