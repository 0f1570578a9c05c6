/**
 * What Redis loses: no message that is missing goes unnoticed, and no id that was heard comes
 * again.
 */
import { assert, assertEquals } from "@std/assert";
import { isLater } from "../../chat/protocol/ids.ts";
import { LONE_LOG_SECONDS } from "../../chat/store/store.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { messageOf, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { assertWords, countGaps, startPair } from "../support/pair.ts";
import { untilReady } from "../support/readiness.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { sleep, until } from "../support/wait.ts";

const LOG = "{chat:r}:log";

/** Lets the log's ids run ahead of the clock, as if the clock of Redis were that of another one. */
async function runAhead(redis: TestRedis, milliseconds: number): Promise<void> {
  await redis.command("XADD", LOG, `${Date.now() + milliseconds}-0`, "clock", "ahead");
}

/** Asserts that a client got no id twice, and each one after the one before. */
function assertIdsGrow(client: JsonClient): void {
  client.all("message").reduce((one, other) => {
    assert(isLater(other.id, one.id), `${other.id} comes after ${one.id}`);
    return other;
  });
}

Deno.test("after a snapshot is restored, everyone is told what may be missing", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await using first = await startRedis({ folder });
  await using pair = await startPair(first);
  const { foo, instances, talk } = pair;
  const text = await TextClient.join(instances[0].port, "text", { room: "r" });
  await talk();
  const saved = foo.all("message").at(-1)!.id;
  await first.command("SAVE");
  await talk();
  const lost = foo.all("message").at(-1)!.id;
  await talk();
  const last = foo.all("message").at(-1)!.id;
  first.process.signal("SIGKILL");
  await first.process.exit;

  await using _redis = await startRedis({ port: first.port, folder });
  await Promise.all(instances.map(untilReady));
  await talk();
  await text.until("bar: words 6");
  await text.until("some messages are missing here");
  await text.until("foo: words 7");
  for (const client of [foo, pair.bar]) {
    assertWords(client, 8);
    assertIdsGrow(client);
    assertEquals(countGaps(client), 1, "what was published during the outage may be missing");
  }
  for (const one of instances) await assertLogged(one, rowOf("Redis has lost messages").lines);

  // Clients that were away come back, to both instances. Of what is before the message that follows
  // the last one, nobody knows whether it came later.
  for (const since of [saved, lost, last]) {
    for (const [i, { port }] of instances.entries()) {
      const away = await JsonClient.join(port, `away-${i}`, { room: "r", since });
      assertEquals((await away.welcome()).recovered, false, since);
      await away.find("message", (message) => message.text === "words 8");
      assertEquals(away.texts, ["words 7", "words 8"]);
      await away.leave();
    }
  }
  await text.leave();
});

Deno.test("after a busy room was restored, who was away is told what may be missing", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  await using first = await startRedis({ folder });
  await using pair = await startPair(first);
  const { foo, bar, instances, talk } = pair;
  await talk();
  const [{ id: early }, { id: saved }] = foo.all("message");
  await first.command("SAVE");
  // More than the instances remember.
  await Promise.all(Array.from({ length: 250 }, (_, i) => foo.publish(`lost ${i}`)));
  await talk();
  first.process.signal("SIGKILL");
  await first.process.exit;

  await using _redis = await startRedis({ port: first.port, folder });
  await Promise.all(instances.map(untilReady));
  for (const client of [foo, bar]) {
    assertEquals(await client.find("resync"), { type: "resync", last: saved, gap: true });
  }
  let count = 0;
  /** Lets clients that were away come back to both instances, and asserts what they are told. */
  async function assertTold(...texts: string[]): Promise<void> {
    for (const { port } of instances) {
      for (const [since, missed] of [[saved, texts], [early, ["words 2", ...texts]]] as const) {
        const away = await JsonClient.join(port, `away-${count++}`, { room: "r", since });
        await away.receivedMessages(missed.length);
        const { recovered } = await away.welcome();
        if (recovered) await away.find("resync", ({ gap }) => gap);
        assertEquals([away.texts, recovered], [missed, since === early]);
        await away.leave();
      }
    }
  }
  await assertTold();
  await talk();
  await assertTold("words 5", "words 6");
  for (const client of [foo, bar]) assertEquals(client.all("resync").length, 1);
});

Deno.test("what an instance had not heard before the log was deleted may be missing", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, instances, talk } = pair;
  await talk();
  const since = foo.all("message").at(-1)!.id;
  await redis.command("DEL", LOG);
  await talk();
  for (const { port } of instances) {
    const away = await JsonClient.join(port, `away-${port}`, { room: "r", since });
    assertEquals((await away.welcome()).recovered, false);
    await away.leave();
  }
  // Both have heard everything.
  for (const client of [foo, bar]) {
    assertWords(client, 4);
    assertEquals([countGaps(client), client.all("resync")], [0, []]);
  }
});

