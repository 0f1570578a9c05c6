import { assert, assertEquals } from "@std/assert";
import type { RoomEvent } from "../../chat/protocol/events.ts";
import { inTurns } from "../../chat/session/replay.ts";

Deno.test("long replays take turns with each other and with everything else", async () => {
  let turn = 0, isOver = false;
  function others(): void {
    turn++;
    if (!isOver) setImmediate(others);
  }
  const event: RoomEvent = { type: "resync", last: "0-0", gap: false };
  const page = Array.from({ length: 9 }, () => ({ event, line: "a".repeat(40_000) }));
  const turns: number[] = [];
  async function replay(): Promise<number[]> {
    const sizes: number[] = [];
    for await (const portion of inTurns([page, page.slice(0, 1)])) {
      if (sizes.push(portion.length) < 6) turns.push(turn);
    }
    return sizes;
  }
  const replays = Promise.all([replay(), replay()]);
  others();
  assertEquals(await replays, Array(2).fill([2, 2, 2, 2, 1, 1]));
  isOver = true;
  assertEquals(turns.slice(0, 2), [1, 1]);
  assertEquals(new Set(turns.slice(2)).size, 8);
});

Deno.test("sockets are looked at in each turn of a replay", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  let echoes = 0;
  const echoing = server.readable.pipeTo(server.writable);
  const asking = (async () => {
    const buffer = new Uint8Array(1);
    while (await client.write(buffer), await client.read(buffer) !== null) echoes++;
  })().catch(() => {});
  const event: RoomEvent = { type: "resync", last: "0-0", gap: false };
  const page = Array.from({ length: 100 }, () => ({ event, line: "a".repeat(70_000) }));
  for await (const _ of inTurns([page]));
  assert(echoes > 20, `${echoes} echoes in 100 turns`);
  client.close();
  listener.close();
  await Promise.allSettled([asking, echoing]);
});
