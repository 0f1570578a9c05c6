import { assert, assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { assertLogged, rowOf } from "../support/fault_table.ts";
import { startHttpServer } from "../support/http_server.ts";
import { startInstance } from "../support/instance.ts";
import { type EventOf, JsonClient } from "../support/json_client.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { sleep, until } from "../support/wait.ts";

const message = (ref: string) => ({ type: "message", text: ref, ref });

/** Waits for the answer to each message: an ack, or an error. */
async function answersTo(client: JsonClient, refs: readonly string[]) {
  const isAnswer = (event: { type: string; ref?: string }) =>
    (event.type === "ack" || event.type === "error") && refs.includes(event.ref!);
  await until(() => client.events.filter(isAnswer).length === refs.length);
  return client.events.filter(isAnswer) as (EventOf<"ack"> | EventOf<"error">)[];
}

Deno.test("messages over the rate are refused in a row, and taken in order later", async () => {
  await using instance = await startInstance({ MAX_MESSAGES_PER_SECOND: "2" });
  const foo = await JsonClient.join(instance.port, "foo");
  const { messagesPerSecond, messagesBurst, bytesPerSecond } = await foo.welcome();
  assertEquals([messagesPerSecond, messagesBurst, bytesPerSecond], [2, 4, undefined]);
  const refs = ["1", "2", "3", "4", "5", "6"];
  foo.send(...refs.map(message));
  const answers = await answersTo(foo, refs);
  const errors = answers.filter((answer) => answer.type === "error");
  assertEquals(errors.map(({ code, ref }) => [code, ref]), [["too_many", "5"], ["too_many", "6"]]);
  const [{ retryAfterMs }] = errors;
  assert(retryAfterMs! > 900 && retryAfterMs! <= 1_001, `${retryAfterMs}`);
  // Until then nothing else is taken either, so that it cannot overtake what was refused.
  foo.send(message("7"));
  const [refused] = await answersTo(foo, ["7"]);
  assertEquals(refused.type === "error" && refused.code, "too_many");
  await sleep(retryAfterMs!);
  foo.send(message("5a"), message("6a"));
  await answersTo(foo, ["5a", "6a"]);
  await foo.received(foo.events.length);
  await until(() => foo.texts.length === 6);
  assertEquals(foo.texts, ["1", "2", "3", "4", "5a", "6a"]);
  await assertLogged(instance, rowOf("a client sends too much").lines);
  await foo.leave();
});

Deno.test("a text client is told once that its messages are refused", async () => {
  await using instance = await startInstance({ MAX_MESSAGES_PER_SECOND: "2" });
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user) => TextClient.join(instance.port, user)),
  );
  for (let i = 1; i <= 20; i++) foo.send(`${i}`);
  await foo.until("message not delivered: too many. please try again in 1 s");
  await sleep(1_100);
  foo.send("later");
  await bar.until("foo: later");
  assertEquals(bar.frames.filter((frame) => /^foo: [\dl]/.test(frame)), [
    ...["foo: 1", "foo: 2", "foo: 3", "foo: 4", "foo: later"],
  ]);
  assertEquals(foo.frames.filter((frame) => frame.includes("too many")).length, 1);
  await Promise.all([foo.leave(), bar.leave()]);
});

Deno.test("lines and bytes over the budget wait, in order, and each is answered", async () => {
  for (const [name, value] of [["MAX_LINES_PER_SECOND", "10"], ["MAX_BYTES_PER_SECOND", "800"]]) {
    await using instance = await startInstance({ [name]: value });
    const foo = await JsonClient.join(instance.port, "foo");
    const refs = Array.from({ length: 110 }, (_, i) => `${i + 100}`);
    foo.send(...refs.map((ref) => ({ type: "message", text: "x".repeat(30), ref })));
    const answers = await answersTo(foo, refs);
    assertEquals(answers.map(({ type, ref }) => `${type} ${ref}`), refs.map((ref) => `ack ${ref}`));
    const errors = foo.all("error");
    assertEquals(errors.map(({ code, ref }) => [code, ref]), [["too_many", undefined]]);
    assert(errors[0].retryAfterMs! > 0);
    await foo.leave();
  }
});

Deno.test("300 messages at once are answered, and the connection stays", async () => {
  await using instance = await startInstance({ LIMITS: "on" });
  const foo = await JsonClient.join(instance.port, "foo");
  const refs = Array.from({ length: 300 }, (_, i) => `${i}`);
  for (const ref of refs) foo.send(message(ref));
  const answers = await answersTo(foo, refs);
  // The burst, and what the rate allows while they are sent.
  const taken = answers.filter(({ type }) => type === "ack").length;
  assert(taken >= 40 && taken < 100, `${taken} were taken`);
  foo.send({ type: "ping" });
  await foo.find("pong");
  await foo.leave();
});

