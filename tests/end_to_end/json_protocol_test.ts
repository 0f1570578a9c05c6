import { assert, assertEquals, assertMatch } from "@std/assert";
import { isLater } from "../../chat/protocol/ids.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient, type ServerEvent } from "../support/json_client.ts";
import { requestUpgrade } from "../support/raw_client.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { secondsSince } from "../support/wait.ts";

Deno.test("a JSON conversation across two instances has every event and field", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const bar = await JsonClient.join(chat.two, "bar");
  await foo.find("joined");
  const hi = await foo.publish("hi bar", "first");
  await bar.find("message");
  bar.send({ type: "message", text: "hello foo" });
  await foo.find("message", ({ user }) => user === "bar");
  await chat.redis.command("PUBLISH", "chat", "ops: deploy at five");
  await bar.find("notice");
  await bar.leave();
  await foo.find("left");
  foo.send({ type: "ping" });
  await foo.find("pong");

  const { session } = foo.all("joined")[0];
  const second = foo.all("message")[1].id;
  assert(isLater(second, hi) && isLater(hi, "0-0"));
  const messages: ServerEvent[] = [
    { type: "message", id: hi, prev: "0-0", user: "foo", text: "hi bar", ref: "first" },
    { type: "message", id: second, prev: hi, user: "bar", text: "hello foo" },
  ];
  const notice: ServerEvent = { type: "notice", text: "ops: deploy at five" };
  const limits = {
    maxMessageBytes: 65_536,
    maxInFlightBytes: 1_048_576,
    features: ["after", "leave", "typing"],
  };
  const welcome = {
    ...{ type: "welcome", room: "chat", last: "0-0", recovered: false } as const,
    ...limits,
  };
  assertEquals(foo.events.filter(({ type }) => type !== "ack"), [
    { ...welcome, user: "foo", users: 1 },
    { type: "joined", user: "bar", session, users: 2 },
    ...messages,
    notice,
    { type: "left", user: "bar" },
    { type: "pong" },
  ]);
  assertEquals(foo.all("ack"), [{ type: "ack", ref: "first", id: hi }]);
  assertEquals(bar.events, [{ ...welcome, user: "bar", users: 2 }, ...messages, notice]);
  await foo.leave();
});

Deno.test("20 text and 20 JSON sessions in one room receive the same conversation", async () => {
  await using chat = await startTwoInstances();
  const port = (i: number) => [chat.one, chat.two][i % 2];
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  const programs = await Promise.all(numbers.map((i) => JsonClient.join(port(i), `user-${i}`)));
  const people = await Promise.all(
    numbers.map((i) => TextClient.join(port(i >> 1), `person-${i}`)),
  );
  await untilCaughtUp(chat.redis, people);
  people.forEach((person) => person.clear());
  for (let n = 0; n < 20; n++) {
    people.forEach((person, i) => person.send(`text ${n} of ${i}`));
    programs.forEach((program, i) => program.send({ type: "message", text: `json ${n} of ${i}` }));
  }
  await Promise.all(programs.map((program) => program.receivedMessages(800)));
  const conversation = programs[0].all("message");
  for (const program of programs) assertEquals(program.all("message"), conversation);
  conversation.forEach(({ prev }, i) => assertEquals(prev, conversation[i - 1]?.id ?? "0-0"));
  await untilCaughtUp(chat.redis, people);
  for (const [i, person] of people.entries()) {
    const expected = conversation.filter(({ user }) => user !== `person-${i}`);
    assertEquals(person.frames, expected.map(({ user, text }) => `${user}: ${text}`));
  }
  await Promise.all([...programs, ...people].map((one) => one.leave()));
});

