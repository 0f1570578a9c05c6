import { assert, assertEquals } from "@std/assert";
import { EVENT_MARK, type Message } from "../../chat/protocol/events.ts";
import { isLater } from "../../chat/protocol/ids.ts";
import { RoomSubscription } from "../../chat/store/redis/room_subscription.ts";
import { type DeliveredMessage, isSameMessage, type Log } from "../../chat/store/redis/log.ts";
import { type RoomListener, StoreUnavailable } from "../../chat/store/store.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { Room } from "../../chat/rooms/room.ts";
import { NO_MODERATION } from "../support/member.ts";
import { makeRandom } from "../support/random.ts";
import { endOfTurn, sleep, until } from "../support/wait.ts";

function message(
  n: number,
  prev = n - 1,
  text = `message ${n}`,
): { event: Message; line: string } {
  const event: Message = {
    ...{ type: "message", id: `${n}-0`, prev: `${prev}-0`, user: "foo", text },
  };
  return { event, line: JSON.stringify(event) };
}

const HIGHEST_POSSIBLE = "1700000000000-0";

const joined = (user: string) => JSON.stringify({ type: "joined", user, session: "s", users: 1 });

/** A subscription on a fake log that a test fills, and what it has delivered. */
function makeSubscription(
  onEvent?: RoomListener["onEvent"],
  onInterrupted?: RoomListener["onInterrupted"],
) {
  const logged: { event: Message; line: string }[] = [];
  const delivered: string[] = [];
  let failures = 0;
  let reads = 0;
  let duringPing = () => {};
  const log = {
    newest() {
      if (failures-- > 0) return Promise.reject(new StoreUnavailable("unavailable"));
      return Promise.resolve(logged.at(-1)?.event.id ?? "0-0");
    },
    readFrom(_room: string, position: string, count: number) {
      reads++;
      if (failures-- > 0) return Promise.reject(new StoreUnavailable("unavailable"));
      return Promise.resolve(
        logged.filter(({ event }) => !isLater(position, event.id)).slice(0, count),
      );
    },
    findLast: (_room: string, delivered: readonly DeliveredMessage[]) =>
      Promise.resolve(
        logged.findLast(({ event }) => delivered.some((one) => isSameMessage(event, one)))
          ?.event.id,
      ),
    readBefore: (_room: string, id: string, count: number) =>
      Promise.resolve(logged.filter(({ event }) => isLater(id, event.id)).slice(-count)),
    mayHaveExpired: (id: string) => id === "0-0",
    mayHaveBeenLeft: () => false,
    highestPossibleId: () => HIGHEST_POSSIBLE,
  } as unknown as Log;
  const source = {
    ping() {
      duringPing();
      return Promise.resolve();
    },
  };
  const subscription = new RoomSubscription("r", log, source, {
    onEvent(event, line) {
      onEvent?.(event, line);
      const user = "user" in event ? ` ${event.user}` : "";
      if (event.type === "resync") {
        delivered.push(`${event.gap ? "gap" : "resync"} after ${event.last}`);
      } else delivered.push("text" in event ? event.text : event.type + user);
    },
    onNameLost() {},
    onInterrupted,
  });
  return {
    subscription,
    /** Receives a payload with events, each given as its line. */
    receive: (...lines: string[]) => subscription.handlePayload(EVENT_MARK + lines.join("\n")),
    logged,
    delivered,
    /** Makes the next reads of the log fail. */
    failReads: (times: number) => failures = times,
    countReads: () => reads,
    /** Runs while a gap fill awaits its ping: what the channel receives then. */
    whilePinging: (body: () => void) => duringPing = body,
  };
}

function texts(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `message ${from + i}`);
}

Deno.test("an event of an unknown type is delivered unless it is far too long", async () => {
  const { subscription, delivered } = makeSubscription();
  await subscription.start();
  const unknown = (text: string) => `${EVENT_MARK}${JSON.stringify({ type: "blob", text })}`;
  subscription.handlePayload(unknown("x".repeat(70_000)));
  subscription.handlePayload(unknown("short"));
  subscription.close();
  assertEquals(delivered, ["unknown"]);
});

