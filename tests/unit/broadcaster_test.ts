import { assert, assertEquals } from "@std/assert";
import type { RoomEvent } from "../../chat/protocol/events.ts";
import type { Member } from "../../chat/rooms/member.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import type { Protocol } from "../../chat/protocol/protocol.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { Room } from "../../chat/rooms/room.ts";
import { NO_MODERATION } from "../support/member.ts";
import { endOfTurn, until } from "../support/wait.ts";

/** A room whose members record every frame, and whose messages get one id after the other. */
function makeRoom(maxFlushMs = 20) {
  let clockOffsetMs = 0;
  const room = new Room({ maxFlushMs, now: () => performance.now() + clockOffsetMs });
  const members = new Map<string, Member>();
  let published = 0;
  function receive(event: RoomEvent): void {
    room.handleEvent(event, JSON.stringify(event));
  }
  return {
    room,
    receive,
    /** Lets the room's clock jump ahead. */
    passTime: (milliseconds: number) => clockOffsetMs += milliseconds,
    /** @param milliseconds how long each delivery keeps the process busy */
    join(user: string, protocol: Protocol, milliseconds = 0): string[] {
      const frames: string[] = [];
      const member: Member = {
        ...{ user, protocol, id: user, maxDevices: 1 },
        ...NO_MODERATION,
        onJoined() {},
        deliver(frame) {
          frames.push(frame);
          for (const end = performance.now() + milliseconds; performance.now() < end;);
        },
        onNameLost() {},
      };
      members.set(user, member);
      room.reserve(member);
      receive({ type: "joined", user, session: user, users: 1 });
      return frames;
    },
    member: (user: string): Member => members.get(user)!,
    leave(user: string): void {
      room.remove(members.get(user)!);
    },
    publish(user: string, text: string): void {
      receive({ type: "message", id: `${published + 1}-0`, prev: `${published++}-0`, user, text });
    },
  };
}

/** What each frame has in it, in short. */
function short(frames: string[]): string[] {
  return frames.map((frame) =>
    frame.split("\n").map((line) => {
      const event = JSON.parse(line);
      return event.text ?? `${event.type} ${event.user}`;
    }).join(" + ")
  );
}

Deno.test("events of one turn share a frame for JSON, but not for text clients", async () => {
  const { join, publish, receive } = makeRoom();
  const program = join("program", JSON_LINES);
  const person = join("person", TEXT);
  publish("person", "one");
  publish("program", "two");
  receive({ type: "left", user: "someone" });
  assertEquals(program, []);
  await endOfTurn();
  publish("person", "three");
  await endOfTurn();
  assertEquals(short(program), ["joined person + one + two + left someone", "three"]);
  assertEquals(person, ["program: two", "someone: has left the chat!"]);
});

Deno.test("a newcomer receives only the part of a frame that follows its join", async () => {
  const { join, publish } = makeRoom();
  const first = join("first", JSON_LINES);
  publish("first", "one");
  const second = join("second", JSON_LINES);
  const third = join("third", JSON_LINES);
  publish("first", "two");
  await endOfTurn();
  assertEquals(short(first), ["one + joined second + joined third + two"]);
  assertEquals(short(second), ["joined third + two"]);
  assertEquals(short(third), ["two"]);
});

Deno.test("an event that excludes a member keeps its place in the others' frame", async () => {
  const { join, publish, receive } = makeRoom();
  const [foo, bar] = [join("foo", JSON_LINES), join("bar", JSON_LINES)];
  await endOfTurn();
  foo.length = 0;
  publish("bar", "one");
  receive({ type: "left", user: "foo" });
  publish("bar", "two");
  receive({ type: "joined", user: "foo", session: "foo", users: 2 });
  publish("bar", "three");
  await endOfTurn();
  assertEquals(short(foo).join(" + "), "one + two + three");
  assertEquals(short(bar).join(" + "), "one + left foo + two + joined foo + three");
});

