import { assertEquals } from "@std/assert";
import type { Client, Crowd } from "./crowd.ts";
import { JSON_LINES } from "./dialects.ts";
import { Talk, textOf } from "./talk.ts";

/** Clients whom the test itself tells what they hear. */
function crowdOf(count: number) {
  const clients = Array.from({ length: count }, (_, index) => ({ index }) as Client);
  const crowd = {
    clients,
    dialect: JSON_LINES,
    now: 0,
    send() {},
    pump: () => 0,
    pumpFor() {},
    hear: (_: Client, _bytes: Uint8Array, _start: number, _end: number) => {},
  };
  /** Tells someone of a frame, which stands in the middle of what was read. */
  function tell(client: Client, frame: string) {
    const before = textOf(0, 80);
    const bytes = new TextEncoder().encode(before + frame + textOf(1, 80));
    crowd.hear(client, bytes, before.length, before.length + frame.length);
  }
  return { clients, tell, talk: (length: number) => new Talk(crowd as unknown as Crowd, length) };
}

Deno.test("every message is found in a frame, whatever stands around it", () => {
  for (const length of [10, 64, 1_024]) {
    const { clients, tell, talk } = crowdOf(2);
    const talking = talk(length);
    const texts = clients.flatMap((client) =>
      Array.from({ length: 150 }, () => textOf(talking.expect(client, 0), length))
    );
    // Gaps of every length that there may be.
    const frame = texts.map((text, i) => "a".repeat(i) + text).join("");
    for (const client of clients) tell(client, frame);
    assertEquals(talking.deliveries, 600);
    assertEquals(talking.finish(), { lost: 0, repeated: 0, disordered: 0 });
  }
});

Deno.test("what is lost, repeated or out of order is found", () => {
  const { clients: [one, other], tell, talk } = crowdOf(2);
  const talking = talk(64);
  const texts = Array.from({ length: 5 }, () => textOf(talking.expect(one, 0), 64));
  for (const text of [0, 2, 1, 4]) tell(one, texts[text]);
  // Where one hears twice what the other misses, everything seems to have come.
  for (const text of [0, 1, 2, 3, 3, 4]) tell(other, texts[text]);
  assertEquals(talking.finish(), { lost: 1, repeated: 1, disordered: 1 });
});