Deno.test("a subscription delivers what follows the newest message at its start", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(1), message(2));
  receive(message(2).line);
  assertEquals(await subscription.start(), "2-0");
  receive(message(1).line);
  logged.push(message(3));
  receive(message(3).line);
  receive(joined("bar"));
  subscription.handlePayload("a foreign line");
  await endOfTurn();
  assertEquals(delivered, ["message 3", "joined bar", "a foreign line"]);
});

Deno.test("a payload with the mark has an event a line; any other is a notice", async () => {
  const { subscription, receive, delivered } = makeSubscription();
  await subscription.start();
  receive(message(1).line, joined("bar"), message(2).line);
  receive(
    '{"type":"left","user":1}',
    '{"type":"reacted"}',
    "",
    message(3).line,
    '{"type":"resync"}',
  );
  for (const payload of ["two\nlines", message(4).line, ` ${EVENT_MARK}${message(4).line}`, ""]) {
    subscription.handlePayload(payload);
  }
  assertEquals(delivered, [
    ...["message 1", "joined bar", "message 2", "unknown", "message 3"],
    ...["two\nlines", message(4).line, ` ${EVENT_MARK}${message(4).line}`, ""],
  ]);
});

Deno.test("a payload of very many lines that are no events is not read to its end", async () => {
  const { subscription, receive, delivered } = makeSubscription();
  await subscription.start();
  receive(...Array(99).fill("{"), message(1).line);
  receive(...Array(100).fill("{"), message(2).line);
  const start = performance.now();
  receive("\n".repeat(1_000_000));
  assert(performance.now() - start < 1_000);
  assertEquals(delivered, ["message 1"]);
});

Deno.test("a listener makes up for an interruption before the messages it missed", async () => {
  const told: string[] = [];
  let isDenied = false;
  const { subscription, receive, logged, delivered } = makeSubscription(undefined, (last) => {
    if (isDenied) return Promise.reject(new StoreUnavailable("denied"));
    told.push(`after ${last}, ${delivered.length} delivered`);
    return Promise.resolve();
  });
  logged.push(message(1));
  await subscription.start();
  logged.push(message(2));
  await subscription.resync();
  logged.push(message(3));
  receive(message(3).line);
  isDenied = true;
  logged.push(message(4));
  const made = subscription.resync();
  await until(() => delivered.length === 3);
  logged.push(message(5));
  receive(message(5).line);
  isDenied = false;
  // The timer of `made` alone does not keep the process alive.
  await until(() => told.length === 2, 20);
  await made;
  subscription.close();
  assertEquals(delivered, texts(2, 5));
  // What is not logged may have been missed since the last message before the interruption.
  assertEquals(told, ["after 1-0, 0 delivered", "after 3-0, 4 delivered"]);
});

Deno.test("after several interruptions, a listener is told again of one, each second", async () => {
  const told: string[] = [];
  let isDenied = true;
  const { subscription, logged } = makeSubscription(undefined, (last) => {
    told.push(`after ${last}`);
    return isDenied ? Promise.reject(new StoreUnavailable("denied")) : Promise.resolve();
  });
  logged.push(message(1));
  await subscription.start();
  const made: Promise<void>[] = [];
  for (let i = 0; i < 5; i++) {
    made.push(subscription.resync());
    await sleep(20);
  }
  // Each of the former ones may tell it once more.
  await sleep(1_500);
  told.length = 0;
  await sleep(2_000);
  assert(told.length <= 2, `${told}`);
  isDenied = false;
  // Their timers do not keep the test running.
  await Promise.all([...made, sleep(1_500)]);
  subscription.close();
  assertEquals(new Set(told), new Set(["after 1-0"]));
});

Deno.test("a gap before a payload of several events is filled in order", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  for (let n = 1; n <= 4; n++) logged.push(message(n));
  receive([2, 3, 4].map((n) => message(n).line).join("\n"));
  await endOfTurn();
  assertEquals(delivered, texts(1, 4));
});

Deno.test("a gap is filled before later events are delivered, none of them twice", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  for (let n = 1; n <= 250; n++) logged.push(message(n));
  receive(message(1).line);
  receive(message(249).line);
  receive(joined("bar"));
  receive(message(250).line);
  receive(message(249).line);
  assertEquals(delivered, ["message 1"]);
  await subscription.fillGap();
  assertEquals(delivered, [...texts(1, 249), "joined bar", "message 250"]);
});

