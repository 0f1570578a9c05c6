import { assertEquals } from "@std/assert";
import * as text from "../chat/protocol/text.ts";

Deno.test("the text protocol says what its page says, to the letter", () => {
  assertEquals(text.welcome("foo"), "Welcome foo!");
  assertEquals(
    text.line({ type: "joined", user: "foo", session: "1" }),
    "foo: has joined the chat!",
  );
  assertEquals(text.line({ type: "message", user: "foo", text: "a: b\n" }), "foo: a: b\n");
  assertEquals(text.line({ type: "left", user: "foo" }), "foo: has left the chat!");
  assertEquals(text.line({ type: "notice", text: "ops: deploy at five" }), "ops: deploy at five");
  assertEquals(
    text.taken("foo"),
    "username foo is already taken. please retry with a different name",
  );
  assertEquals(text.UNREACHABLE, "failed to connect. please try again");
  assertEquals(text.NOT_DELIVERED, "message not delivered. please try again");
  assertEquals(text.MAYBE_DELIVERED, "message may not have been delivered");
});