Deno.test("a log that ended because nobody was in its room does not count as lost", async () => {
  await using redis = await startRedis();
  // Of a user who has left, and was always alone there.
  const id = `${Date.now() - 1000 * LONE_LOG_SECONDS - 1}-0`;
  const rest = '"user":"foo","text":"hi"}';
  await redis.command("XADD", "{chat}:log", id, "rest", rest, "prev", "0-0");
  await using empty = await startInstance(redis.env);
  await using other = await startInstance(redis.env);
  const foo = await TextClient.join(other.port, "foo");
  await redis.command("DEL", "{chat}:log");
  await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
  const { lines } = rowOf("Redis has lost messages");
  // Where somebody is in the room, the log would not have ended.
  await assertLogged(other, lines);
  await until(() => empty.output.all.some((line) => /chat-subscriber is back/.test(line)), 20);
  await sleep(500);
  assertEquals(empty.output.all.filter((line) => lines[0].test(messageOf(line))), []);
  await foo.leave();
});

Deno.test("a client that returns to a log that lost its end is told of the gap", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, instances, talk } = pair;
  await talk();
  await talk();
  const ids = foo.all("message").map(({ id }) => id);
  await redis.command("XDEL", LOG, ids[2], ids[3]);
  const away = await JsonClient.join(instances[0].port, "away", { room: "r", since: ids[0] });
  assertEquals(await away.find("resync"), { type: "resync", last: ids[3], gap: true });
  assertEquals(away.texts, ["words 2"]);
  await talk();
  await away.find("message", ({ text }) => text === "words 6");
  assertEquals(countGaps(away, ids[0]), 1);
  await away.leave();
});

Deno.test("a lower id before the message that follows since can be a later one", async () => {
  await using redis = await startRedis();
  const add = (n: number, prev: number, { log = LOG, sequence = 0 } = {}) => {
    const rest = `"user":"baz","text":"words ${n}"}`;
    return redis.command("XADD", log, `${n}-${sequence}`, "prev", `${prev}-0`, "rest", rest);
  };
  // 110 and 111 were lost; 109 was added after 111, with a lower id.
  await add(109, 108);
  await add(112, 111);
  await using pair = await startPair(redis);
  const { port } = pair.instances[0];
  for (const [since, recovered] of [["111-0", false], ["109-0", false], ["108-0", true]] as const) {
    const away = await JsonClient.join(port, `away-${port}`, { room: "r", since });
    assertEquals((await away.welcome()).recovered, recovered, since);
    await away.leave();
  }
  await redis.command("XDEL", LOG, "109-0");
  // The instance that appended the second one did not know of 109.
  for (const [room, sequence] of [["s", 0], ["t", 1e9]] as const) {
    await add(112, 111, { log: `{chat:${room}}:log`, sequence });
    const away = await JsonClient.join(port, `away-${port}`, { room, since: "111-0" });
    assertEquals((await away.welcome()).recovered, sequence === 0);
    await away.leave();
  }
});

Deno.test("ids never go back for those who listen, when the clock of Redis does", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await runAhead(redis, 30_000);
  await talk();
  for (const lose of [["FLUSHALL"], ["DEL", LOG], ["FLUSHALL"]]) {
    await redis.command(...lose);
    await talk();
  }
  for (const client of [foo, bar]) {
    assertWords(client, 8);
    assertIdsGrow(client);
    assertEquals([countGaps(client), client.all("resync")], [0, []]);
  }
});

Deno.test("lower ids of an instance that heard nothing are delivered after a resync", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await runAhead(redis, 30_000);
  await talk();
  await redis.command("DEL", LOG);
  await using third = await startInstance(redis.env);
  const baz = await JsonClient.join(third.port, "baz", { room: "r" });
  await baz.publish("words 3");
  for (const client of [foo, bar]) await client.find("message", ({ text }) => text === "words 3");
  await baz.publish("words 4");
  for (const client of [foo, bar]) {
    await client.find("message", ({ text }) => text === "words 4");
    assertWords(client, 4);
    assertEquals(countGaps(client), 0);
    assertEquals(client.all("resync").map(({ last }) => last), ["0-0"]);
  }
  await baz.leave();
});

Deno.test("an id that is far ahead lifts no ids", async () => {
  await using redis = await startRedis();
  await using pair = await startPair(redis);
  const { foo, bar, talk } = pair;
  await runAhead(redis, 2 * 3_600_000);
  await talk();
  await redis.command("DEL", LOG);
  await talk();
  for (const client of [foo, bar]) {
    assertWords(client, 4);
    assertEquals(countGaps(client), 0);
    const last = client.all("message").at(-1)!.id;
    assert(Math.abs(parseInt(last) - Date.now()) < 60_000, `${last} is of now`);
  }
});