Deno.test("a resync delivers what was published meanwhile, in its place", async () => {
  const { subscription, receive, logged, delivered, whilePinging } = makeSubscription();
  await subscription.start();
  receive(message(1).line);
  for (let n = 1; n <= 5; n++) logged.push(message(n));
  // The log has these two messages already when it is read; the channel delivers them later.
  whilePinging(() => {
    receive(joined("bar"));
    receive(message(4).line);
    receive(message(5).line);
    whilePinging(() => {});
  });
  await subscription.resync();
  assertEquals(delivered, [...texts(1, 3), "joined bar", "message 4", "message 5"]);
});

Deno.test("failed reads are retried, and the start is the newest message then", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription();
  logged.push(message(1));
  failReads(1);
  assertEquals(await subscription.start().catch(({ message }) => message), "unavailable");
  receive(joined("bar"));
  await subscription.resync();
  logged.push(message(2), message(3));
  failReads(2);
  receive(message(3).line);
  await subscription.resync();
  assertEquals(delivered, ["message 2", "message 3"]);
});

Deno.test("failed reads are retried less and less often", async () => {
  const { subscription, countReads, failReads } = makeSubscription();
  await subscription.start();
  failReads(Infinity);
  subscription.resync();
  await sleep(2_000);
  subscription.close();
  assert(countReads() < 10, `the log was read ${countReads()} times`);
});

Deno.test("after a loss of the log's end, what was not received may be missing", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  for (let n = 1; n <= 5; n++) receive(message(n).line);
  logged.push(message(1), message(2), message(3));
  await subscription.resync();
  // A new message whose id is not later than the ids that the log has lost.
  logged.push(message(4, 3, "other"));
  receive(message(4, 3, "other").line);
  await endOfTurn();
  assertEquals(delivered, [...texts(1, 5), "gap after 5-0", "resync after 3-0", "other"]);
});

Deno.test("a loss of the log's end while everything was received leaves no gap", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  for (let n = 1; n <= 3; n++) receive(message(n).line);
  receive(message(5, 3).line, message(6).line);
  logged.push(message(1), message(2), message(3), message(4));
  receive(message(4).line);
  await endOfTurn();
  const expected = [...texts(1, 3), ...texts(5, 6), "resync after 3-0", "message 4"];
  assertEquals(delivered, expected);
});

Deno.test("a log that was deleted or began anew is followed", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  receive(message(5, 0).line);
  await subscription.resync();
  logged.push(message(2, 0), message(3, 2));
  receive(message(2, 0).line, message(3, 2).line);
  await endOfTurn();
  assertEquals(delivered, [
    ...["message 5", "gap after 5-0", "resync after 0-0", "message 2", "message 3"],
  ]);
});

Deno.test("a lower id is delivered, although a higher one follows what was delivered", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(108, 107));
  await subscription.start();
  receive(message(111, 108).line);
  // Another instance has not heard 111 before the log was lost.
  logged.splice(0, 1, message(109, 108), message(112, 111));
  receive(message(109, 108).line);
  receive(message(112, 111).line);
  await endOfTurn();
  assertEquals(delivered, [
    ...["message 111", "gap after 108-0", "message 109", "gap after 111-0", "message 112"],
  ]);
});

Deno.test("a log that has only older messages is followed from its end on", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(5));
  await subscription.start();
  logged.splice(0, 1, message(3), message(4));
  // One that is in the log is no new one for that.
  receive(message(3).line);
  await endOfTurn();
  logged.push(message(5, 4, "other"));
  receive(message(5, 4, "other").line);
  assertEquals(delivered, ["gap after 4-0", "other"]);
});

Deno.test("a message that was deleted at the head of the log leaves no gap", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  receive(message(1).line);
  logged.push(message(2), message(3));
  receive(message(3).line);
  await endOfTurn();
  assertEquals(delivered, texts(1, 3));
});

Deno.test("after an interruption, what a room lost before its first message is told", async () => {
  for (const isInterrupted of [false, true]) {
    const { subscription, receive, logged, delivered } = makeSubscription();
    await subscription.start();
    if (isInterrupted) await subscription.resync();
    logged.push(message(8));
    receive(message(8).line);
    await endOfTurn();
    assertEquals(delivered, [`${isInterrupted ? "gap" : "resync"} after 7-0`, "message 8"]);
  }
});

