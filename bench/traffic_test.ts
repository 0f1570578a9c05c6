import { assertEquals } from "@std/assert";
import type { Client, ClientGroup } from "./client_group.ts";
import { JSON_PROTOCOL } from "./client_protocols.ts";
import { textOf, Traffic } from "./traffic.ts";

/** A group of clients without connections: the test itself delivers the frames. */
function fakeGroup(count: number) {
  const clients = Array.from({ length: count }, (_, index) => ({ index }) as Client);
  const group = {
    clients,
    protocol: JSON_PROTOCOL,
    receivedAt: 0,
    send() {},
    poll: () => 0,
    pollFor() {},
    onText: (_: Client, _bytes: Uint8Array, _start: number, _end: number) => {},
  };
  /** Delivers a frame. In the buffer there are other messages before and after it. */
  function deliver(client: Client, frame: string) {
    const before = textOf(0, 80);
    const bytes = new TextEncoder().encode(before + frame + textOf(1, 80));
    group.onText(client, bytes, before.length, before.length + frame.length);
  }
  const traffic = (length: number) => new Traffic(group as unknown as ClientGroup, length);
  return { clients, deliver, traffic };
}

Deno.test("Traffic finds every message in a frame, whatever stands between them", () => {
  for (const length of [10, 64, 1_024]) {
    const { clients, deliver, traffic: start } = fakeGroup(2);
    const traffic = start(length);
    const texts = clients.flatMap((client) =>
      Array.from({ length: 150 }, () => textOf(traffic.record(client, 0), length))
    );
    // Between the texts there are gaps of every length up to 300.
    const frame = texts.map((text, i) => "a".repeat(i) + text).join("");
    for (const client of clients) deliver(client, frame);
    assertEquals(traffic.deliveries, 600);
    assertEquals(traffic.finish(), { lost: 0, duplicated: 0, outOfOrder: 0 });
  }
});

Deno.test("Traffic counts lost, duplicated and out-of-order deliveries", () => {
  const { clients: [one, other], deliver, traffic: start } = fakeGroup(2);
  const traffic = start(64);
  const texts = Array.from({ length: 5 }, () => textOf(traffic.record(one, 0), 64));
  for (const text of [0, 2, 1, 4]) deliver(one, texts[text]);
  // One client misses message 3 and the other receives it twice, so the total looks complete.
  for (const text of [0, 1, 2, 3, 3, 4]) deliver(other, texts[text]);
  assertEquals(traffic.finish(), { lost: 1, duplicated: 1, outOfOrder: 1 });
});
