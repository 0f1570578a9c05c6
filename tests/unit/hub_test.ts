import { assert, assertEquals, assertRejects } from "@std/assert";
import { Hub } from "../../chat/rooms/hub.ts";
import type { Member } from "../../chat/rooms/member.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { type RoomListener, type Store, StoreUnavailable } from "../../chat/store/store.ts";

const oneTurn = () => new Promise((resolve) => setImmediate(resolve));

/** A hub with some users in the default room, and what tells it of an event there. */
async function openHub(users: string[]) {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 10 });
  let listener: RoomListener;
  const store: Store = Object.assign(Object.create(memory), {
    subscribe(room: string, hears: RoomListener) {
      listener = hears;
      return memory.subscribe(room, hears);
    },
  });
  const hub = new Hub(store, 20);
  await hub.start();
  const members = users.map((user): Member => ({
    ...{ user, id: user, protocol: TEXT },
    onJoined() {},
    deliver() {},
    onNameLost() {},
  }));
  await Promise.all(members.map((member) => hub.join("chat", member)));
  await oneTurn();
  return {
    hub,
    members,
    notice: (text: string) => listener.onEvent({ type: "notice", text }, ""),
  };
}

Deno.test("a hub knows who will hear something soon", async () => {
  const { hub, members: [foo], notice } = await openHub(["foo"]);
  assert(!hub.willTell("chat", foo));
  notice("hi");
  assert(hub.willTell("chat", foo));
  assert(!hub.willTell("elsewhere", foo));
  await oneTurn();
  assert(!hub.willTell("chat", foo));
});

Deno.test("a room that is behind takes nothing until what waits is sent", async () => {
  const { hub, notice } = await openHub(["foo", "bar"]);
  // So much that it takes more than a turn to tell it to two.
  notice("x".repeat(1024 * 1024));
  await Promise.resolve();
  const { now } = performance;
  performance.now = () => now.call(performance) + 10_000;
  try {
    await assertRejects(() => hub.publish("chat", "foo", "hi"), StoreUnavailable, "chat is behind");
    await oneTurn();
    assertEquals(typeof await hub.publish("chat", "foo", "hi"), "string");
  } finally {
    performance.now = now;
  }
});