Deno.test("what was received and lost before it was delivered is told, or delivered", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  failReads(1);
  receive(message(5, 1).line);
  // It seems to follow the last one, and the next ones do not follow it.
  receive(message(2, 1).line, message(3, 2).line);
  logged.length = 0;
  await subscription.fillGap();
  assertEquals(delivered, ["message 5", "gap after 5-0"]);
  receive(message(9, 5).line, joined("bar"));
  logged.push(message(12, 11));
  // These were received in order, and the log has only the last one.
  receive(message(11, 10).line, message(12, 11).line);
  receive(message(10, 9).line);
  await endOfTurn();
  assertEquals(delivered.slice(2), ["message 9", "joined bar", "gap after 11-0", "message 12"]);
});

/** What `publish.lua` appends after a loss: its instance may not have heard what the log has. */
function doubtful(n: number, prev: number) {
  const event: Message = { ...message(n, prev).event, id: `${n}-1000000000` };
  return { event, line: JSON.stringify(event) };
}

Deno.test("what was lost before a message whose instance had not heard it is told", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  // Another program put 2 into the log, and the log was deleted after 3 was published.
  logged.splice(0, 1, message(4, 1));
  receive(message(3).line, joined("bar"), message(4, 1).line);
  await endOfTurn();
  assertEquals(delivered, ["joined bar", "gap after 1-0", "message 4"]);
});

Deno.test("what was lost before a log began anew is told, even ids of the future", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  // Another program put such an id into the log before.
  const far = { ...message(2).event, id: "99999999999999-1" };
  logged.splice(0, 1, message(9, 0));
  receive(JSON.stringify(far), message(9, 0).line);
  await endOfTurn();
  assertEquals(delivered, ["resync after 0-0", "gap after 0-0", "message 9"]);
});

Deno.test("an entry that the next message does not know is delivered before it, once", async () => {
  const { subscription, receive, logged, delivered, whilePinging } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  logged.push(message(3), message(4, 9));
  // For the script, what another program put there is no message: cjson reads less than JSON.parse.
  whilePinging(() => {
    whilePinging(() => {});
    logged.push(message(5, 3));
    receive(message(5, 3).line);
  });
  receive(message(3).line);
  await endOfTurn();
  logged.push(message(6));
  receive(message(6).line);
  await endOfTurn();
  assertEquals(delivered.filter((text) => text.startsWith("message")), texts(3, 6));
});

Deno.test("what follows a lost end of the log proves no gap, in the log or received", async () => {
  for (const isInLog of [true, false]) {
    const { subscription, receive, logged, delivered } = makeSubscription();
    logged.push(message(3));
    await subscription.start();
    // The log has lost it and gone on with others, which it has not any more.
    logged.length = 0;
    if (isInLog) logged.push(doubtful(4, 3));
    logged.push(message(6));
    const resynced = subscription.resync();
    receive(doubtful(4, 3).line, message(6).line);
    await resynced;
    assertEquals(delivered, ["gap after 3-0", "message 4", "gap after 5-0", "message 6"]);
  }
});

Deno.test("what was received after a loss, and has left the log, proves no gap", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription();
  logged.push(message(5));
  await subscription.start();
  failReads(1);
  // Another instance, which had heard nothing, begins the log anew.
  receive(message(3, 0).line, doubtful(7, 5).line, message(9).line);
  logged.splice(0, 1, message(9));
  await subscription.fillGap();
  assertEquals(delivered, ["gap after 5-0", "message 7", "gap after 8-0", "message 9"]);
});

Deno.test("what proves no gap, and comes while the log is read, is looked for there", async () => {
  const { subscription, receive, logged, delivered, whilePinging } = makeSubscription();
  logged.push(message(5));
  await subscription.start();
  whilePinging(() => {
    whilePinging(() => {});
    logged.push(doubtful(7, 5));
    receive(doubtful(7, 5).line);
  });
  await subscription.fillGap();
  assertEquals(delivered, ["message 7"]);
});

