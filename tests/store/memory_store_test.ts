import { MemoryBackend, openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { testStore } from "./store_contract.ts";

testStore("memory", (limits) => {
  const world = new MemoryBackend(limits);
  return Promise.resolve({
    here: openMemoryStore(limits, world),
    there: openMemoryStore(limits, world),
    end: () => Promise.resolve(),
  });
});