Deno.test("lines that are too long for one frame are split over several frames", async () => {
  const { join, publish } = makeRoom();
  const frames = join("foo", JSON_LINES);
  for (let i = 0; i < 5; i++) publish("bar", "x".repeat(30_000));
  await until(() => frames.length === 3);
  assertEquals(short(frames).map((frame) => frame.split(" + ").length), [2, 2, 1]);
});

Deno.test("many joins are split over short frames, and messages are not", async () => {
  const { join, receive, publish } = makeRoom();
  const frames = join("foo", JSON_LINES);
  const joinMany = (count: number) => {
    for (let i = 0; i < count; i++) {
      receive({ type: "joined", user: `user-${i}`, session: `${i}`, users: i });
    }
  };
  joinMany(100);
  await until(() => frames.join("\n").split("\n").length === 100);
  assert(frames.length > 4 && frames.every((frame) => frame.length < 1024));
  frames.length = 0;
  publish("bar", "hi");
  joinMany(100);
  await until(() => frames.length > 0);
  assertEquals(frames.map((frame) => frame.split("\n").length), [101]);
});

Deno.test("a busy room batches events of several turns, all and in order", async () => {
  const { join, publish } = makeRoom();
  const all = Array.from({ length: 100 }, (_, i) => join(`user-${i}`, JSON_LINES, 0.05));
  await until(() => all[98].length > 0);
  all.forEach((frames) => frames.length = 0);
  const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  for (const text of texts) {
    publish("someone", text);
    await endOfTurn();
  }
  await until(() => all[99].join().includes(texts[199]));
  for (const frames of all) {
    assertEquals(short(frames).join(" + "), texts.join(" + "));
    assert(frames.length < texts.length / 2, `${frames.length} frames`);
  }
});

/** A room that has learned that a flush is expensive: it may wait 80 ms for messages in flight. */
async function makeRoomThatWaits() {
  const room = makeRoom(1_000);
  const all = Array.from({ length: 400 }, (_, i) => room.join(`user-${i}`, JSON_LINES, 0.05));
  const [first, last] = [all[0], all.at(-1)!];
  for (let i = 1; i <= 12; i++) {
    room.publish("someone", "something");
    await until(() => short(last).join().split("something").length > i);
    // The cost of a flush is measured up to two turns later, and not again within 50 ms.
    for (let turns = 0; turns < 4; turns++) await endOfTurn();
    room.passTime(100);
  }
  all.forEach((frames) => frames.length = 0);
  return { ...room, first, last };
}

Deno.test("an event waits for a message in flight, so that one frame carries both", async () => {
  const { room, publish, last: frames } = await makeRoomThatWaits();
  const { promise, resolve } = Promise.withResolvers<string>();
  room.trackPublish(promise);
  publish("someone", "one");
  await endOfTurn();
  assertEquals(frames, []);
  publish("someone", "two");
  resolve("2-0");
  await until(() => frames.length > 0);
  assertEquals(short(frames), ["one + two"]);
});

Deno.test("a room knows which members will receive the next flush", async () => {
  const { room, join, publish, receive, member } = makeRoom();
  const foo = join("foo", JSON_LINES);
  const bar = join("bar", JSON_LINES);
  join("person", TEXT);
  await endOfTurn();
  const whoIsPending = () =>
    ["foo", "bar", "person"].filter((user) => room.isFlushPendingFor(member(user)));
  assertEquals(whoIsPending(), []);
  publish("foo", "one");
  join("newcomer", JSON_LINES);
  assertEquals(whoIsPending(), ["foo", "bar", "person"]);
  assert(!room.isFlushPendingFor(member("newcomer")), "what came before it is not for a newcomer");
  await endOfTurn();
  assertEquals(
    [foo, bar].map((frames) => short(frames).at(-1)),
    Array(2).fill("one + joined newcomer"),
  );
  receive({ type: "left", user: "foo" });
  assertEquals(whoIsPending(), ["bar", "person"]);
  await endOfTurn();
});

