import { assertEquals } from "@std/assert";
import type { RoomEvent } from "../../chat/protocol/events.ts";
import { errorReply } from "../../chat/protocol/errors.ts";
import { TEXT } from "../../chat/protocol/text.ts";

function frame(event: RoomEvent): string | undefined {
  return TEXT.encodeEvent(event, JSON.stringify(event));
}

Deno.test("the text protocol encodes every event and reply as its page says", () => {
  assertEquals(
    TEXT.encodeReply({
      type: "welcome",
      user: "foo",
      room: "r",
      last: "0-0",
      recovered: false,
      users: 1,
      maxMessageBytes: 65_536,
      maxInFlightBytes: 1_048_576,
      features: [],
    }),
    "Welcome foo!",
  );
  assertEquals(
    frame({ type: "joined", user: "foo", session: "1", users: 2 }),
    "foo: has joined the chat!",
  );
  assertEquals(
    frame({ type: "message", id: "2-0", prev: "1-0", user: "foo", text: "a: b\n" }),
    "foo: a: b\n",
  );
  assertEquals(frame({ type: "left", user: "foo" }), "foo: has left the chat!");
  assertEquals(
    frame({ type: "replaced", user: "foo", session: "1", former: "s0", users: 2 }),
    undefined,
  );
  assertEquals(frame({ type: "unknown" }), undefined);
  assertEquals(frame({ type: "resync", last: "1-0", gap: false }), undefined);
  assertEquals(
    frame({ type: "resync", last: "1-0", gap: true }),
    "some messages are missing here",
  );
  assertEquals(frame({ type: "notice", text: "ops: deploy at five" }), "ops: deploy at five");
  assertEquals(
    TEXT.encodeReply(errorReply.nameTaken("foo")),
    "username foo is already taken. please retry with a different name",
  );
  assertEquals(TEXT.encodeReply(errorReply.unavailable()), "failed to connect. please try again");
  assertEquals(
    TEXT.encodeReply(errorReply.notDelivered()),
    "message not delivered. please try again",
  );
  assertEquals(TEXT.encodeReply(errorReply.unknown()), "message may not have been delivered");
  assertEquals(TEXT.encodeReply({ type: "ack", ref: "1", id: "1-0" }), undefined);
});

Deno.test("the text protocol decodes every frame as one message", () => {
  for (const text of ["", '{"type":"ping"}', "a\nb"]) {
    assertEquals(TEXT.decode(text), { type: "message", text });
  }
});
