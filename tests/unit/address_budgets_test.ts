import { assert, assertEquals } from "@std/assert";
import {
  type AddressBudget,
  AddressBudgets,
  type AddressLimits,
} from "../../chat/limits/address_budgets.ts";
import { endOfTurn } from "../support/wait.ts";

const UNLIMITED: AddressLimits = {
  maxConnectionsPerAddress: 0,
  maxJoinsPerSecond: 0,
  maxRequestsPerSecond: 0,
  maxNewRoomsPerSecond: 0,
  maxAddressBytesPerSecond: 0,
  maxAddressLinesPerSecond: 0,
  maxDeliveredBytesPerSecond: 0,
};

function setUp(limits: Partial<AddressLimits>) {
  const clock = { ms: 0 };
  return { clock, budgets: new AddressBudgets({ ...UNLIMITED, ...limits }, () => clock.ms) };
}

/** Opens what an address may have open; returns whether it may, and how it ends. */
function open(address: AddressBudget): { isOpen: boolean; close: () => Promise<void> } {
  const isOpen = address.admit("join") === undefined;
  const end = Promise.withResolvers<void>();
  if (isOpen) address.countUntil(end.promise);
  return { isOpen, close: () => (end.resolve(), endOfTurn()) };
}

Deno.test("an address may have so many connections open, and gets their places back", async () => {
  const { budgets } = setUp({ maxConnectionsPerAddress: 2 });
  const address = budgets.of("a");
  const [first, second] = [open(address), open(address)];
  assertEquals([first.isOpen, second.isOpen], [true, true]);
  assertEquals(address.admit("request"), {
    line: "too many connections are open from your address",
    retryAfterSeconds: 10,
  });
  assert(open(budgets.of("b")).isOpen);
  await first.close();
  const third = open(address);
  assertEquals([third.isOpen, open(address).isOpen], [true, false]);
  address.countUntil(Promise.reject(new Error("a connection that failed")));
  await second.close();
  assertEquals([open(address).isOpen, open(address).isOpen], [true, false]);
});

Deno.test("joins and requests of an address have a rate and a burst each", () => {
  const { budgets, clock } = setUp({ maxJoinsPerSecond: 2, maxRequestsPerSecond: 1 });
  const budget = budgets.of("a");
  for (let i = 0; i < 10; i++) assertEquals(budget.admit("join"), undefined);
  const refusal = { line: "too many joins a second from your address", retryAfterSeconds: 1 };
  assertEquals(budget.admit("join"), refusal);
  assertEquals(budget.refusalOfJoin(0), refusal);
  for (let i = 0; i < 5; i++) assertEquals(budget.admit("request"), undefined);
  assertEquals(budget.admit("request")?.line, "too many requests a second from your address");
  clock.ms = 500;
  // To ask takes nothing.
  for (let i = 0; i < 5; i++) assertEquals(budget.refusalOfJoin(0), undefined);
  assertEquals(budget.admit("join"), undefined);
  assertEquals(budget.admit("join")?.retryAfterSeconds, 1);
  assertEquals(budget.admit("request")?.retryAfterSeconds, 1);
});

Deno.test("a request that is refused costs nothing of the other limits", async () => {
  const { budgets } = setUp({ maxConnectionsPerAddress: 1, maxJoinsPerSecond: 1 });
  const address = budgets.of("a");
  const { close } = open(address);
  for (let i = 0; i < 100; i++) assert(address.admit("join")?.line.includes("open"));
  await close();
  for (let i = 0; i < 4; i++) assertEquals(address.admit("join"), undefined);
  assert(address.admit("join")?.line.includes("a second"));
});

Deno.test("an address may begin 20 rooms at once, and then one each second", () => {
  const { budgets, clock } = setUp({ maxNewRoomsPerSecond: 1 });
  const budget = budgets.of("a");
  for (let i = 0; i < 20; i++) assertEquals(budget.takeNewRoom(), 0);
  assertEquals(budget.takeNewRoom(), 1000);
  clock.ms = 999;
  assertEquals(budget.takeNewRoom(), 1);
  clock.ms = 1000;
  assertEquals([budget.takeNewRoom(), budget.takeNewRoom()], [0, 1000]);
});

