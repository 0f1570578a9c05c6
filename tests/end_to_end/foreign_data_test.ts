/**
 * What other programs do to the chat's data in Redis: two users on two instances go on talking.
 */
import { assertEquals } from "@std/assert";
import { EVENT_MARK } from "../../chat/protocol/events.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { JsonClient } from "../support/json_client.ts";
import { assertWords, countGaps, startPair } from "../support/pair.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { until } from "../support/wait.ts";

const FAR = "999999999999999-0";

Deno.test("a forged message makes nobody deaf, marked as an event or not", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await talk();
  const forge = async (id: string, prev: string, mark = EVENT_MARK) => {
    const forged = { type: "message", id, prev, user: "ghost", text: "boo" };
    await redis.command("PUBLISH", "chat:r", mark + JSON.stringify(forged));
    await talk();
  };
  await forge(FAR, FAR);
  await forge(FAR, FAR, "");
  await forge("1-0", "0-0");
  await forge(FAR, "0-0");
  for (const client of [foo, bar]) assertWords(client, 10);
  // These seem to follow the last message.
  const last = () => foo.all("message").at(-1)!.id;
  await forge(FAR, last());
  await forge("1-0", last());
  await forge(last(), last());
  await forge(`${Date.now() + 60_000}-0`, last());
  for (const client of [foo, bar]) {
    assertWords(client, 18);
    assertEquals(countGaps(client), 0);
    // The log is asked before a message is delivered whose id is far ahead, or not higher.
    assertEquals(client.all("message").filter(({ user }) => user === "ghost").length, 1);
    // The next message follows it, unless its instance had not heard it yet.
    assertEquals(client.all("resync").filter(({ gap }) => gap), []);
  }
});

Deno.test("sessions that were handed a forged id are told within a second or two", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await talk();
  const { id: last } = foo.all("message").at(-1)!;
  const id = `${Date.now() + 60_000}-0`;
  const forged = { type: "message", id, prev: last, user: "ghost", text: "boo" };
  await redis.command("PUBLISH", "chat:r", EVENT_MARK + JSON.stringify(forged));
  for (const client of [foo, bar]) await client.find("message", (event) => event.id === id);
  const rest = '"user":"ghost","text":"not published"}';
  await redis.command("XADD", "{chat:r}:log", "*", "prev", last, "rest", rest);
  for (const client of [foo, bar]) {
    assertEquals(await client.find("resync"), { type: "resync", last, gap: false });
  }
  const late = await JsonClient.join(pair.instances[0].port, "late", { room: "r", since: last });
  assertEquals((await late.welcome()).recovered, true);
  await late.leave();
  await talk();
  for (const client of [foo, bar]) assertWords(client, 4);
});

Deno.test("keys of another type are deleted, and nobody loses a name", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk, instances, logged } = pair;
  await talk();
  const rooms = await redis.command("KEYS", "chat-instance-rooms:*") as string[];
  const keys = [...rooms, "chat-users:r", "{chat-users:r}:owners", "{chat:r}:log", "chat-leases"];
  let visits = 0;
  for (const key of keys) {
    await redis.command("DEL", key);
    await redis.command("SET", key, "x");
    // Something needs each of them: a message, a visitor, a new room, or the renewal of a lease.
    await until(async () => {
      foo.send({ type: "message", text: "something" });
      for (const { port } of instances) {
        await (await TextClient.join(port, "visitor", { room: "r" })).leave();
        await (await TextClient.join(port, "visitor", { room: `new-${++visits}` })).leave();
      }
      return await redis.command("TYPE", key) !== "string";
    }, 200);
    await talk();
  }
  await until(async () => (await redis.users("r")).length === 2, 50);
  for (const user of ["foo", "bar"]) {
    const namesake = new TextClient(instances[0].port, user, { room: "r" });
    assertEquals((await namesake.closed).code, 4409);
  }
  for (const client of [foo, bar]) assertWords(client, 2 + 2 * keys.length);
  for (const key of keys) {
    const [one, two] = logged(`the Redis key ${key} useless`);
    assertEquals(one + two, 1, key);
  }
});

