import { assert, assertEquals, assertRejects } from "@std/assert";
import { Semaphore } from "../../chat/limits/semaphore.ts";
import { History } from "../../chat/rooms/history.ts";
import { type Store, StoreUnavailable } from "../../chat/store/store.ts";
import { endOfTurn } from "../support/wait.ts";

/** A history of a store whose reads last until the test ends them. */
function setUp() {
  const clock = { ms: 0 };
  const reads: { room: string; end: () => void }[] = [];
  let begun = 0;
  const read = (room: string) =>
    new Promise<[]>((resolve) => {
      begun++;
      reads.push({ room, end: () => resolve([]) });
    });
  const store: Pick<Store, "readBefore" | "readRemovals"> = {
    readBefore: read,
    readRemovals: read,
  };
  const history = new History(store as Store, () => clock.ms);
  return {
    ...{ clock, history, reads, begun: () => begun },
    /** Ends the reads that are under way. */
    async end() {
      for (const { end } of reads.splice(0)) end();
      await endOfTurn();
    },
  };
}

Deno.test("few pages are read at a time, and one address does not have all places", async () => {
  const { history, reads, end } = setUp();
  const addresses = Array.from({ length: 6 }, () => new Semaphore(4));
  const pages = addresses.flatMap((address, i) =>
    Array.from({ length: 20 }, (_, k) => history.page(address, `${i}-${k}`, 10))
  );
  await endOfTurn();
  const roomsOf = () => reads.map(({ room }) => room.split("-")[0]);
  assertEquals(roomsOf().join(""), "0000111122223333");
  // Those of the others that waited come next.
  await end();
  assertEquals(roomsOf().slice(0, 8).join(""), "44445555");
  assertEquals(reads.length, 16);
  for (let i = 0; i < 10; i++) await end();
  assertEquals((await Promise.all(pages)).length, 120);
});

Deno.test("those who wait for a page share a read, which begins after they asked", async () => {
  const { history, begun, end } = setUp();
  const [one, two] = [1, 2].map(() => new Semaphore(1));
  const first = history.page(one, "a", 10);
  await endOfTurn();
  const later = [one, one, two].map((address) => history.page(address, "a", 10));
  const other = history.page(one, "b", 10);
  await endOfTurn();
  // The first one may be out of date, so the second address begins another one, for all others.
  assertEquals(begun(), 2);
  await end();
  await Promise.all([first, ...later]);
  assertEquals(begun(), 3);
  await end();
  await other;
});

Deno.test("removals are read in turn with pages", async () => {
  const { history, reads, end } = setUp();
  const address = new Semaphore(1);
  const read = [history.page(address, "a", 10), history.removals(address, "b", "1-0")];
  await endOfTurn();
  assertEquals(reads.map(({ room }) => room), ["a"]);
  await end();
  assertEquals(reads.map(({ room }) => room), ["b"]);
  await end();
  await Promise.all(read);
});

Deno.test("a page that has waited for more than five seconds is refused", async () => {
  const { clock, history, begun, end } = setUp();
  const address = new Semaphore(1);
  const pages = ["a", "b", "c"].map((room) => history.page(address, room, 10));
  await endOfTurn();
  clock.ms = 5_000;
  await end();
  clock.ms = 5_001;
  await Promise.all([end(), assertRejects(() => pages[2], StoreUnavailable, "are waiting")]);
  await Promise.all(pages.slice(0, 2));
  assertEquals(begun(), 2);
  assert(await history.page(address, "d", 0));
});
