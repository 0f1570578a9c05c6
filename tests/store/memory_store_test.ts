import { assert, assertEquals } from "@std/assert";
import {
  MemoryRestrictions,
  openMemoryModeration,
} from "../../chat/store/memory/memory_moderation.ts";
import { MemoryBackend, openSharedStore } from "../../chat/store/memory/memory_store.ts";
import { MAX_RESTRICTED } from "../../chat/store/moderation.ts";
import { testStore } from "./store_contract.ts";

const { now } = Date;

testStore("memory", (limits) => {
  const backend = new MemoryBackend(limits);
  return Promise.resolve({
    here: openSharedStore(backend),
    there: openSharedStore(backend),
    pass: (seconds) => {
      const before = Date.now;
      Date.now = () => before() + seconds * 1_000;
      return Promise.resolve();
    },
    dispose: () => {
      Date.now = now;
      return Promise.resolve();
    },
  });
});

Deno.test("memory: a room without bans takes no memory, however often it is asked for them", () => {
  const restrictions = new MemoryRestrictions();
  const none = restrictions.of("banned", "r");
  assert(restrictions.of("banned", "r") !== none, "it was not kept");
});

Deno.test("memory: in a room at most 10,000 users are muted at a time", async () => {
  const restrictions = new MemoryRestrictions();
  const { restrict } = openMemoryModeration(restrictions, () => {});
  const mute = (user: string, seconds = 60) => restrict("muted", "r", user, "ann", seconds);
  await mute("u0");
  const muted = restrictions.of("muted", "r");
  for (let i = 1; i < MAX_RESTRICTED; i++) muted.set(`u${i}`, muted.get("u0")!);
  assertEquals(await mute("foo"), false);
  assertEquals(await mute("u5", 120), true);
  assertEquals(await mute("u6", 0), true);
  assertEquals(await mute("foo"), true);
});
