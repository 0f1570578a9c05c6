import { assertEquals, assertRejects } from "@std/assert";
import { Hub } from "../chat/hub.ts";
import type { Member } from "../chat/member.ts";
import { openMemoryStore } from "../chat/memory/store.ts";
import { TEXT } from "../chat/protocol/text.ts";
import { type Listener, type Store, StoreUnavailable } from "../chat/store.ts";

Deno.test("a room that is behind takes nothing until what waits is sent", async () => {
  const memory = openMemoryStore({ historyLimit: 10, historySeconds: 10 });
  let listener: Listener;
  const store: Store = Object.assign(Object.create(memory), {
    subscribe(room: string, hears: Listener) {
      listener = hears;
      return memory.subscribe(room, hears);
    },
  });
  const hub = new Hub(store, 20);
  await hub.open();
  const heard: string[] = [];
  const member: Member = {
    ...{ user: "foo", id: "foo", protocol: TEXT },
    admit() {},
    hear: (frame) => heard.push(frame),
    lose() {},
  };
  await hub.join("chat", member);
  const text = "x".repeat(40_000_000);
  for (let i = 0; i < 2; i++) listener!.hear({ type: "notice", text }, "");
  await assertRejects(() => hub.say("chat", "foo", "hi"), StoreUnavailable, "room chat is behind");
  assertEquals(heard.length, 2);
  assertEquals(typeof await hub.say("chat", "foo", "hi"), "string");
});