Deno.test("an invalid message gets an error with its cause, and the session goes on", async () => {
  await using chat = await startTwoInstances({ MAX_MESSAGE_BYTES: "1000" });
  const foo = await JsonClient.join(chat.one, "foo");
  const right = 'send lines such as {"type":"message","text":"hi"}';
  const cases: [unknown, string, string, string?][] = [
    ["hi", "bad_message", `the line is not JSON: ${right}`],
    ['{"type":"token","token":"eyJh', "bad_message", "the line is not JSON at position 29"],
    ['{"type":"token","token":eyJh}', "bad_message", "the line is not JSON"],
    ["null", "bad_message", "Invalid type: Expected Object but received null"],
    [[], "bad_message", `type: this field is missing: ${right}`],
    [{ text: "a" }, "bad_message", `type: this field is missing: ${right}`],
    [{ type: "shout", text: "a" }, "bad_message", `type: there is no such type: ${right}`],
    [{ type: 5, text: "a" }, "bad_message", `type: there is no such type: ${right}`],
    [{ type: "message" }, "bad_message", "text: this field is missing"],
    [{ type: "message", text: 5, ref: "r1" }, "bad_message", "text: ", "r1"],
    [{ type: "message", text: "a", ref: 5 }, "bad_message", "ref: "],
    [{ type: "message", text: "a", ref: "" }, "bad_message", "ref: "],
    [{ type: "message", text: "a", ref: "x".repeat(65) }, "bad_message", "ref: "],
    [{ type: "message", text: "a", ref: "\ud800" }, "bad_message", "ref: "],
    [{ type: "message", text: "a", reff: "1" }, "bad_message", "reff: there is no such field here"],
    [{ type: "message", text: "a", ref: "r3", at: 1 }, "bad_message", "at: ", "r3"],
    ["[".repeat(4_000), "bad_message", "the line is not JSON"],
    ["[".repeat(100_000), "bad_message", "the line has too many fields"],
    [{ type: "message", text: "é".repeat(501), ref: "r2" }, "too_large", "the text is", "r2"],
    [{ type: "message", text: "\0".repeat(167), ref: "r4" }, "too_large", "the text is", "r4"],
  ];
  for (const [i, [line, code, message, ref]] of cases.entries()) {
    foo.send(line);
    await foo.received(i + 2);
    const error = foo.events.at(-1)!;
    assert(error.type === "error", JSON.stringify(error));
    assertEquals([error.code, error.ref], [code, ref], JSON.stringify(line));
    assert(error.message.startsWith(message), `${error.message} for ${JSON.stringify(line)}`);
    assert(!error.message.includes("eyJ"), "it quotes the token");
  }
  await foo.publish("é".repeat(500));
  await foo.publish("\0".repeat(166));
  await foo.leave();
});

Deno.test("a frame may contain several lines, some of them empty", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  foo.send(
    { type: "message", text: "one", ref: "😀".repeat(64) },
    "",
    "no",
    { type: "message", text: "two\nlines", ref: "2" },
    { type: "message", text: "\ud800 \u0000", ref: "3" },
    "",
  );
  await foo.find("ack", ({ ref }) => ref === "3");
  await foo.find("message", ({ ref }) => ref === "3");
  assertEquals(foo.all("error").length, 1);
  assertEquals(foo.texts, ["one", "two\nlines", "\ud800 \u0000"]);
  assertEquals(foo.all("message").map(({ ref }) => ref), ["😀".repeat(64), "2", "3"]);
  await foo.leave();
});

Deno.test("a blank frame is ignored", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  for (const blank of ["", " ", "\r\n\r\n", " \n\t"]) foo.send(blank);
  await foo.publish("hi");
  assertEquals(foo.all("error"), []);
  await foo.leave();
});

Deno.test("a binary frame or a frame that is too long closes the session", async () => {
  await using chat = await startTwoInstances();
  const bytes = await JsonClient.join(chat.one, "bytes");
  bytes.sendBytes(new Uint8Array([1, 2]));
  assertEquals((await bytes.closed).code, 1003);
  const huge = await JsonClient.join(chat.one, "huge");
  huge.send("x".repeat(1_048_577));
  assertEquals((await huge.closed).code, 1009);
});

Deno.test("a client whose name is taken receives an error before the close", async () => {
  await using chat = await startTwoInstances();
  const foo = await TextClient.join(chat.one, "foo");
  const second = new JsonClient(chat.two, "foo");
  assertEquals((await second.closed).code, 4409);
  const message = "username foo is already taken. please retry with a different name";
  assertEquals(second.events, [{ type: "error", code: "name_taken", message }]);
  await foo.leave();
});