Deno.test("the lines of one frame are answered in one frame", async () => {
  await using instance = await startInstance();
  const socket = new WebSocket(`ws://127.0.0.1:${instance.port}/chat/foo`, "chat.json.v1");
  const frames: string[] = [];
  socket.onmessage = ({ data }) => void frames.push(data);
  await until(() => frames.length === 1);
  socket.send(Array(499).fill("1").concat('{"type":"ping"}').join("\n"));
  await until(() => frames.at(-1)!.includes("pong"));
  assertEquals(frames.length, 2);
  assertEquals(frames[1].split("\n").length, 500);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  socket.close();
  await closed;
});

Deno.test("a client at full speed loses and repeats nothing, and is never refused", async () => {
  const env = { LIMITS: "on", MAX_MESSAGES_PER_SECOND: "50", MAX_BYTES_PER_SECOND: "20000" };
  await using instance = await startInstance(env);
  const watcher = await JsonClient.join(instance.port, "watcher");
  const chat = new ChatClient(`ws://127.0.0.1:${instance.port}`, "foo");
  const texts = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(i % 5 * 100, "x"));
  const ids = await Promise.all(texts.map((text) => chat.send(text)));
  await until(() => watcher.texts.length === texts.length);
  assertEquals(watcher.texts, texts);
  assertEquals(watcher.all("message").map(({ id }) => id), ids);
  // Nothing was refused or had to wait.
  assertEquals(instance.output.all.length, 2, instance.output.all.join("\n"));
  await chat.close();
  await watcher.leave();
});

Deno.test("a client that goes on for ten seconds is disconnected with 4429", async () => {
  const env = { MAX_MESSAGES_PER_SECOND: "2", MAX_LINES_PER_SECOND: "100" };
  await using instance = await startInstance(env);
  const [talker, pinger] = await Promise.all(
    ["talker", "pinger"].map((user) => JsonClient.join(instance.port, user)),
  );
  let isTalking = true;
  const ended = Promise.all([talker.closed, pinger.closed]).finally(() => isTalking = false);
  for (let i = 0; isTalking; i++) {
    talker.send(message(`${i}`));
    pinger.send(...Array(40).fill({ type: "ping" }));
    await sleep(100);
  }
  assertEquals((await ended).map(({ code }) => code), [CLOSE.tooMany.code, CLOSE.tooMany.code]);
});

Deno.test("while a frame of many lines is read, other clients are heard", async () => {
  // In this process, both turns of the event loop and clients are as slow as it is.
  await using server = await startHttpServer();
  const [foo, bar] = await Promise.all(
    ["foo", "bar"].map((user) => JsonClient.join(server.port, user)),
  );
  const lines = Array(40_000).fill('{"type":"typing"}');
  foo.send({ type: "message", text: "begin" }, ...lines, { type: "message", text: "end" });
  await bar.receivedMessages(1);
  bar.send({ type: "message", text: "heard" });
  await bar.receivedMessages(3);
  assertEquals(bar.texts, ["begin", "heard", "end"]);
  await Promise.all([foo.leave(), bar.leave()]);
});

Deno.test("first messages of many rooms are refused, and those of used rooms are not", async () => {
  await using instance = await startInstance({ MAX_NEW_ROOMS_PER_SECOND: "1" });
  const rooms = Array.from({ length: 40 }, (_, i) => `r${i}`);
  const clients = await Promise.all(
    rooms.map((room) => JsonClient.join(instance.port, "foo", { room })),
  );
  const late = await JsonClient.join(instance.port, "bar", { room: "r0" });
  for (const client of clients) client.send(message("1"));
  const answers = (await Promise.all(clients.map((client) => answersTo(client, ["1"])))).flat();
  const refused = answers.filter((answer) => answer.type === "error" && answer.code === "too_many");
  assert(refused.length > 10 && refused.length <= 20, `${refused.length}`);
  for (const client of [clients[0], late]) await client.publish("not the first one");
  await Promise.all([...clients, late].map((client) => client.leave()));
});

Deno.test("a new room counts once, however many users send its first message at once", async () => {
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, MAX_NEW_ROOMS_PER_SECOND: "1" });
  const clients = await Promise.all(
    Array.from({ length: 40 }, (_, i) => JsonClient.join(instance.port, `u-${i}`)),
  );
  for (const client of clients) client.send(message("1"));
  const answers = (await Promise.all(clients.map((client) => answersTo(client, ["1"])))).flat();
  assertEquals(answers.filter(({ type }) => type !== "ack"), []);
  await Promise.all(clients.map((client) => client.leave()));
});
