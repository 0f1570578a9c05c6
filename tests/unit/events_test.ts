import { assertEquals } from "@std/assert";
import {
  EVENT_MARK,
  parseEvent,
  payloadOf,
  type PublishedEvent,
} from "../../chat/protocol/events.ts";

Deno.test("parseEvent() parses every event that is published", () => {
  const events: PublishedEvent[] = [
    { type: "joined", user: "foo", session: "1", users: 2 },
    { type: "left", user: "foo" },
    { type: "typing", user: "foo" },
    { type: "replaced", user: "foo", session: "2", former: "s0", users: 2 },
    { type: "message", id: "1-2", prev: "0-0", user: "foo", text: 'a: "b"\n\u2028😀', ref: "r" },
    { type: "message", id: "1700000000000-0", prev: "1-2", user: "foo", text: "" },
  ];
  const payload = payloadOf(...events);
  assertEquals(payload[0], EVENT_MARK);
  assertEquals(payload.slice(1).split("\n").map(parseEvent), events);
});

Deno.test("parseEvent() knows an event of a later version by its type alone", () => {
  for (const type of ["reacted", "unknown", "toString", "__proto__", ""]) {
    assertEquals(parseEvent(JSON.stringify({ type, user: 1 })), { type: "unknown" });
  }
});

Deno.test("parseEvent() refuses everything else", () => {
  const lines = [
    "ops: deploy at five",
    "",
    "{",
    '{"type":"',
    '{"type":"message","user":"foo"}',
    '{"type":"message","user":"foo","text":"a"}',
    '{"type":"message","id":"1","prev":"0-0","user":"foo","text":"a"}',
    '{"type":"message","id":"1-1","prev":"0-0","user":1,"text":"a"}',
    '{"type":"joined","user":"foo","session":"1"}',
    '{"type":"left","user":["foo"]}',
    '{"type":"typing"}',
    '{"type":"left","user":"foo","type":["left"]}',
    '{"type":"left","user":"foo","type":{"toString":"left"}}',
    '{"type":"replaced","user":"foo","users":1}',
    '{"type":"notice","text":"a"}',
    '{"type":"resync","last":"1-0","gap":false}',
    '{"type":"welcome","user":"foo"}',
    '{"type":"joined","user":"foo","session":"1","users":1.5}',
    '{"type":"joined","user":"foo","session":"1","users":-1}',
    '{"type":"joined","user":"foo","session":"1","users":1e99}',
    '{"type":"joined","user":"foo","session":["1"],"users":1}',
    '{"type":"message","id":["1-1"],"prev":"0-0","user":"foo","text":"a"}',
    '{"type":"message","id":"1-1","prev":["0-0"],"user":"foo","text":"a"}',
    '{"type":"message","id":"1-1","prev":null,"user":"foo","text":"a"}',
    '{"type":"message","id":"1-1","prev":"0-0","user":"foo","text":["a"]}',
    '{"type":"message","id":"1-1","prev":"0-0","user":"foo","text":"a","ref":1}',
    '{"type":"message","id":"1-1","prev":"0-0","user":"foo","text":"a","ref":null}',
    `{"type":"left","user":${"[".repeat(100_000)}`,
    "null",
    "[]",
  ];
  for (const line of lines) assertEquals(parseEvent(line), undefined, line.slice(0, 100));
});
