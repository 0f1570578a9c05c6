import { assert, assertEquals } from "@std/assert";
import { ANYONE } from "../../chat/auth/access.ts";
import type { RoomEvent } from "../../chat/protocol/events.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import type { Member } from "../../chat/rooms/member.ts";
import { Room } from "../../chat/rooms/room.ts";
import { NO_MODERATION } from "../support/member.ts";
import { endOfTurn } from "../support/wait.ts";

const OPTIONS = { maxFlushMs: 20, now: () => performance.now() };

/** A member that records what happens to it. */
function makeMember(
  user: string,
  id = `session of ${user}`,
  more: Partial<Member> = {},
): Member & { log: string[] } {
  const log: string[] = [];
  return {
    user,
    id,
    maxDevices: 1,
    protocol: TEXT,
    log,
    ...NO_MODERATION,
    onJoined: ({ last }, users) => log.push(`admitted after ${last}, ${users} are there`),
    deliver: (frame) => log.push(frame),
    onNameLost: (loss) => log.push(loss),
    ...more,
  };
}

function receive(room: Room, event: RoomEvent): void {
  room.handleEvent(event, JSON.stringify(event));
}

/** A room whose members foo and bar have empty logs. */
async function makeRoom() {
  const room = new Room(OPTIONS);
  const [foo, bar] = ["foo", "bar"].map((user) => {
    const member = makeMember(user);
    room.reserve(member);
    receive(room, { type: "joined", user, session: member.id, users: 2 });
    return member;
  });
  await endOfTurn();
  foo.log.length = bar.log.length = 0;
  return { room, foo, bar };
}