Deno.test("a reply arrives before the flush that waits for it", async () => {
  const { room, publish, member, last } = await makeRoomThatWaits();
  const { promise, resolve } = Promise.withResolvers<string>();
  room.trackPublish(promise);
  publish("someone", "one");
  const isInTime = promise.then(() => room.isFlushPendingFor(member("user-1")));
  await endOfTurn();
  resolve("1-0");
  assert(await isInTime);
  await until(() => last.length > 0);
});

Deno.test("a message waits for another one in flight, also after a reply", async () => {
  const { room, publish, first, last } = await makeRoomThatWaits();
  const answers = [1, 2].map(() => Promise.withResolvers<string>());
  for (const { promise } of answers) room.trackPublish(promise);
  publish("user-0", "one");
  await endOfTurn();
  assertEquals(first, []);
  answers[0].resolve("1-0");
  await endOfTurn();
  assertEquals(first, []);
  publish("user-1", "two");
  answers[1].resolve("2-0");
  await until(() => last.length > 0);
  assertEquals(short(first), ["one + two"]);
});

Deno.test("an event does not wait long for a message that never arrives", async () => {
  const { room, join, publish } = makeRoom();
  const frames = join("foo", JSON_LINES);
  await endOfTurn();
  room.trackPublish(new Promise(() => {}));
  publish("bar", "one");
  await until(() => frames.length > 0);
  assertEquals(short(frames), ["one"]);
});

/** So long that a flush to 100 members takes several portions of half a mebibyte. */
const LONG = "x".repeat(20_000);

/** A room whose 100 members are being sent a long message: not all of them have it yet. */
async function startLongFlush() {
  const room = makeRoom();
  const all = Array.from({ length: 100 }, (_, i) => room.join(`user-${i}`, JSON_LINES));
  await until(() => all[98].length > 0);
  all.forEach((frames) => frames.length = 0);
  room.publish("someone", LONG);
  await Promise.resolve();
  return { room, all };
}

Deno.test("events during a long flush follow it, once and in order for every member", async () => {
  const { room: { publish }, all } = await startLongFlush();
  assertEquals([all[0].length, all[99].length], [1, 0], "not everyone is sent it in one turn");
  publish("someone", "two");
  publish("someone", "three");
  await until(() => all[99].join().includes("three"));
  for (const frames of all) {
    assertEquals(short(frames).join(" + "), [LONG, "two", "three"].join(" + "));
  }
});

Deno.test("a member who joins during a long flush receives nothing of it", async () => {
  const { room: { join, receive }, all } = await startLongFlush();
  const newcomer = join("newcomer", JSON_LINES);
  receive({ type: "left", user: "someone" });
  await until(() => newcomer.length > 0);
  assertEquals(short(newcomer), ["left someone"]);
  assertEquals(short(all[99]).join(" + "), [LONG, "joined newcomer", "left someone"].join(" + "));
});

Deno.test("during a long flush, an event is left out only for the excluded member", async () => {
  const { room: { publish, receive }, all } = await startLongFlush();
  publish("someone", "two");
  receive({ type: "left", user: "user-99" });
  publish("someone", "three");
  receive({ type: "joined", user: "user-99", session: "user-99", users: 100 });
  await until(() => all[99].length > 1);
  assertEquals(short(all[99]), [LONG, "two + three"]);
  assertEquals(short(all[98]), [LONG, "two + left user-99 + three + joined user-99"]);
});

Deno.test("a flush to many text clients yields between portions and keeps the order", async () => {
  const { join, publish } = makeRoom();
  const all = Array.from({ length: 500 }, (_, i) => join(`user-${i}`, TEXT));
  await until(() => all[498].length > 0);
  all.forEach((frames) => frames.length = 0);
  for (const text of ["one", "two", "three"]) publish("user-0", text);
  await Promise.resolve();
  assertEquals(all[1], ["user-0: one", "user-0: two", "user-0: three"]);
  assertEquals(all[499], [], "not everyone is told in one turn");
  publish("user-499", "four");
  await until(() => all[498].length === 4);
  assertEquals(all[0], ["user-499: four"]);
  assertEquals(all[499], ["user-0: one", "user-0: two", "user-0: three"]);
  for (const frames of all.slice(1, 499)) {
    assertEquals(frames, [...all[499], "user-499: four"]);
  }
});

