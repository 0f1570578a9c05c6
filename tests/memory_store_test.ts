import { openMemoryStore, World } from "../chat/memory/store.ts";
import { testStore } from "./store_contract.ts";

testStore("memory", (limits) => {
  const world = new World(limits);
  return Promise.resolve({
    here: openMemoryStore(limits, world),
    there: openMemoryStore(limits, world),
    end: () => Promise.resolve(),
  });
});
