import { ANYONE } from "../../chat/auth/access.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Hub } from "../../chat/rooms/hub.ts";
import type { Member } from "../../chat/rooms/member.ts";
import {
  MemoryBackend,
  openMemoryStore,
  openSharedStore,
} from "../../chat/store/memory/memory_store.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { NO_MODERATION } from "../support/member.ts";
import { endOfTurn } from "../support/wait.ts";
import { type RoomListener, type Store, StoreUnavailable } from "../../chat/store/store.ts";

/** A hub with some users in the default room, and a way to send that room a notice. */
async function startHub(users: string[]) {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 10 });
  let listener: RoomListener;
  const store: Store = Object.assign(Object.create(memory), {
    subscribe(room: string, roomListener: RoomListener) {
      listener = roomListener;
      return memory.subscribe(room, roomListener);
    },
  });
  let clockOffsetMs = 0;
  const hub = new Hub(store, { maxFlushMs: 20, now: () => performance.now() + clockOffsetMs });
  await hub.start();
  const members = users.map((user): Member => ({
    ...{ user, id: user, maxDevices: 1, protocol: TEXT },
    ...NO_MODERATION,
    onJoined() {},
    deliver() {},
    onNameLost() {},
  }));
  await Promise.all(members.map((member) => hub.join("chat", member)));
  await endOfTurn();
  return {
    hub,
    store,
    members,
    /** Lets the hub's clock jump ahead. */
    passTime: (milliseconds: number) => clockOffsetMs += milliseconds,
    notice: (text: string) => listener.onEvent({ type: "notice", text }, ""),
  };
}

Deno.test("a hub knows which members will receive the next flush", async () => {
  const { hub, members: [foo], notice } = await startHub(["foo"]);
  assert(!hub.isFlushPendingFor("chat", foo));
  notice("hi");
  assert(hub.isFlushPendingFor("chat", foo));
  assert(!hub.isFlushPendingFor("elsewhere", foo));
  await endOfTurn();
  assert(!hub.isFlushPendingFor("chat", foo));
});

Deno.test("an overloaded room takes no message until its flush is over", async () => {
  const { hub, notice, passTime } = await startHub(["foo", "bar"]);
  // Long enough that the flush to two members takes more than one turn.
  notice("x".repeat(1024 * 1024));
  await Promise.resolve();
  passTime(10_001);
  await assertRejects(
    () => hub.publish("chat", "foo", "hi"),
    StoreUnavailable,
    "chat is overloaded",
  );
  await endOfTurn();
  assertEquals(typeof await hub.publish("chat", "foo", "hi"), "string");
});

Deno.test("a room stays active while a session takes over a name that was lost", async () => {
  const limits = { historyLimit: 10, historySeconds: 10 };
  const backend = new MemoryBackend(limits);
  const hub = new Hub(openSharedStore(backend), { maxFlushMs: 20, now: () => 0 });
  const [former, later] = [1, 2].map((attempt) => {
    const received: string[] = [];
    const member: Member & { received: string[] } = {
      ...{ user: "foo", id: `${attempt}`, maxDevices: 1, protocol: JSON_LINES, received },
      secret: { hash: "foo's", attempt },
      ...NO_MODERATION,
      onJoined: () => received.push("joined"),
      deliver: (frame) => received.push(JSON.parse(frame).type),
      onNameLost(loss) {
        received.push(loss);
        hub.leave("r", member);
      },
    };
    return member;
  });
  assertEquals(await hub.join("r", former), "claimed");
  backend.users.clear();
  assertEquals(await hub.join("r", later), "claimed");
  await hub.publish("r", "foo", "hi");
  await endOfTurn();
  assertEquals([former, later].map(({ received }) => received), [
    ["joined", "replaced"],
    ["joined", "message"],
  ]);
  await hub.leave("r", later);
  assertEquals([...backend.listeners.keys(), ...backend.users.keys()], []);
});

