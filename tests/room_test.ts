import { assertEquals } from "@std/assert";
import { type Member, Room } from "../chat/room.ts";

/** A member that writes down what happens to it. */
function makeMember(user: string, id = `session of ${user}`): Member & { log: string[] } {
  const log: string[] = [];
  return {
    user,
    id,
    log,
    admit: () => log.push("admitted"),
    send: (frame) => log.push(frame),
    lose: () => log.push("lost"),
  };
}

/** A room with foo and bar in it, who have nothing on their logs. */
function makeRoom() {
  const room = new Room();
  const [foo, bar] = ["foo", "bar"].map((user) => {
    const member = makeMember(user);
    room.expect(member);
    room.hear({ type: "joined", user, session: member.id });
    return member;
  });
  foo.log.length = bar.log.length = 0;
  return { room, foo, bar };
}

Deno.test("a newcomer is admitted by its own joined event, not by that of another of its name", () => {
  const room = new Room();
  const foo = makeMember("foo");
  room.expect(foo);
  room.hear({ type: "joined", user: "foo", session: "of another instance" });
  room.hear({ type: "message", user: "foo", text: "not from here" });
  room.hear({ type: "left", user: "foo" });
  assertEquals(foo.log, []);
  room.hear({ type: "joined", user: "foo", session: foo.id });
  room.hear({ type: "message", user: "bar", text: "hi" });
  assertEquals(foo.log, ["admitted", "bar: hi"]);
});

Deno.test("a place that was given up admits nobody", () => {
  const room = new Room();
  const foo = makeMember("foo");
  room.expect(foo);
  assertEquals(room.isEmpty, false);
  room.giveUp(foo);
  assertEquals(room.isEmpty, true);
  room.hear({ type: "joined", user: "foo", session: foo.id });
  assertEquals(foo.log, []);
});

Deno.test("a member that comes back after an outage is news only to who saw it leave", () => {
  const { room, foo, bar } = makeRoom();
  room.hear({ type: "joined", user: "foo", session: foo.id });
  assertEquals([foo.log, bar.log], [[], []]);
  room.hear({ type: "left", user: "foo" });
  room.hear({ type: "joined", user: "foo", session: foo.id });
  assertEquals([foo.log, bar.log], [[], ["foo: has left the chat!", "foo: has joined the chat!"]]);
});

Deno.test("who loses a name is the session that had it, and nobody else", () => {
  const { room, foo, bar } = makeRoom();
  room.lose("foo", "an earlier session");
  assertEquals([foo.log, bar.log], [[], []]);
  room.lose("foo", foo.id);
  assertEquals([foo.log, bar.log], [["lost"], []]);
});
