import { assert, assertEquals } from "@std/assert";
import { AddressBudgets, type AddressLimits } from "../../chat/limits/address_budgets.ts";

const UNLIMITED: AddressLimits = {
  maxConnectionsPerAddress: 0,
  maxJoinsPerSecond: 0,
  maxRequestsPerSecond: 0,
  maxNewRoomsPerSecond: 0,
  maxAddressBytesPerSecond: 0,
};

function setUp(limits: Partial<AddressLimits>) {
  const clock = { ms: 0 };
  return { clock, budgets: new AddressBudgets({ ...UNLIMITED, ...limits }, () => clock.ms) };
}

Deno.test("an address may have so many connections open at once, and gets their places back", () => {
  const { budgets } = setUp({ maxConnectionsPerAddress: 2 });
  const budget = budgets.of("a");
  assertEquals([budget.open("join"), budget.open("request")], [undefined, undefined]);
  const refusal = {
    line: "too many connections are open from your address",
    retryAfterSeconds: 10,
  };
  assertEquals(budget.open("join"), refusal);
  assertEquals(budgets.of("b").open("join"), undefined);
  budget.close();
  assertEquals([budget.open("join"), budget.open("join")], [undefined, refusal]);
});

Deno.test("joins and requests of an address have a rate and a burst each", () => {
  const { budgets, clock } = setUp({ maxJoinsPerSecond: 2, maxRequestsPerSecond: 1 });
  const budget = budgets.of("a");
  for (let i = 0; i < 10; i++) assertEquals(budget.open("join"), undefined);
  assertEquals(budget.open("join"), {
    line: "too many joins a second from your address",
    retryAfterSeconds: 1,
  });
  for (let i = 0; i < 5; i++) assertEquals(budget.open("request"), undefined);
  assertEquals(budget.open("request")?.line, "too many requests a second from your address");
  clock.ms = 500;
  assertEquals(budget.open("join"), undefined);
  assertEquals(budget.open("join")?.retryAfterSeconds, 1);
  assertEquals(budget.open("request")?.retryAfterSeconds, 1);
});

Deno.test("a request that is refused costs nothing of the other limits", () => {
  const { budgets } = setUp({ maxConnectionsPerAddress: 1, maxJoinsPerSecond: 1 });
  const budget = budgets.of("a");
  budget.open("join");
  for (let i = 0; i < 100; i++) assert(budget.open("join")?.line.includes("open"));
  budget.close();
  for (let i = 0; i < 4; i++) {
    assertEquals(budget.open("join"), undefined);
    budget.close();
  }
  assert(budget.open("join")?.line.includes("a second"));
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

Deno.test("the clients of an address share its bytes; without a limit there is no bucket", () => {
  const { budgets } = setUp({ maxAddressBytesPerSecond: 10 });
  assert(budgets.of("a").bytes!.take(80, 0));
  assertEquals(budgets.of("a").bytes!.msUntil(1, 0), 100);
  assertEquals(budgets.of("b").bytes!.msUntil(80, 0), 0);
  const unlimited = setUp({}).budgets.of("a");
  assertEquals([unlimited.bytes, unlimited.takeNewRoom(), unlimited.open("join")], [
    undefined,
    0,
    undefined,
  ]);
});

Deno.test("a budget outlives the sessions of its address, and is forgotten when it is as new", () => {
  const { budgets, clock } = setUp({
    maxConnectionsPerAddress: 5,
    maxJoinsPerSecond: 1,
    maxNewRoomsPerSecond: 1,
    maxAddressBytesPerSecond: 10,
  });
  const visit = (name: string, count: number) => {
    for (let i = 0; i < count; i++) {
      const budget = budgets.of(`${name}-${i}`);
      assertEquals(budget.open("join"), undefined);
      budget.close();
    }
  };
  const budgetOf = new Map(
    ["open", "joined", "spoke", "began"].map((name) => [name, budgets.of(name)]),
  );
  const kept = () => [...budgetOf].filter(([name, budget]) => budgets.of(name) === budget);
  const keptNames = () => kept().map(([name]) => name);
  budgetOf.get("open")!.open("join");
  budgetOf.get("joined")!.open("join");
  budgetOf.get("joined")!.close();
  budgetOf.get("spoke")!.bytes!.take(80, 0);
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
    const budget = budgets.of(`${i}`);
    budget.open("join");
    budget.close();
    most = Math.max(most, budgets.size);
  }
  // One join comes back in 50 ms, in which there are 500 addresses.
  assert(most <= 1_000, `${most}`);
});