Deno.test("an invalid join request is refused before the upgrade", async () => {
  await using chat = await startTwoInstances();
  async function get(query: string, subprotocol?: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${chat.one}/chat/foo${query}`, {
      headers: subprotocol === undefined ? {} : { "sec-websocket-protocol": subprotocol },
    });
    return `${response.status} ${await response.text()}`;
  }
  const json = "chat.json.v1";
  assertEquals(
    await get("", "chat.xml"),
    '400 the subprotocol "chat.xml" is not known: ask for chat.json.v1, or for none\n',
  );
  assertEquals(
    await get("?since=1-0"),
    "400 since is for clients that ask for the subprotocol chat.json.v1\n",
  );
  assertEquals(
    await get("?since=1-0&history=5", `x, ${json}`),
    "400 since and history are both given: give one\n",
  );
  for (const history of ["201", "-1", "x", "1.5", ""]) {
    assertEquals(
      await get(`?history=${history}`, json),
      `400 history is "${history}": give a whole number from 0 to 200\n`,
    );
  }
});

Deno.test("a list of subprotocols is read with and without spaces", async () => {
  await using instance = await startInstance();
  const name = "sec-websocket-protocol";
  const lists = [
    ["chat.json.v1,other"],
    ["other,chat.json.v1"],
    ["other ,\tchat.json.v1"],
    ["other", "chat.json.v1"],
  ];
  for (const list of lists) {
    const headers = list.map((value) => `${name}: ${value}`);
    const head = await requestUpgrade(instance.port, "foo", ...headers);
    assertMatch(head, /^HTTP\/1.1 101 /);
    assertMatch(head, /^sec-websocket-protocol: chat\.json\.v1\r$/im);
  }
});

Deno.test("both protocols send history after the welcome and before new messages", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  for (let i = 0; i < 5; i++) await foo.publish(`message ${i}`);
  const person = await TextClient.join(chat.two, "person", { history: 3 });
  const program = await JsonClient.join(chat.two, "program", { history: 3 });
  const few = await JsonClient.join(chat.two, "few", { history: 0 });
  const all = await JsonClient.join(chat.two, "all", { history: 200 });
  const last = await foo.publish("live");
  await Promise.all([program, few, all].map((one) => one.find("message", ({ id }) => id === last)));
  await untilCaughtUp(chat.redis, [person]);
  assertEquals(person.frames.filter((frame) => !frame.endsWith("joined the chat!")), [
    "Welcome person!",
    "foo: message 2",
    "foo: message 3",
    "foo: message 4",
    "foo: live",
  ]);
  assertEquals(program.texts, ["message 2", "message 3", "message 4", "live"]);
  assertEquals((await program.welcome()).last, foo.all("message")[4].id);
  assertEquals(few.texts, ["live"]);
  assertEquals(all.texts, foo.texts);
  await Promise.all([foo, person, program, few, all].map((one) => one.leave()));
});

Deno.test("a client that resumes misses nothing while others keep publishing", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  let isDone = false;
  const publishing = (async () => {
    let last = "";
    for (let i = 0; !isDone; i++) last = await foo.publish(`message ${i}`);
    return last;
  })();
  const first = await foo.find("message");
  const resumed: JsonClient[] = [];
  for (let since = first.id, i = 0; i < 40; i++) {
    const client = await JsonClient.join([chat.one, chat.two][i % 2], `resumed-${i}`, { since });
    resumed.push(client);
    await client.find("message", ({ id }) => isLater(id, since));
    // Some clients resume after the one before them has, others from the same message as it.
    if (i % 3 > 0) since = client.all("message").at(-1)!.id;
  }
  isDone = true;
  const last = await publishing;
  await foo.find("message", ({ id }) => id === last);
  const all = foo.all("message");
  for (const client of resumed) {
    await client.find("message", ({ id }) => id === all.at(-1)!.id);
    const { recovered } = await client.welcome();
    assert(recovered);
    const [{ prev }] = client.all("message");
    const start = all.findIndex(({ id }) => id === prev) + 1;
    assertEquals(client.all("message"), all.slice(start));
  }
  await Promise.all([foo, ...resumed].map((one) => one.leave()));
});

Deno.test("history has the requested length while others keep publishing", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  for (let i = 0; i < 5; i++) await foo.publish(`message ${i}`);
  let isDone = false;
  const publishing = (async () => {
    for (let i = 5; !isDone; i++) await foo.publish(`message ${i}`);
  })();
  for (let i = 0; i < 20; i++) {
    const late = await JsonClient.join(chat.two, `late-${i}`, { history: 3 });
    const { last } = await late.welcome();
    const after = await late.find("message", ({ id }) => isLater(id, last));
    const before = late.all("message").slice(0, late.all("message").indexOf(after));
    assertEquals([before.length, before.at(-1)?.id], [3, last]);
    assertEquals(after.prev, last);
    await late.leave();
  }
  isDone = true;
  await publishing;
  await foo.leave();
});

Deno.test("a client that resumes within the log recovers everything", async () => {
  await using chat = await startTwoInstances();
  const early = await JsonClient.join(chat.one, "early", { since: "0-0" });
  assertEquals((await early.welcome()).recovered, true);
  const ids = [await early.publish("one"), await early.publish("two")];
  const cases: [string, string[]][] = [
    ["0-0", ["one", "two"]],
    [ids[0], ["two"]],
    [ids[1], []],
  ];
  for (const [since, texts] of cases) {
    const late = await JsonClient.join(chat.two, "late", { since });
    await chat.redis.command("PUBLISH", "chat", "a mark");
    await late.find("notice");
    const { last, recovered, users } = await late.welcome();
    assertEquals([last, recovered, users, late.texts], [ids[1], true, 2, texts]);
    await late.leave();
  }
  await early.leave();
});

Deno.test("a client that resumes from before the log can see the gap", async () => {
  await using chat = await startTwoInstances({ HISTORY_LIMIT: "20" });
  const foo = await JsonClient.join(chat.one, "foo");
  const since = await foo.publish("first");
  await Promise.all(Array.from({ length: 400 }, (_, i) => foo.publish(`message ${i}`)));
  // An ack may arrive before the message itself.
  await foo.receivedMessages(401);
  const last = foo.all("message").at(-1)!;
  const late = await JsonClient.join(chat.two, "late", { since });
  assertEquals((await late.welcome()).recovered, false);
  await late.find("message", ({ id }) => id === last.id);
  const left = late.all("message");
  assert(left.length >= 20 && left.length < 400, `${left.length} are left`);
  assertEquals(left, foo.all("message").slice(-left.length));
  assert(isLater(left[0].prev, since), "the first message shows that others are missing before it");
  await Promise.all([foo, late].map((one) => one.leave()));
});

Deno.test("a client that resumes in a deleted log is not recovered, without an error", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const since = await foo.publish("heard");
  const forgotten = await foo.publish("forgotten");
  await chat.redis.command("DEL", "{chat}:log");
  const last = await foo.publish("remembered");
  const late = await JsonClient.join(chat.two, "late", { since });
  await late.find("message", ({ id }) => id === last);
  assertEquals([(await late.welcome()).recovered, late.texts], [false, ["remembered"]]);
  assertEquals(late.all("message")[0].prev, forgotten);

  const red = await JsonClient.join(chat.two, "red", { room: "red", since });
  assertEquals((await red.welcome()).recovered, false);
  const id = await red.publish("first");
  await red.find("message", (message) => message.id === id);
  assertEquals(red.all("error"), []);
  await Promise.all([foo, late, red].map((one) => one.leave()));
});

Deno.test("an invalid since gets an error, and the session goes on", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const last = await foo.publish("hi");
  const future = `${Date.now() + 3_600_000}-0`;
  const cases = [
    [future, `since is ${future}, but the room's newest message is ${last}`],
    ...["yesterday", "5", "1-", "01-0", "99999999999999999999-0", ""]
      .map((since) => [since, `since is "${since}", which is not an id`]),
  ];
  for (const [since, message] of cases) {
    const bar = await JsonClient.join(chat.two, "bar", { since });
    assertEquals((await bar.welcome()).recovered, false);
    const id = await bar.publish("hello");
    await bar.find("message", (message) => message.id === id);
    assertEquals(bar.all("error"), [{ type: "error", code: "bad_since", message }]);
    assertEquals(bar.texts, ["hello"]);
    await bar.leave();
  }
  await foo.leave();
});

