import { assert, assertEquals } from "@std/assert";
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
    frame({ type: "message", id: "2-0", prev: "1-0", user: "foo", text: "a: b" }),
    "foo: a: b",
  );
  assertEquals(frame({ type: "left", user: "foo" }), "foo: has left the chat!");
  assertEquals(
    frame({ type: "replaced", user: "foo", session: "1", former: "s0", users: 2 }),
    undefined,
  );
  assertEquals(frame({ type: "typing", user: "foo" }), undefined);
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

/** Returns the frame of a message by bar. */
function message(text: string, user = "bar"): string | undefined {
  return frame({ type: "message", id: "2-0", prev: "1-0", user, text });
}

Deno.test("each line of a message begins with its sender, whatever breaks the lines", () => {
  for (const lineBreak of ["\r\n", "\r", "\n", "\v", "\f", "\x85", "\u2028", "\u2029"]) {
    assertEquals(message(`hi${lineBreak}foo: ha`), "bar: hi\nbar: foo: ha");
    assertEquals(message(`hi${lineBreak}${lineBreak}ha${lineBreak}`), "bar: hi\nbar: \nbar: ha");
    assertEquals(frame({ type: "notice", text: `hi${lineBreak}ha${lineBreak}` }), "hi\nha");
    assertEquals(message("hi", `b${lineBreak}r`), "b\ufffdr: hi");
  }
  assertEquals(message("\n\n"), "bar: ");
  assertEquals(message(""), "bar: ");
});

Deno.test("no character reaches a text client that a terminal may take for a command", () => {
  const codes = [
    0x61c,
    0x200e,
    0x200f,
    0xfff9,
    0xfffa,
    0xfffb,
    0x7f,
    0xd800,
    0xdbff,
    0xdc00,
    0xdfff,
  ];
  for (let code = 0; code < 0xa0; code++) {
    if (code < 0x20 && !"\t\n\v\f\r".includes(String.fromCharCode(code))) codes.push(code);
    if (code >= 0x80 && code !== 0x85) codes.push(code);
  }
  for (let code = 0x202a; code <= 0x202e; code++) codes.push(code);
  for (let code = 0x2066; code <= 0x206f; code++) codes.push(code);
  for (const code of codes) {
    const control = String.fromCharCode(code);
    assertEquals(message(`a${control}b`), "bar: a\ufffdb", code.toString(16));
    assertEquals(message(`😀\n${control}`), "bar: 😀\nbar: \ufffd", code.toString(16));
    assertEquals(frame({ type: "notice", text: `${control}b` }), "\ufffdb", code.toString(16));
    const user = `b${control}r`;
    assertEquals(message("hi", user), "b\ufffdr: hi");
    assertEquals(frame({ type: "left", user }), "b\ufffdr: has left the chat!");
    assertEquals(
      frame({ type: "joined", user, session: "1", users: 2 }),
      "b\ufffdr: has joined the chat!",
    );
  }
});

Deno.test("all other characters reach a text client unchanged", () => {
  const texts = [
    Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join(""),
    "a\tb  c ",
    "Zoë 😀 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️",
    "علی‌رضا ශ්‍රී မျိုး שלום 你好 नमस्ते",
    "\u00a0\u200b\u200c\u200d\u2027\u202f\u2065\u2070\ufff8\ufffc\ufffd\ue000\u{10ffff}",
  ];
  for (const text of texts) {
    assertEquals(message(text), `bar: ${text}`);
    assertEquals(frame({ type: "notice", text }), text);
  }
});

Deno.test("a line that reads like the server's own is quoted", () => {
  const imitations = [
    "has joined the chat!",
    "has left the chat!",
    "Has Left The Chat!",
    " has  left\tthe chat ! ",
    "has left the chat",
    "has left the chat!!",
    "has\u00a0left\u200b the\u3000chat!",
    "h\u0301as left the chat!",
    "ｈａｓ ｌｅｆｔ ｔｈｅ ｃｈａｔ！",
    "𝐡𝐚𝐬 𝐥𝐞𝐟𝐭 𝐭𝐡𝐞 𝐜𝐡𝐚𝐭!",
    "hаs lеft thе chаt!",
    "НАЅ LEFT ТНЕ СНАТ!",
    "has Ieft the chat!",
    "has |eft the chat!",
    "ⓗⓐⓢ ⓙⓞⓘⓝⓔⓓ ⓣⓗⓔ ⓒⓗⓐⓣ!",
    "ʜᴀꜱ ʟᴇꜰᴛ ᴛʜᴇ ᴄʜᴀᴛ!",
    "㏊s left the chat!",
    "has joíned the chat! 👋",
    `has${"\u200b".repeat(10_000)} left the chat!`,
    `${"\u3164".repeat(10_000)}has left the chat!`,
  ];
  for (const line of imitations) {
    assertEquals(message(line), `bar: “${line}”`);
    assertEquals(message(`hi\n${line}\n`), `bar: hi\nbar: “${line}”`);
    assertEquals(frame({ type: "notice", text: line }), line);
  }
  const honest = [
    "she has left the chat!",
    "has left the chair!",
    `has left${".".repeat(100)} the chat!`,
    "has left the chat, I think",
    "has he left the chat?",
    "foo: has left the chat!",
    "left the chat",
  ];
  for (const line of honest) assertEquals(message(line), `bar: ${line}`);
});

Deno.test("lines that might read like the server's own take little longer than others", () => {
  /** The least time of some, in milliseconds. */
  function timeOf(line: string): number {
    const text = line.repeat(64_000 / line.length);
    return Math.min(...Array.from({ length: 20 }, () => {
      const start = performance.now();
      message(text);
      return performance.now() - start;
    }));
  }
  const others = timeOf("axxxxxx\n");
  for (const line of [".......\n", `${".".repeat(99)}\n`, "has joined the cha\n"]) {
    const ms = timeOf(line);
    assert(ms < 6 * others, `${ms} ms for ${JSON.stringify(line)}, ${others} ms for others`);
  }
});

Deno.test("a short text of many lines becomes no frame that readers cannot take", () => {
  const lines = Array.from({ length: 1_000 }, (_, i) => `${i}`);
  assertEquals(message(lines.join("\n")), lines.map((line) => `bar: ${line}`).join("\n"));
  const user = "😀".repeat(64);
  const text = "x\n".repeat(20_000) + "y";
  const sent = message(text, user)!;
  assertEquals(sent.length < 2 * text.length + 10_000, true, `${sent.length}`);
  assertEquals(sent.split("\n").every((line) => line.startsWith(`${user}: x`)), true);
  assertEquals(sent.endsWith("x x y"), true);
});

Deno.test("the text protocol decodes every frame as one message", () => {
  for (const text of ["", '{"type":"ping"}', "a\nb"]) {
    assertEquals(TEXT.decode(text), { type: "message", text });
  }
});