Deno.test("who joins while the log is followed anew is not told of a lost position", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  receive(message(9, 1).line);
  failReads(1);
  receive(message(2, 0).line, joined("bar"), message(3).line);
  logged.splice(0, 1, message(3));
  await subscription.fillGap();
  assertEquals(delivered, ["message 9", "gap after 2-0", "joined bar", "message 3"]);
});

Deno.test("received messages of which the log has only the last are delivered", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  failReads(1);
  const filled = subscription.resync();
  receive(message(2).line, joined("bar"), message(3).line, message(4).line);
  logged.push(message(4));
  await filled;
  assertEquals(delivered, ["message 2", "joined bar", "message 3", "message 4"]);
});

Deno.test("an id that Redis cannot have given is delivered only if the log has it", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  receive(message(1).line);
  const far = (id: string) => ({ ...message(2, 1, id).event, id });
  const ids = ["99999999999999-1", "1700000000000-1", "9999999999999-0"];
  for (const id of ids) receive(JSON.stringify(far(id)));
  logged.push(message(1));
  await endOfTurn();
  assertEquals(delivered, ["message 1"]);
  const event = far(ids[0]);
  logged.push({ event, line: JSON.stringify(event) });
  receive(JSON.stringify(event));
  await endOfTurn();
  assertEquals(delivered, ["message 1", ids[0]]);
});

Deno.test("a message whose id is not higher is delivered only if the log has it", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(5));
  await subscription.start();
  receive(message(2, 5).line);
  receive(message(5, 5).line);
  await endOfTurn();
  assertEquals(delivered, []);
  assertEquals(subscription.seen, { last: "5-0", highest: "5-0" });
});

Deno.test("another message with an id that was delivered is delivered", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  logged.push(message(1));
  await subscription.start();
  receive(message(2).line, message(3).line);
  const others = [message(2, 1, "other 2"), message(3, 2, "other 3")];
  logged.push(...others);
  receive(...others.map(({ line }) => line));
  await endOfTurn();
  assertEquals(delivered, [...texts(2, 3), "resync after 1-0", "other 2", "other 3"]);
});

Deno.test("a message that was removed is the same one, and comes without its text", async () => {
  const { subscription, receive, logged, delivered, whilePinging } = makeSubscription();
  const removed = ({ event }: { event: Message }) => {
    const place: Message = { ...event, text: "", removed: true };
    return { event: place, line: JSON.stringify(place) };
  };
  const removal = (id: string) => JSON.stringify({ type: "removed", id, by: "ann" });
  await subscription.start();
  receive(message(1).line, removal("1-0"));
  // The room misses the second message, and the third one is removed before the log is read.
  logged.push(removed(message(1)), message(2), removed(message(3)), message(4));
  whilePinging(() => receive(removal("3-0"), message(4).line));
  receive(message(3).line);
  await endOfTurn();
  assertEquals(delivered, [
    ...["message 1", "removed", "message 2", "", "removed", "message 4"],
  ]);
  subscription.close();
});

Deno.test("a large gap is filled in bursts, with pauses between them", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  for (let n = 1; n <= 20; n++) {
    const { event } = message(n);
    logged.push({ event, line: "x".repeat(64 * 1024) });
  }
  const filled = subscription.fillGap();
  receive(message(20).line);
  await endOfTurn();
  assertEquals(delivered.length, 1);
  await filled;
  assertEquals(delivered, texts(1, 20));
});

Deno.test("a gap that has left the log is skipped, and the rest is delivered", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  receive(message(1).line);
  logged.push(message(8), message(9));
  receive(message(9).line);
  await endOfTurn();
  assertEquals(delivered, ["message 1", "gap after 7-0", "message 8", "message 9"]);
  receive(message(10).line);
  assertEquals(delivered.at(-1), "message 10");
});

Deno.test("a gap fill that is superseded in its first pause does not stop the room", async () => {
  const { subscription, receive, logged, delivered, failReads } = makeSubscription(({ type }) => {
    if (type === "joined") setTimeout(() => subscription.resync());
  });
  logged.push(message(5));
  await subscription.start();
  failReads(1);
  receive(message(7).line);
  // None of what was delivered is left.
  logged.splice(0, 1, message(3), message(9, 5));
  receive(joined("x".repeat(64 * 1024)), message(9, 5).line);
  await until(() => delivered.includes("message 9"));
  assertEquals(delivered.map((text) => text.slice(0, 11)), [
    ...["gap after 5", "joined xxxx", "message 9"],
  ]);
  subscription.close();
});

