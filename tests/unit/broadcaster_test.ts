import { assert, assertEquals } from "@std/assert";
import type { Notice, RoomEvent } from "../../chat/protocol/events.ts";
import type { Member } from "../../chat/rooms/member.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import type { Protocol } from "../../chat/protocol/protocol.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { Room } from "../../chat/rooms/room.ts";

/** A room in which one after the other joins who writes down every frame, and what is said has the next id. */
function makeRoom(maxFlushMs = 20) {
  const room = new Room(maxFlushMs);
  const members = new Map<string, Member>();
  let said = 0;
  function hear(event: RoomEvent | Notice): void {
    room.handleEvent(event, JSON.stringify(event));
  }
  return {
    room,
    hear,
    /** @param milliseconds how long each frame keeps the server busy */
    join(user: string, protocol: Protocol, milliseconds = 0): string[] {
      const frames: string[] = [];
      const member: Member = {
        ...{ user, protocol, id: user },
        onJoined() {},
        deliver(frame) {
          frames.push(frame);
          for (const end = performance.now() + milliseconds; performance.now() < end;);
        },
        onNameLost() {},
      };
      members.set(user, member);
      room.reserve(member);
      hear({ type: "joined", user, session: user, users: 1 });
      return frames;
    },
    member: (user: string): Member => members.get(user)!,
    leave(user: string): void {
      room.remove(members.get(user)!);
    },
    say(user: string, text: string): void {
      hear({ type: "message", id: `${said + 1}-0`, prev: `${said++}-0`, user, text });
    },
  };
}

/** What each frame says, in short. */
function short(frames: string[]): string[] {
  return frames.map((frame) =>
    frame.split("\n").map((line) => {
      const event = JSON.parse(line);
      return event.text ?? `${event.type} ${event.user}`;
    }).join(" + ")
  );
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Lets what was sent be written, and the next portion be sent. */
const oneTurn = () => new Promise((resolve) => setImmediate(resolve));

/** As many turns as it takes; fails where that is too many. */
async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 5_000; !isSo(); await oneTurn()) {
    assert(performance.now() < end, "it never happens");
  }
}

Deno.test("what happens in one turn is one frame for programs, and one each for people", async () => {
  const { join, say, hear } = makeRoom();
  const program = join("program", JSON_LINES);
  const person = join("person", TEXT);
  say("person", "one");
  say("program", "two");
  hear({ type: "left", user: "someone" });
  assertEquals(program, []);
  await turn();
  say("person", "three");
  await turn();
  assertEquals(short(program), ["joined person + one + two + left someone", "three"]);
  assertEquals(person, ["program: two", "someone: has left the chat!"]);
});

Deno.test("a newcomer gets of a frame what happened after it came", async () => {
  const { join, say } = makeRoom();
  const first = join("first", JSON_LINES);
  say("first", "one");
  const second = join("second", JSON_LINES);
  const third = join("third", JSON_LINES);
  say("first", "two");
  await turn();
  assertEquals(short(first), ["one + joined second + joined third + two"]);
  assertEquals(short(second), ["joined third + two"]);
  assertEquals(short(third), ["two"]);
});

Deno.test("what one may not hear the others hear in its place", async () => {
  const { join, say, hear } = makeRoom();
  const [foo, bar] = [join("foo", JSON_LINES), join("bar", JSON_LINES)];
  await turn();
  foo.length = 0;
  say("bar", "one");
  hear({ type: "left", user: "foo" });
  say("bar", "two");
  hear({ type: "joined", user: "foo", session: "foo", users: 2 });
  say("bar", "three");
  await turn();
  assertEquals(short(foo).join(" + "), "one + two + three");
  assertEquals(short(bar).join(" + "), "one + left foo + two + joined foo + three");
});

Deno.test("many lines that are too long for one frame are several", async () => {
  const { join, say } = makeRoom();
  const frames = join("foo", JSON_LINES);
  for (let i = 0; i < 5; i++) say("bar", "x".repeat(30_000));
  await turn();
  assertEquals(short(frames).map((frame) => frame.split(" + ").length), [2, 2, 1]);
});

Deno.test("a busy room joins what happens in several turns, and loses and swaps nothing", async () => {
  const { join, say } = makeRoom();
  const all = Array.from({ length: 100 }, (_, i) => join(`user-${i}`, JSON_LINES, 0.05));
  await turn();
  all.forEach((frames) => frames.length = 0);
  const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  for (const text of texts) {
    say("someone", text);
    await oneTurn();
  }
  await until(() => all[99].join().includes(texts[199]));
  for (const frames of all) {
    assertEquals(short(frames).join(" + "), texts.join(" + "));
    assert(frames.length < texts.length / 2, `${frames.length} frames`);
  }
});