Deno.test("payloads and entries of 64 MiB, and garbage, stop nobody", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk, logged } = pair;
  await talk();
  // Redis would close the connection of a subscriber that so much is waiting for.
  await redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0");
  const large = "x".repeat(64 * 1024 * 1024);
  await redis.command("PUBLISH", "chat:r", large);
  const event = { type: "message", id: FAR, prev: FAR, user: "ghost", text: large };
  await redis.command("PUBLISH", "chat:r", EVENT_MARK + JSON.stringify(event));
  await talk();
  const garbage = [
    "",
    "\n\n",
    "{",
    "null",
    '{"type":"left"}',
    '{"type":"joined","user":"foo"}',
    "\0",
  ];
  for (const line of garbage) await redis.command("PUBLISH", "chat:r", EVENT_MARK + line);
  await talk();
  const rest = `"user":"ghost","text":"${large}"}`;
  for (const fields of [["prev", "0-0", "rest", rest], ["rest", "{"], ["a", "b"]]) {
    await redis.command("XADD", "{chat:r}:log", "*", ...fields);
    await talk();
  }
  for (const client of [foo, bar]) {
    assertWords(client, 12);
    assertEquals(client.all("message").length, 12);
    assertEquals(client.all("notice"), []);
  }
  assertEquals(logged("notices above 64 KiB are dropped"), [1, 1]);
  assertEquals(logged("invalid events are dropped"), [1, 1]);
  // The line of the end comes after a minute.
  const [begins] = rowOf("another program publishes in a room").lines;
  for (const one of pair.instances) await assertLogged(one, [begins]);
});

Deno.test("an entry that someone put into the stream ends no page early", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, talk, instances } = pair;
  await talk();
  await redis.command("XADD", "{chat:r}:log", "*", "by", "hand");
  await redis.command("XADD", "{chat:r}:log", "*", "prev", "0-0", "rest", "by hand");
  await talk();
  const ids = foo.all("message").map(({ id }) => id);
  const page = await fetch(`${instances[0].http}/rooms/r/messages?limit=3`);
  const { messages, before } = await page.json();
  assertEquals(messages.map(({ id }: { id: string }) => id), ids.slice(1));
  assertEquals(before, ids[1]);
  assertEquals(messages.map(({ prev }: { prev: string }) => prev), ids.slice(0, 3));
});

Deno.test("a message put into the stream in several lines is sent in one", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk, instances } = pair;
  await talk();
  const { id: last } = foo.all("message").at(-1)!;
  const rest = '\n"user": "ghost",\n"text": "boo"\n}';
  await redis.command("XADD", "{chat:r}:log", "*", "prev", last, "rest", rest);
  await talk();
  const late = await JsonClient.join(instances[0].port, "late", { room: "r", history: 3 });
  for (const client of [foo, bar, late]) {
    const { text } = await client.find("message", ({ user }) => user === "ghost");
    assertEquals(text, "boo");
  }
  await late.leave();
  for (const client of [foo, bar]) assertWords(client, 4);
});

Deno.test("a message that is lost with a log of far ids is told as a gap", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  const LOSE = `redis.call("PUBLISH", "chat:r", ARGV[1])
    redis.call("DEL", "{chat:r}:log")
    if ARGV[2] then redis.call("XADD", "{chat:r}:log", "*", "prev", "0-0", "rest", ARGV[2]) end`;
  const rest = '"user":"ghost","text":"first of the next log"}';
  for (const further of [[], [rest]]) {
    await redis.command("XADD", "{chat:r}:log", FAR, "put", "here");
    await talk();
    const prev = foo.all("message").at(-1)!.id;
    const [time, sequence] = prev.split("-");
    const id = `${time}-${Number(sequence) + 1}`;
    const lost = { type: "message", id, prev, user: "ghost", text: "lost" };
    await redis.command("EVAL", LOSE, "0", EVENT_MARK + JSON.stringify(lost), ...further);
    const gaps = further.length + 1;
    for (const client of [foo, bar]) await until(() => countGaps(client) === gaps, 5);
    await talk();
  }
  for (const client of [foo, bar]) {
    assertWords(client, 8);
    assertEquals(countGaps(client), 2);
  }
});

Deno.test("a message that is lost before one that does not follow it is told", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await talk();
  const prev = foo.all("message").at(-1)!.id;
  // The first follows an entry of another program, so it is not delivered before the log is read.
  // The second one is of an instance that had not heard it when the log was deleted.
  const LOSE = `redis.call("PUBLISH", "chat:r", ARGV[1])
    redis.call("DEL", "{chat:r}:log")
    redis.call("XADD", "{chat:r}:log", ARGV[3], "prev", ARGV[4], "rest", ARGV[5])
    redis.call("PUBLISH", "chat:r", ARGV[2])`;
  const [foreign, lost, next] = [1, 2, 3].map((later) => `${parseInt(prev) + later}-0`);
  const rest = '"user":"ghost","text":"next"}';
  const payload = (id: string, prev: string) =>
    `${EVENT_MARK}{"type":"message","id":"${id}","prev":"${prev}",${rest}`;
  const payloads = [payload(lost, foreign), payload(next, prev)];
  await redis.command("EVAL", LOSE, "0", ...payloads, next, prev, rest);
  for (const client of [foo, bar]) {
    await client.find("message", ({ id }) => id === next);
    assertEquals(client.all("resync"), [{ type: "resync", last: prev, gap: true }]);
  }
  await talk();
  for (const client of [foo, bar]) {
    assertWords(client, 4);
    assertEquals(countGaps(client), 1);
  }
});
