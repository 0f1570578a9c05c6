import { MemoryBackend, openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { testStore } from "./store_contract.ts";

testStore("memory", (limits) => {
  const backend = new MemoryBackend(limits);
  return Promise.resolve({
    here: openMemoryStore(limits, backend),
    there: openMemoryStore(limits, backend),
    dispose: () => Promise.resolve(),
  });
});