/** A full room that has learned what a flush costs, and so that it may wait about 70 ms for what is on its way. */
async function makePatientRoom() {
  const room = makeRoom(1_000);
  const all = Array.from({ length: 400 }, (_, i) => room.join(`user-${i}`, JSON_LINES, 0.05));
  const [first, last] = [all[0], all.at(-1)!];
  for (let i = 1; i <= 12; i++) {
    room.say("someone", "something");
    await until(() => short(last).join().split("something").length > i);
    await turn();
    await turn();
  }
  all.forEach((frames) => frames.length = 0);
  return { ...room, first, last };
}

Deno.test("what happens waits for what is on its way, so that both are one frame", async () => {
  const { room, say, last: frames } = await makePatientRoom();
  const { promise, resolve } = Promise.withResolvers<string>();
  room.trackPublish(promise);
  say("someone", "one");
  await oneTurn();
  assertEquals(frames, []);
  say("someone", "two");
  resolve("2-0");
  await until(() => frames.length > 0);
  assertEquals(short(frames), ["one + two"]);
});

Deno.test("who is about to hear something is known, so that an answer can come with it", async () => {
  const { room, join, say, hear, member } = makeRoom();
  const foo = join("foo", JSON_LINES);
  const bar = join("bar", JSON_LINES);
  join("person", TEXT);
  await turn();
  const whoHears = () => ["foo", "bar", "person"].filter((user) => room.willTell(member(user)));
  assertEquals(whoHears(), []);
  say("foo", "one");
  join("newcomer", JSON_LINES);
  assertEquals(whoHears(), ["foo", "bar", "person"]);
  assert(!room.willTell(member("newcomer")), "what came before it is not for a newcomer");
  await turn();
  assertEquals(
    [foo, bar].map((frames) => short(frames).at(-1)),
    Array(2).fill("one + joined newcomer"),
  );
  hear({ type: "left", user: "foo" });
  assertEquals(whoHears(), ["bar", "person"]);
  await turn();
});

Deno.test("an answer comes in time to be told together with what waits for it", async () => {
  const { room, say, member, last } = await makePatientRoom();
  const { promise, resolve } = Promise.withResolvers<string>();
  room.trackPublish(promise);
  say("someone", "one");
  const isInTime = promise.then(() => room.willTell(member("user-1")));
  await oneTurn();
  resolve("1-0");
  assert(await isInTime);
  await until(() => last.length > 0);
});

Deno.test("what comes after a message that was alone waits for what is on its way again", async () => {
  const { room, hear, say, first, last } = await makePatientRoom();
  const { promise, resolve } = Promise.withResolvers<string>();
  room.trackPublish(promise);
  say("user-0", "one");
  resolve("1-0");
  await until(() => last.length > 0);
  room.trackPublish(new Promise(() => {}));
  hear({ type: "notice", text: "two" });
  await oneTurn();
  assertEquals(short(first), ["one"]);
});

Deno.test("a message that is alone does not wait for its answer", async () => {
  const { room, say, first } = await makePatientRoom();
  room.trackPublish(new Promise(() => {}));
  say("user-0", "one");
  await oneTurn();
  assertEquals(short(first), ["one"]);
});

Deno.test("what others say does not make a message wait that is alone", async () => {
  const { room, say, first, last } = await makePatientRoom();
  room.trackPublish(new Promise(() => {}));
  say("user-0", "one");
  await until(() => last.length > 0);
  say("someone elsewhere", "two");
  await oneTurn();
  assertEquals(short(first), ["one", "two"]);
});

Deno.test("a message waits for another one that is on its way, also if one of them is back", async () => {
  const { room, say, first, last } = await makePatientRoom();
  const answers = [1, 2].map(() => Promise.withResolvers<string>());
  for (const { promise } of answers) room.trackPublish(promise);
  say("user-0", "one");
  await oneTurn();
  assertEquals(first, []);
  answers[0].resolve("1-0");
  await oneTurn();
  assertEquals(first, []);
  say("user-1", "two");
  answers[1].resolve("2-0");
  await until(() => last.length > 0);
  assertEquals(short(first), ["one + two"]);
});

Deno.test("what happens does not wait long for what never comes", async () => {
  const { room, join, say } = makeRoom();
  const frames = join("foo", JSON_LINES);
  await turn();
  room.trackPublish(new Promise(() => {}));
  say("bar", "one");
  await turn();
  assertEquals(short(frames), ["one"]);
});

/** Of 100 members as many hear so long a message in each portion of a flush as make half a mebibyte. */
const LONG = "x".repeat(20_000);

/** A room whose 100 members are being sent a long message: not all of them have it yet. */
async function startLongFlush() {
  const room = makeRoom();
  const all = Array.from({ length: 100 }, (_, i) => room.join(`user-${i}`, JSON_LINES));
  await turn();
  all.forEach((frames) => frames.length = 0);
  room.say("someone", LONG);
  await Promise.resolve();
  return { room, all };
}

Deno.test("what happens while a long flush goes on comes after it, to everyone once and in order", async () => {
  const { room: { say }, all } = await startLongFlush();
  assertEquals([all[0].length, all[99].length], [1, 0], "not everyone is sent it in one turn");
  say("someone", "two");
  say("someone", "three");
  await until(() => all[99].join().includes("three"));
  for (const frames of all) {
    assertEquals(short(frames).join(" + "), [LONG, "two", "three"].join(" + "));
  }
});