Deno.test("the clients of an address share its bytes; without a limit they never wait", () => {
  const { budgets } = setUp({ maxAddressBytesPerSecond: 10 });
  assert(budgets.of("a").bytes.take(80, 0));
  assertEquals(budgets.of("a").bytes.msUntil(1, 0), 100);
  assertEquals(budgets.of("b").bytes.msUntil(80, 0), 0);
  const unlimited = setUp({}).budgets.of("a");
  const waitMs = unlimited.bytes.msUntil(1e9, 0) + unlimited.takeNewRoom();
  assertEquals([waitMs, unlimited.admit("join")], [0, undefined]);
});

Deno.test("the messages of an address cause so many bytes of deliveries a second", () => {
  const { budgets } = setUp({ maxDeliveredBytesPerSecond: 100 });
  const take = (ms: number, ...bytes: number[]) =>
    bytes.map((count) => budgets.of("a").takeDelivery(count, ms));
  assertEquals(take(0, 75, 26), [0, 250]);
  assertEquals(take(250, 30, 50), [0, 300]);
  // What is more than can be taken at once needs a full bucket.
  assertEquals(take(500, 500), [550]);
  assertEquals(take(1_050, 500, 1), [0, 4_500]);
  assertEquals(budgets.of("b").takeDelivery(75, 0), 0);
});

Deno.test("a client that sent too much costs its address five joins", () => {
  const { budgets, clock } = setUp({ maxJoinsPerSecond: 1 });
  const budget = budgets.of("a");
  assertEquals(budget.admit("join"), undefined);
  for (let i = 0; i < 2; i++) budget.chargeExcess();
  assertEquals(budget.admit("join")?.retryAfterSeconds, 7);
  clock.ms = 7_000;
  assertEquals([budget.admit("join"), budget.admit("join")?.retryAfterSeconds], [undefined, 1]);
});

Deno.test("joins that wait are refused when a client of their address sent too much", () => {
  const { budgets, clock } = setUp({ maxJoinsPerSecond: 1 });
  const budget = budgets.of("a");
  for (let i = 0; i < 5; i++) assertEquals(budget.admit("join"), undefined);
  assertEquals(budget.admitTo(1), undefined);
  budget.chargeExcess();
  const refusal = { line: "too many joins a second from your address", retryAfterSeconds: 6 };
  assertEquals(budget.admitTo(1), refusal);
  clock.ms = 5_000;
  assertEquals(budget.admitTo(1), undefined);
});

Deno.test("a budget outlives its sessions, and is forgotten when it is as new", () => {
  const { budgets, clock } = setUp({
    maxConnectionsPerAddress: 5,
    maxJoinsPerSecond: 1,
    maxNewRoomsPerSecond: 1,
    maxAddressBytesPerSecond: 10,
  });
  const visit = (name: string, count: number) => {
    for (let i = 0; i < count; i++) {
      assertEquals(budgets.of(`${name}-${i}`).admit("join"), undefined);
    }
  };
  const budgetOf = new Map(
    ["open", "joined", "spoke", "began"].map((name) => [name, budgets.of(name)]),
  );
  const kept = () => [...budgetOf].filter(([name, budget]) => budgets.of(name) === budget);
  const keptNames = () => kept().map(([name]) => name);
  open(budgetOf.get("open")!);
  budgetOf.get("joined")!.admit("join");
  budgetOf.get("spoke")!.bytes.take(80, 0);
  budgetOf.get("began")!.takeNewRoom();
  visit("a", 5_000);
  assertEquals(keptNames(), ["open", "joined", "spoke", "began"]);
  clock.ms = 1_000;
  visit("b", 20_000);
  assertEquals(keptNames(), ["open", "spoke"]);
  clock.ms = 8_000;
  visit("c", 40_000);
  assertEquals(keptNames(), ["open"]);
});

Deno.test("the most that is kept of a million addresses is twice what is in use", () => {
  const { budgets, clock } = setUp({ maxJoinsPerSecond: 20 });
  let most = 0;
  for (let i = 0; i < 1_000_000; i++) {
    clock.ms += 0.1;
    budgets.of(`${i}`).admit("join");
    most = Math.max(most, budgets.size);
  }
  // One join comes back in 50 ms, in which there are 500 addresses.
  assert(most <= 1_000, `${most}`);
});
