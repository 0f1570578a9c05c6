import { assertEquals } from "@std/assert";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";

/** What instances of a version published on the channel of a room, and wrote into its log. */
interface Recording {
  readonly payloads: readonly string[];
  readonly entries: readonly (readonly [id: string, fields: readonly string[]])[];
}

const ID_MESSAGES = [
  ["1795732256803-0", "foo", 'hi, with "quotes" and a\nsecond line', undefined],
  ["1795732256906-0", "Zoë 😀", "one", "r-1"],
  ["1795732256906-1", "Zoë 😀", "two", "r-2"],
  ["1795732257008-0", "Zoë 😀", "", undefined],
] as const;

const MESSAGES = ID_MESSAGES.map(([id, user, text, ref], i) => ({
  ...{ type: "message", id, prev: ID_MESSAGES[i - 1]?.[0] ?? "0-0", user, text },
  ...ref === undefined ? {} : { ref },
}));

const [SESSION, OTHER_SESSION] = [
  "b743a7b1-4902-49e0-8c20-cd657df905fd",
  "7316aa4e-491f-48c7-a58d-294236c01718",
];

Deno.test("what version 0.3 published and logged is still understood", async () => {
  const file = new URL("../recorded/0.3.json", import.meta.url);
  const { payloads, entries }: Recording = JSON.parse(await Deno.readTextFile(file));
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  const json = await JsonClient.join(one.port, "json");
  const text = await TextClient.join(one.port, "text");
  await json.find("joined", ({ user }) => user === "text");
  json.events.length = 0;
  for (const [id, fields] of entries) {
    await redis.command("XADD", "{chat}:log", id, ...fields);
  }
  for (const payload of payloads) await redis.command("PUBLISH", "chat", payload);
  await redis.command("PUBLISH", "chat", "that was all");

  await text.until("that was all");
  assertEquals(text.frames.slice(1, -1), [
    "foo: has joined the chat!",
    'foo: hi, with "quotes" and a\nfoo: second line',
    "Zoë 😀: has joined the chat!",
    "Zoë 😀: one",
    "Zoë 😀: two",
    "Zoë 😀: ",
    "Zoë 😀: has left the chat!",
  ]);
  await json.find("notice");
  assertEquals<unknown>(json.events.slice(0, -1), [
    { type: "joined", user: "foo", session: SESSION, users: 1 },
    MESSAGES[0],
    { type: "joined", user: "Zoë 😀", session: OTHER_SESSION, users: 2 },
    ...MESSAGES.slice(1),
    { type: "left", user: "Zoë 😀" },
  ]);
  const page = await (await fetch(`${one.http}/rooms/chat/messages`)).json();
  assertEquals(page, { messages: MESSAGES, before: null });
  await json.leave();
  await text.leave();
});
