import { assertEquals } from "@std/assert";
import { parseEvent, type RoomEvent } from "../../chat/protocol/events.ts";

Deno.test("parseEvent() parses every event that is published", () => {
  const events: RoomEvent[] = [
    { type: "joined", user: "foo", session: "1", users: 2 },
    { type: "left", user: "foo" },
    { type: "message", id: "1-2", prev: "0-0", user: "foo", text: 'a: "b"\n\u2028😀', ref: "r" },
    { type: "message", id: "1700000000000-0", prev: "1-2", user: "foo", text: "" },
  ];
  for (const event of events) assertEquals(parseEvent(JSON.stringify(event)), event);
});

Deno.test("parseEvent() returns everything else unchanged as a notice", () => {
  const lines = [
    "ops: deploy at five",
    "",
    "{",
    '{"type":"',
    '{"type":"message","user":"foo"}',
    '{"type":"message","user":"foo","text":"a"}',
    '{"type":"message","id":"1","prev":"0-0","user":"foo","text":"a"}',
    '{"type":"message","id":"1-1","prev":"0-0","user":1,"text":"a"}',
    '{"type":"left",\n"user":"foo"}',
    '{"type":"joined","user":"foo","session":"1"}',
    '{"type":"other","user":"foo"}',
    '{"type":"left","user":["foo"]}',
    '{"type":"left","user":"foo","type":["left"]}',
    '{"type":"left","user":"foo","type":{"toString":"left"}}',
    '{"type":"toString","user":"foo"}',
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
  for (const text of lines) assertEquals(parseEvent(text), { type: "notice", text });
});
