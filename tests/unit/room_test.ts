import { assertEquals } from "@std/assert";
import type { Notice, RoomEvent } from "../../chat/protocol/events.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import type { Member } from "../../chat/rooms/member.ts";
import { Room } from "../../chat/rooms/room.ts";

/** A member that writes down what happens to it. */
function makeMember(user: string, id = `session of ${user}`): Member & { log: string[] } {
  const log: string[] = [];
  return {
    user,
    id,
    protocol: TEXT,
    log,
    onJoined: (last, users) => log.push(`admitted after ${last}, ${users} are there`),
    deliver: (frame) => log.push(frame),
    onNameLost: () => log.push("lost"),
  };
}

function hear(room: Room, event: RoomEvent | Notice): void {
  room.handleEvent(event, JSON.stringify(event));
}

/** What happens in one turn is sent at its end. */
const endOfTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A room with foo and bar in it, who have nothing on their logs. */
async function makeRoom() {
  const room = new Room(20);
  const [foo, bar] = ["foo", "bar"].map((user) => {
    const member = makeMember(user);
    room.reserve(member);
    hear(room, { type: "joined", user, session: member.id, users: 2 });
    return member;
  });
  await endOfTurn();
  foo.log.length = bar.log.length = 0;
  return { room, foo, bar };
}

Deno.test("a newcomer is admitted by its own joined event, not by that of another of its name", async () => {
  const room = new Room(20);
  const foo = makeMember("foo");
  room.reserve(foo);
  hear(room, { type: "joined", user: "foo", session: "of another instance", users: 2 });
  hear(room, {
    type: "message",
    id: "5-1",
    prev: "0-0",
    user: "foo",
    text: "not from here",
  });
  hear(room, { type: "left", user: "foo" });
  assertEquals(foo.log, []);
  hear(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  hear(room, { type: "message", id: "6-0", prev: "5-1", user: "bar", text: "hi" });
  await endOfTurn();
  assertEquals(foo.log, ["admitted after 5-1, 2 are there", "bar: hi"]);
});

Deno.test("a place that was given up admits nobody", () => {
  const room = new Room(20);
  const foo = makeMember("foo");
  room.reserve(foo);
  assertEquals(room.isEmpty, false);
  room.cancel(foo);
  assertEquals(room.isEmpty, true);
  hear(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  assertEquals(foo.log, []);
});

Deno.test("a member that comes back after an outage is news only to who saw it leave", async () => {
  const { room, foo, bar } = await makeRoom();
  hear(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  await endOfTurn();
  assertEquals([foo.log, bar.log], [[], []]);
  hear(room, { type: "left", user: "foo" });
  hear(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  await endOfTurn();
  assertEquals([foo.log, bar.log], [[], ["foo: has left the chat!", "foo: has joined the chat!"]]);
});

Deno.test("who loses a name is the session that had it, and nobody else", async () => {
  const { room, foo, bar } = await makeRoom();
  room.handleNameLost("foo", "an earlier session");
  assertEquals([foo.log, bar.log], [[], []]);
  room.handleNameLost("foo", foo.id);
  assertEquals([foo.log, bar.log], [["lost"], []]);
});