Deno.test("a closed subscription delivers nothing, also during a gap fill", async () => {
  const { subscription, receive, logged, delivered } = makeSubscription();
  await subscription.start();
  logged.push(message(1), message(2));
  receive(message(2).line);
  subscription.close();
  await endOfTurn();
  receive(message(3).line);
  assertEquals(delivered, []);
});

Deno.test("a subscription that buffers too much drops that, and reads the log anew", async () => {
  for (const [filler, times] of [[joined("bar"), 100_000], [joined("x".repeat(2 ** 20)), 20]]) {
    const { subscription, receive, logged, delivered, whilePinging } = makeSubscription();
    logged.push(message(1));
    await subscription.start();
    whilePinging(() => {
      whilePinging(() => {});
      receive(joined("early"));
      for (let i = 0; i < +times; i++) receive(`${filler}`);
      logged.push(message(4), message(5));
      receive(message(4).line, message(5).line, joined("late"));
    });
    logged.push(message(2), message(3));
    receive(message(3).line);
    await until(() => delivered.includes("joined late"));
    assertEquals(delivered.filter((text) => text.startsWith("message")), texts(2, 5));
    assert(!delivered.includes("joined early") && delivered.length < +times);
    subscription.close();
    for (let i = 0; i < +times; i++) receive(`${filler}`);
    assertEquals(delivered.at(-1), "joined late");
  }
});

/** Returns up to three lines, each an event of which something was replaced or lost. */
function makePayload(random: () => number): string {
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)];
  const value = () =>
    pick<unknown>([
      ...["message", "joined", "left", "notice", "toString", "__proto__", "foo", "user of ", ""],
      ...["0-0", "1-0", "2-0", "999999999999999-1", "-", "\ud800", "a\nb", "\0", ["1-0"], ["left"]],
      ...[0, -1, 1.5, 1e99, true, null, [], {}, { toString: "1-0" }],
    ]);
  const fields = ["type", "id", "prev", "user", "text", "ref", "session", "users", "__proto__"];
  const line = () => {
    let json = pick([message(Math.floor(random() * 9)).line, joined("foo"), `{"type":"left"}`]);
    // A second field of the same name replaces the first.
    while (random() < 0.5) {
      json = json.replace(/}$/, `,"${pick(fields)}":${JSON.stringify(value())}}`);
    }
    if (random() < 0.8) return json;
    const at = Math.floor(random() * json.length);
    return json.slice(0, at) + pick(["", "\n", '"', "]", "\u2028", "\ud800"]) + json.slice(at + 1);
  };
  return Array.from({ length: Math.ceil(random() * 3) }, line).join(pick(["\n", "\n", "\r\n", ""]));
}

Deno.test("nothing that somebody publishes throws, or stops the events that follow", async () => {
  const random = makeRandom(1);
  const frames: string[] = [];
  const room = new Room({ maxFlushMs: 20, now: () => performance.now() });
  const members = [TEXT, JSON_LINES].map((protocol) => ({
    ...{ user: `user of ${protocol.name}`, id: `session of ${protocol.name}`, protocol },
    maxDevices: 1,
    ...NO_MODERATION,
    onJoined() {},
    deliver: (frame: string) => frames.push(frame),
    onNameLost() {},
  }));
  const { subscription, receive, delivered } = makeSubscription((event, line) => {
    if (event.type !== "unknown") {
      assertEquals(JSON.parse(line), JSON.parse(JSON.stringify(event)), "the line is the event");
    }
    room.handleEvent(event, line);
  });
  await subscription.start();
  for (const member of members) {
    room.reserve(member);
    const { user, id: session } = member;
    receive(JSON.stringify({ type: "joined", user, session, users: 2 }));
  }
  for (let n = 0; n < 20_000; n++) {
    receive(makePayload(random));
    if (n % 100 === 0) await endOfTurn();
  }
  subscription.handlePayload("the end");
  while (!frames.includes("the end")) await endOfTurn();
  assert(delivered.length > 5_000, `${delivered.length} events were delivered`);
});