Deno.test("a room is overloaded while a flush takes more than ten seconds", async () => {
  const { room: { room, passTime }, all } = await startLongFlush();
  assertEquals(room.isOverloaded, false);
  passTime(10_001);
  assertEquals(room.isOverloaded, true);
  await until(() => all[99].length > 0);
  assertEquals(room.isOverloaded, false);
});

Deno.test("no member is sent more than one frame's worth in a turn", async () => {
  for (const protocol of [JSON_LINES, TEXT]) {
    const { join, publish } = makeRoom();
    const frames = join("foo", protocol);
    await endOfTurn();
    const texts = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(10_000, "x"));
    for (const text of texts) publish("bar", text);
    const lengths: number[] = [];
    for (let length = 0; !frames.join().includes(texts[59]); await endOfTurn()) {
      const { length: now } = frames.join("");
      if (now > length) lengths.push(now - length);
      length = now;
    }
    assert(Math.max(...lengths) < 65_536, `${lengths}`);
    const received = frames.join("\n").split("\n").map((line) => line.match(/\d+x+/)![0]);
    assertEquals(received, texts);
  }
});

Deno.test("a member who joins while many events wait receives only later ones", async () => {
  const { join, publish } = makeRoom();
  join("foo", JSON_LINES);
  await endOfTurn();
  for (let i = 0; i < 10; i++) publish("bar", `${i}`.padEnd(10_000, "x"));
  const newcomer = join("newcomer", JSON_LINES);
  publish("bar", "hi");
  await until(() => newcomer.length > 0);
  assertEquals(short(newcomer), ["hi"]);
});

Deno.test("no reply waits for the end of a long flush", async () => {
  const { room: { room, publish, member }, all } = await startLongFlush();
  publish("someone", "two");
  assert(!room.isFlushPendingFor(member("user-0")));
  await until(() => all[99].join().includes("two"));
});

Deno.test("a member who leaves during a long flush receives nothing more", async () => {
  const { room: { leave }, all } = await startLongFlush();
  leave("user-98");
  await until(() => all[99].length > 0);
  assertEquals([all[97].length, all[98].length, all[99].length], [1, 0, 1]);
});

Deno.test("with MAX_FLUSH_MS=0, events of one turn still share a frame", async () => {
  const { room, join, publish } = makeRoom(0);
  const frames = join("foo", JSON_LINES);
  await endOfTurn();
  room.trackPublish(new Promise(() => {}));
  publish("bar", "one");
  publish("bar", "two");
  await endOfTurn();
  assertEquals(short(frames), ["one + two"]);
});

Deno.test("a batch delay ends as soon as the usual number of messages has arrived", async () => {
  const { join, publish } = makeRoom(1_000);
  const all = Array.from({ length: 100 }, (_, i) => join(`user-${i}`, JSON_LINES, 0.1));
  await until(() => all[98].length > 0);
  const frames = all[99];
  frames.length = 0;
  /** Four users publish as soon as they have received the messages before. */
  async function talk(rounds: number, name: string): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < 4; i++) publish("someone", `${name} ${round}.${i}`);
      await until(() => frames.join().includes(`${name} ${round}.3`));
    }
  }
  await talk(8, "warm-up");
  // From here on no pause ends by itself; none of these is one that has to be whole.
  const { setTimeout } = globalThis;
  let pauses = 0;
  globalThis.setTimeout = (() => pauses++) as never;
  try {
    await talk(12, "round");
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assert(pauses > 0, "there was no pause");
});