Deno.test("a session joins by its own joined event, not by a namesake's", async () => {
  const room = new Room(OPTIONS);
  const foo = makeMember("foo");
  room.reserve(foo);
  receive(room, { type: "joined", user: "foo", session: "of another instance", users: 2 });
  receive(room, {
    type: "message",
    id: "5-1",
    prev: "0-0",
    user: "foo",
    text: "not from here",
  });
  receive(room, { type: "left", user: "foo" });
  assertEquals(foo.log, []);
  receive(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  receive(room, { type: "message", id: "6-0", prev: "5-1", user: "bar", text: "hi" });
  await endOfTurn();
  assertEquals(foo.log, ["admitted after 5-1, 2 are there", "bar: hi"]);
});

Deno.test("a session whose reservation was cancelled does not join", () => {
  const room = new Room(OPTIONS);
  const foo = makeMember("foo");
  room.reserve(foo);
  assertEquals(room.isEmpty, false);
  room.cancel(foo);
  assertEquals(room.isEmpty, true);
  receive(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  assertEquals(foo.log, []);
});

Deno.test("a member's return after an outage is news only if it was seen leaving", async () => {
  const { room, foo, bar } = await makeRoom();
  receive(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  await endOfTurn();
  assertEquals([foo.log, bar.log], [[], []]);
  receive(room, { type: "left", user: "foo" });
  receive(room, { type: "joined", user: "foo", session: foo.id, users: 2 });
  await endOfTurn();
  assertEquals([foo.log, bar.log], [[], ["foo: has left the chat!", "foo: has joined the chat!"]]);
});

Deno.test("a later session of the same user is admitted, and nobody else is told", async () => {
  const { room, foo, bar } = await makeRoom();
  const [later, last] = [makeMember("foo", "later"), makeMember("foo", "last")];
  foo.onNameLost = (loss) => {
    foo.log.push(loss);
    room.remove(foo);
  };
  for (const member of [later, last]) room.reserve(member);
  receive(room, { type: "replaced", user: "foo", session: "later", former: foo.id, users: 2 });
  assertEquals(later.log, ["admitted after 0-0, 2 are there"]);
  // As if the event between the two was missed: the member is not the one that was replaced.
  receive(room, { type: "replaced", user: "foo", session: "elsewhere", former: "x", users: 2 });
  receive(room, { type: "message", id: "1-0", prev: "0-0", user: "bar", text: "hi" });
  await endOfTurn();
  assertEquals([foo.log, bar.log], [["replaced"], []]);
  assertEquals(later.log.slice(1), ["bar: hi"]);
  // Its event has not come. It will never join.
  receive(room, { type: "replaced", user: "foo", session: "elsewhere", former: "last", users: 2 });
  assertEquals(last.log, ["replaced"]);
  assertEquals(later.log.length, 2);
});

Deno.test("a later session that joins ends the member, whose name the store had lost", async () => {
  const { room, foo, bar } = await makeRoom();
  const later = makeMember("foo", "later");
  room.reserve(later);
  receive(room, { type: "joined", user: "foo", session: "later", users: 2 });
  await endOfTurn();
  assertEquals(foo.log, ["replaced"]);
  assertEquals(later.log, ["admitted after 0-0, 2 are there"]);
  assertEquals(bar.log, ["foo: has joined the chat!"]);
});

Deno.test("a lost name ends the session that held it, and no other session", async () => {
  const { room, foo, bar } = await makeRoom();
  room.handleNameLost("foo", "an earlier session", "taken");
  assertEquals([foo.log, bar.log], [[], []]);
  room.handleNameLost("foo", foo.id, "taken");
  assertEquals([foo.log, bar.log], [["taken"], []]);
});

/** A room with bar and three devices of foo: two of people, and a program. */
async function makeRoomWithDevices() {
  const { room, foo: bar } = await makeRoom();
  const device = { maxDevices: 3, secret: undefined, access: { ...ANYONE, user: "dev" } };
  const devices = {
    laptop: makeMember("dev", "laptop", device),
    phone: makeMember("dev", "phone", { ...device, secret: { hash: "phone", attempt: 1 } }),
    bot: makeMember("dev", "bot", { ...device, protocol: JSON_LINES }),
  };
  for (const member of Object.values(devices)) room.reserve(member);
  receive(room, { type: "joined", user: "dev", session: "laptop", users: 3 });
  for (const session of ["phone", "bot"]) {
    receive(room, { type: "added", user: "dev", session, users: 3 });
  }
  await endOfTurn();
  const clients = { bar, ...devices };
  /** What each has received since the last call. */
  async function received() {
    await endOfTurn();
    return Object.fromEntries(
      Object.entries(clients).map(([name, { log }]) => [
        name,
        log.splice(0).map((line) => line[0] === "{" ? JSON.parse(line).type : line),
      ]),
    );
  }
  return { room, ...devices, received };
}

Deno.test("one more device of a user is admitted, and nobody is told", async () => {
  const { received } = await makeRoomWithDevices();
  const admitted = ["admitted after 0-0, 3 are there"];
  assertEquals(await received(), {
    bar: ["dev: has joined the chat!"],
    ...{ laptop: admitted, phone: admitted, bot: admitted },
  });
});

Deno.test("a user's message goes to all devices, but a person's own one", async () => {
  const { room, received } = await makeRoomWithDevices();
  await received();
  const message = { type: "message", id: "1-0", prev: "0-0", user: "dev", text: "hi" } as const;
  receive(room, { ...message, session: "laptop" });
  const [all, program] = [["dev: hi"], ["message"]];
  assertEquals(await received(), { bar: all, laptop: [], phone: all, bot: program });
  // A program receives what it has sent, and its event names no session.
  receive(room, { ...message, id: "2-0", prev: "1-0" });
  assertEquals(await received(), { bar: all, laptop: all, phone: all, bot: program });
  // One from a device of another instance.
  receive(room, { ...message, id: "3-0", prev: "2-0", session: "tablet" });
  assertEquals(await received(), { bar: all, laptop: all, phone: all, bot: program });
});

Deno.test("devices are taken over, lost and removed one by one", async () => {
  const { room, laptop, phone, bot, received } = await makeRoomWithDevices();
  await received();
  const later = makeMember("dev", "later", {
    ...{ maxDevices: 3, access: phone.access },
    secret: { hash: "phone", attempt: 2 },
  });
  room.reserve(later);
  // Its event would name the former one, if the store had not lost the name.
  receive(room, { type: "added", user: "dev", session: "later", users: 3 });
  assertEquals(later.log, ["admitted after 0-0, 3 are there"]);
  assertEquals(await received(), { bar: [], laptop: [], phone: ["replaced"], bot: [] });
  assert(room.remove(phone));
  assert(!room.remove(phone));
  receive(room, { type: "replaced", user: "dev", session: "x", former: "laptop", users: 3 });
  assertEquals(await received(), { bar: [], laptop: ["replaced"], phone: [], bot: [] });
  room.remove(laptop);
  receive(room, { type: "message", id: "1-0", prev: "0-0", user: "dev", text: "hi" });
  assertEquals(await received(), { bar: ["dev: hi"], laptop: [], phone: [], bot: ["message"] });
  assertEquals(later.log.slice(1), ["dev: hi"]);
  assertEquals([laptop, phone, bot, later].map(room.isMember, room), [false, false, true, true]);
});

Deno.test("devices that were reaped in an outage are seen coming back once", async () => {
  const { room, bot, received } = await makeRoomWithDevices();
  await received();
  receive(room, { type: "left", user: "dev" });
  room.remove(bot);
  // Their instance may announce each device, and so may another one.
  for (const session of ["laptop", "phone"]) {
    receive(room, { type: "joined", user: "dev", session, users: 3 });
  }
  const seen = ["dev: has left the chat!", "dev: has joined the chat!"];
  assertEquals(await received(), { bar: seen, laptop: [], phone: [], bot: [] });
});
