import { openMemoryStore, World } from "../chat/memory/store.ts";
import { testStore } from "./store_contract.ts";

testStore("memory", () => {
  const world = new World();
  return Promise.resolve({
    here: openMemoryStore(world),
    there: openMemoryStore(world),
    end: () => Promise.resolve(),
  });
});
