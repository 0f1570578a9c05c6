import { assert, assertEquals } from "@std/assert";
import type { Event, Notice } from "../chat/events.ts";
import type { Member } from "../chat/member.ts";
import { JSON_LINES } from "../chat/protocol/json.ts";
import type { Protocol } from "../chat/protocol/protocol.ts";
import { TEXT } from "../chat/protocol/text.ts";
import { Room } from "../chat/room.ts";

/** A room in which one after the other joins who writes down every frame, and what is said has the next id. */
function makeRoom() {
  const room = new Room(20);
  let said = 0;
  function hear(event: Event | Notice): void {
    room.hear(event, JSON.stringify(event));
  }
  return {
    room,
    hear,
    join(user: string, protocol: Protocol): string[] {
      const frames: string[] = [];
      const member: Member = {
        ...{ user, protocol, id: user },
        admit() {},
        hear: (frame) => frames.push(frame),
        lose() {},
      };
      room.expect(member);
      hear({ type: "joined", user, session: user, users: 1 });
      return frames;
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
  const all = Array.from({ length: 500 }, (_, i) => join(`user-${i}`, JSON_LINES));
  await turn();
  all.forEach((frames) => frames.length = 0);
  const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  for (const text of texts) {
    say("someone", text);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await turn();
  for (const frames of all) {
    assertEquals(short(frames).join(" + "), texts.join(" + "));
    assert(frames.length < texts.length, `${frames.length} frames`);
  }
});

Deno.test("what happens waits for what is on its way, so that both are one frame", async () => {
  const { room, join, say } = makeRoom();
  const frames = Array.from({ length: 500 }, (_, i) => join(`user-${i}`, JSON_LINES)).at(-1)!;
  await turn();
  frames.length = 0;
  const { promise, resolve } = Promise.withResolvers<string>();
  const said = room.say(() => promise);
  say("someone", "one");
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(frames, []);
  say("someone", "two");
  resolve("2-0");
  assertEquals(await said, "2-0");
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(short(frames), ["one + two"]);
});

Deno.test("what happens does not wait long for what never comes", async () => {
  const { room, join, say } = makeRoom();
  const frames = join("foo", JSON_LINES);
  await turn();
  room.say(() => new Promise(() => {}));
  say("bar", "one");
  await turn();
  assertEquals(short(frames), ["one"]);
});