Deno.test("who comes while a long flush goes on hears nothing of it", async () => {
  const { room: { join, hear }, all } = await startLongFlush();
  const newcomer = join("newcomer", JSON_LINES);
  hear({ type: "left", user: "someone" });
  await until(() => newcomer.length > 0);
  assertEquals(short(newcomer), ["left someone"]);
  assertEquals(short(all[99]).join(" + "), [LONG, "joined newcomer", "left someone"].join(" + "));
});

Deno.test("what one may not hear is left out of its frame alone, in a long flush too", async () => {
  const { room: { say, hear }, all } = await startLongFlush();
  say("someone", "two");
  hear({ type: "left", user: "user-99" });
  say("someone", "three");
  hear({ type: "joined", user: "user-99", session: "user-99", users: 100 });
  await until(() => all[99].length > 1);
  assertEquals(short(all[99]), [LONG, "two + three"]);
  assertEquals(short(all[98]), [LONG, "two + left user-99 + three + joined user-99"]);
});

Deno.test("what people are told of a full room leaves time for others, and comes in order", async () => {
  const { join, say } = makeRoom();
  const all = Array.from({ length: 500 }, (_, i) => join(`user-${i}`, TEXT));
  await until(() => all[498].length > 0);
  all.forEach((frames) => frames.length = 0);
  for (const text of ["one", "two", "three"]) say("user-0", text);
  await Promise.resolve();
  assertEquals(all[1], ["user-0: one", "user-0: two", "user-0: three"]);
  assertEquals(all[499], [], "not everyone is told in one turn");
  say("user-499", "four");
  await until(() => all[498].length === 4);
  assertEquals(all[0], ["user-499: four"]);
  assertEquals(all[499], ["user-0: one", "user-0: two", "user-0: three"]);
  for (const frames of all.slice(1, 499)) {
    assertEquals(frames, [...all[499], "user-499: four"]);
  }
});

Deno.test("a room is behind when a flush takes more than ten seconds, until it is over", async () => {
  const { room: { room }, all } = await startLongFlush();
  assertEquals(room.isOverloaded, false);
  const { now } = performance;
  performance.now = () => now.call(performance) + 10_000;
  try {
    assertEquals(room.isOverloaded, true);
    await until(() => all[99].length > 0);
    assertEquals(room.isOverloaded, false);
  } finally {
    performance.now = now;
  }
});

Deno.test("of much that waits nobody is sent more in a turn than one frame has", async () => {
  for (const protocol of [JSON_LINES, TEXT]) {
    const { join, say } = makeRoom();
    const frames = join("foo", protocol);
    await turn();
    const texts = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(10_000, "x"));
    for (const text of texts) say("bar", text);
    const lengths: number[] = [];
    for (let length = 0; !frames.join().includes(texts[59]); await oneTurn()) {
      const { length: now } = frames.join("");
      if (now > length) lengths.push(now - length);
      length = now;
    }
    assert(Math.max(...lengths) < 65_536, `${lengths}`);
    const said = frames.join("\n").split("\n").map((line) => line.match(/\d+x+/)![0]);
    assertEquals(said, texts);
  }
});

Deno.test("who comes while much waits hears only what happens from then on", async () => {
  const { join, say } = makeRoom();
  join("foo", JSON_LINES);
  await turn();
  for (let i = 0; i < 10; i++) say("bar", `${i}`.padEnd(10_000, "x"));
  const newcomer = join("newcomer", JSON_LINES);
  say("bar", "hi");
  await until(() => newcomer.length > 0);
  assertEquals(short(newcomer), ["hi"]);
});

Deno.test("no answer that comes during a long flush waits for its end", async () => {
  const { room: { room, say, member }, all } = await startLongFlush();
  say("someone", "two");
  assert(!room.willTell(member("user-0")));
  await until(() => all[99].join().includes("two"));
});

Deno.test("who leaves while a long flush goes on hears nothing more", async () => {
  const { room: { leave }, all } = await startLongFlush();
  leave("user-98");
  await until(() => all[99].length > 0);
  assertEquals([all[97].length, all[98].length, all[99].length], [1, 0, 1]);
});

Deno.test("without time to wait what happens in one turn is one frame all the same", async () => {
  const { room, join, say } = makeRoom(0);
  const frames = join("foo", JSON_LINES);
  await turn();
  room.trackPublish(new Promise(() => {}));
  say("bar", "one");
  say("bar", "two");
  await turn();
  assertEquals(short(frames), ["one + two"]);
});

Deno.test("a pause ends when as much was said as usual", async () => {
  const { join, say } = makeRoom(1_000);
  const frames = Array.from({ length: 100 }, (_, i) => join(`user-${i}`, JSON_LINES, 0.1))[99];
  await turn();
  frames.length = 0;
  /** Four say something as soon as they have heard what was said before. */
  async function talk(rounds: number, name: string): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < 4; i++) say("someone", `${name} ${round}.${i}`);
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
