import { assert, assertEquals } from "@std/assert";
import { spaceOut } from "../../chat/http/spacing.ts";
import { sleep } from "../support/wait.ts";

Deno.test("of a connection, at most 200 requests wait, one after the other", async () => {
  const connections = [...Array(10_000).fill("192.0.2.1:5"), "192.0.2.1:6"];
  const order: string[] = [];
  const goOn = await Promise.all(connections.map(async (connection) => {
    const goesOn = await spaceOut(connection);
    if (goesOn) order.push(connection);
    return goesOn;
  }));
  assertEquals(goOn.filter((goesOn) => goesOn).length, 201);
  assert(order.indexOf("192.0.2.1:6") < 10, "another connection does not wait for them");
});

Deno.test("20 requests may follow one another at once, and more after a pause", async () => {
  for (let i = 0; i < 20; i++) assert(await spaceOut("192.0.2.1:7"));
  assertEquals(await spaceOut("192.0.2.1:7"), false);
  await sleep(60);
  assert(await spaceOut("192.0.2.1:7"));
});
