import { assert } from "@std/assert";
import { MemoryRestrictions } from "../../chat/store/memory/memory_moderation.ts";
import { MemoryBackend, openSharedStore } from "../../chat/store/memory/memory_store.ts";
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