Deno.test("the later of two joins of a user stays, whichever claim comes first", async () => {
  for (const order of [["1", "2"], ["2", "1"]]) {
    const { hub, store, members: [watcher] } = await startHub(["watcher"]);
    const frames: string[] = [];
    watcher.deliver = (frame) => frames.push(frame);
    const claims = new Map<string, () => void>();
    const { claim } = store;
    store.claim = async (room, user, session, options) => {
      await new Promise<void>((resolve) => claims.set(session, resolve));
      return await claim.call(store, room, user, session, options);
    };
    const lost: string[] = [];
    const joins = [1, 2].map((attempt) => {
      const member: Member = {
        ...{ user: "foo", id: `${attempt}`, maxDevices: 1, protocol: TEXT },
        secret: { hash: "foo's", attempt },
        ...NO_MODERATION,
        onJoined() {},
        deliver() {},
        onNameLost(loss) {
          lost.push(`${attempt} ${loss}`);
          hub.leave("chat", member);
        },
      };
      return hub.join("chat", member);
    });
    await endOfTurn();
    for (const session of order) {
      claims.get(session)!();
      await endOfTurn();
    }
    const isInOrder = order[0] === "1";
    assertEquals(await Promise.all(joins), [isInOrder ? "claimed" : "replaced", "claimed"]);
    assertEquals(lost, isInOrder ? ["1 replaced"] : []);
    await hub.settled();
    await endOfTurn();
    assertEquals(frames, ["foo: has joined the chat!"]);
  }
});

Deno.test("a join that was on its way when its user was banned is refused", async () => {
  const store = openMemoryStore({ historyLimit: 10, historySeconds: 10 });
  const hub = new Hub(store, { maxFlushMs: 20, now: () => 0 });
  const join = (user: string, address: string, canModerate = false) =>
    hub.join("r", {
      ...{ user, id: user, maxDevices: 8, protocol: TEXT },
      ...NO_MODERATION,
      ...{ address, access: { ...ANYONE, user, canModerate } },
      onJoined() {},
      deliver() {},
      onNameLost() {},
    });
  await store.moderation.restrict("banned", "r", "foo", "ann", 60, true);
  await store.moderation.banAddress("r", "foo", "192.0.2.1");
  assertEquals(await join("foo", "192.0.2.2"), "banned");
  assertEquals(await join("bar", "192.0.2.1"), "banned");
  assertEquals(await join("bar", "192.0.2.2"), "claimed");
  assertEquals(await join("ann", "192.0.2.1", true), "claimed");
  assertEquals(await store.moderation.isModerator("r", "ann"), true);
});

Deno.test("after an outage, a room is told only of the removals that it has missed", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 10 });
  let isCutOff = false;
  let onInterrupted = (_last: string) => Promise.resolve();
  const store: Store = Object.assign(Object.create(memory), {
    subscribe(room: string, listener: RoomListener) {
      onInterrupted = (last) => listener.onInterrupted!(last);
      return memory.subscribe(room, {
        ...listener,
        onEvent: (event, line) => isCutOff || listener.onEvent(event, line),
      });
    },
  });
  const hub = new Hub(store, { maxFlushMs: 20, now: () => 0 });
  const frames: string[] = [];
  await hub.join("r", {
    ...{ user: "foo", id: "foo", maxDevices: 1, protocol: TEXT },
    ...NO_MODERATION,
    access: { ...ANYONE, user: "foo" },
    onJoined() {},
    deliver: (frame) => frames.push(frame),
    onNameLost() {},
  });
  const [first, second] = [await hub.publish("r", "x", "1"), await hub.publish("r", "x", "2")];
  await store.remove("r", first, "ann", true);
  await endOfTurn();
  isCutOff = true;
  await store.remove("r", second, "bob", true);
  await endOfTurn();
  isCutOff = false;
  frames.length = 0;
  await onInterrupted(first);
  await endOfTurn();
  assertEquals(frames, ["* a message was removed by bob"]);
});

Deno.test("what comes while a room is subscribed to is not delivered to a listener", async () => {
  const { hub, store } = await startHub([]);
  const subscribed = Promise.withResolvers<void>();
  const { subscribe } = store;
  let unsubscribed = false;
  store.subscribe = async (room, listener) => {
    const newestId = await subscribe.call(store, room, listener);
    await subscribed.promise;
    return newestId;
  };
  store.unsubscribe = (room) => {
    unsubscribed = room === "red";
    return Promise.resolve();
  };
  const frames: string[] = [];
  const [listener, gone] = [1, 2].map(() => ({
    ...NO_MODERATION,
    protocol: JSON_LINES,
    deliver: (frame: string) => frames.push(frame),
  }));
  const listening = [listener, gone].map((one) => hub.listen("red", one));
  await endOfTurn();
  const before = await store.publish("red", "foo", "before");
  await endOfTurn();
  // It ends before it has begun.
  hub.unlisten("red", gone);
  subscribed.resolve();
  assertEquals(await listening[0], { last: before, hasGap: false });
  await store.publish("red", "foo", "after");
  await endOfTurn();
  assertEquals(frames.map((frame) => JSON.parse(frame).text), ["after"]);
  assert(!unsubscribed);
  hub.unlisten("red", listener);
  assert(unsubscribed);
});
