import { assertEquals } from "@std/assert";
import { type Event, parseEvent } from "../chat/events.ts";

Deno.test("parseEvent() reads back every event that is published", () => {
  const events: Event[] = [
    { type: "joined", user: "foo", session: "1" },
    { type: "left", user: "foo" },
    { type: "message", user: "foo", text: 'a: "b"\n\u2028😀' },
    { type: "message", user: "foo", text: "" },
  ];
  for (const event of events) assertEquals(parseEvent(JSON.stringify(event)), event);
});

Deno.test("parseEvent() takes everything else for a line from outside, as it is", () => {
  const lines = [
    "ops: deploy at five",
    "",
    "{",
    '{"type":"',
    '{"type":"message","user":"foo"}',
    '{"type":"message","user":1,"text":"a"}',
    '{"type":"joined","user":"foo"}',
    '{"type":"other","user":"foo"}',
    "null",
    "[]",
  ];
  for (const text of lines) assertEquals(parseEvent(text), { type: "notice", text });
});
