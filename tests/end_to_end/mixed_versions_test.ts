import { assert, assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeLaterVersion } from "../support/version.ts";

const MESSAGE_COUNT = 100;

/** What clients of a later version receive beside messages. */
const REACTED = { type: "reacted", user: "zoe" };

Deno.test("this version and a later one, with more types and fields, share a Redis", async () => {
  await using later = await makeLaterVersion();
  await using redis = await startRedis();
  await using old = await startInstance(redis.env);
  await using next = await startInstance(redis.env, { folder: later.folder });
  const texts = [
    await TextClient.join(old.port, "old text"),
    await TextClient.join(next.port, "next text"),
  ];
  const jsons = [
    await JsonClient.join(old.port, "old json"),
    await JsonClient.join(next.port, "next json"),
  ];
  for (let i = 0; i < MESSAGE_COUNT / 4; i++) {
    for (const client of texts) client.send(`message ${i}`);
    await Promise.all(jsons.map((client) => client.publish(`message ${i}`)));
  }
  await Promise.all(jsons.map((client) => client.receivedMessages(MESSAGE_COUNT)));

  // Each client has received each message once, in one order, with nothing missing in between.
  const [ofOld, ofNext] = jsons.map((client) => client.all("message"));
  assertEquals(ofOld, ofNext);
  assertEquals(new Set(ofOld.map(({ user, text }) => `${user}: ${text}`)).size, MESSAGE_COUNT);
  ofOld.slice(1).forEach(({ prev }, i) => assertEquals(prev, ofOld[i].id));
  for (const [i, user] of ["old text", "next text"].entries()) {
    const expected = ofOld.filter((message) => message.user !== user)
      .map((message) => `${message.user}: ${message.text}`);
    await texts[i].until(expected.at(-1)!);
    const lines = texts[i].frames.filter((line) => !/ the chat!$|^Welcome /.test(line));
    const isReaction = (line: string) => line === "zoe has reacted";
    assertEquals(lines.filter((line) => !isReaction(line)), expected);
    assertEquals(lines.some(isReaction), user === "next text");
  }

  // What this version does not know, it passes on to programs as it is.
  for (const { events } of jsons) {
    assert(events.some((event) => JSON.stringify(event) === JSON.stringify(REACTED)));
  }
  const moods = ofOld.map((message) => (message as unknown as { mood?: string }).mood);
  assertEquals(new Set(moods), new Set([undefined, "fine"]));

  // Both read each other's entries.
  for (const { http, port } of [old, next]) {
    const page = await (await fetch(`${http}/rooms/chat/messages?limit=200`)).json();
    assertEquals(page.messages, ofOld);
    const back = await JsonClient.join(port, `back at ${port}`, { since: ofOld[9].id });
    await back.receivedMessages(MESSAGE_COUNT - 10);
    assert((await back.welcome()).recovered);
    await back.leave();
  }
  for (const client of [...texts, ...jsons]) await client.leave();
  assertEquals(old.output.all.filter((line) => /warning|error/.test(line)), []);
});