Deno.test("1,000 clients that resume at the same moment share few reads", async () => {
  await using chat = await startTwoInstances();
  const foo = await JsonClient.join(chat.one, "foo");
  const since = await foo.publish("first");
  const texts = Array.from({ length: 250 }, (_, i) => `message ${i}`);
  for (const text of texts) await foo.publish(text);
  const before = await countReads(chat.redis);
  const start = performance.now();
  const clients = Array.from(
    { length: 1_000 },
    (_, i) => new JsonClient([chat.one, chat.two][i % 2], `user-${i}`, { since }),
  );
  await Promise.all(clients.map((client) => client.receivedMessages(texts.length)));
  console.log(`all clients had resumed after ${secondsSince(start)}`);
  for (const client of clients) {
    assertEquals((await client.welcome()).recovered, true);
    assertEquals(client.texts, texts);
  }
  const reads = await countReads(chat.redis) - before;
  console.log(`Redis was read ${reads} times, 16 messages at most each`);
  assert(reads < 2_000, `Redis was read ${reads} times`);
  await Promise.all([foo, ...clients].map((one) => one.leave()));
});

/** Returns how many times Redis has been asked for a part of a log. */
async function countReads(
  redis: { command(...words: string[]): Promise<unknown> },
): Promise<number> {
  const stats = await redis.command("INFO", "commandstats") as string;
  return Number(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}
