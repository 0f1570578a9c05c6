import { assert, assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { payloadOf } from "../../chat/protocol/events.ts";
import { errorReply } from "../../chat/protocol/errors.ts";
import { nextId } from "../../chat/protocol/ids.ts";
import { EventsClient } from "../support/events_client.ts";
import { JsonClient } from "../support/json_client.ts";
import { startHttpServer } from "../support/http_server.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { startTwoInstances } from "../support/two_instances.ts";

const page = await Deno.readTextFile(new URL("../../docs/protocol.md", import.meta.url));

/** The text under each heading of the page. */
const sections = new Map(
  page.split(/^#+ /m).slice(1).map((section) => {
    const end = section.indexOf("\n");
    return [section.slice(0, end).replaceAll("`", ""), section.slice(end)] as const;
  }),
);

/** Returns the first cell of each row in the table whose first column has a heading. */
function rows(text: string, heading: string): string[] {
  const [, table] = new RegExp(`^\\| ${heading} +\\|.*\n\\|.*\n((\\|.*\n)+)`, "m").exec(text) ?? [];
  assert(table, `no table of ${heading} in ${text}`);
  return table.trim().split("\n").map((row) => row.split("|")[1].trim().replaceAll("`", ""));
}

// deno-lint-ignore no-explicit-any -- JSON of any shape
type Json = any;

/** Returns the examples in a section. */
function examples(text: string): Json[] {
  return [...text.matchAll(/^```json\n([^`]*)\n```$/gm)].map(([, example]) => JSON.parse(example));
}

/** Replaces what differs from run to run: ids and sessions. */
function normalize(value: Json): Json {
  return JSON.parse(
    JSON.stringify(value)
      .replaceAll(/\d{13}-\d+/g, "ID")
      .replaceAll(/"expires":\d+/g, '"expires":0')
      .replaceAll(/"retryAfterMs":\d+/g, '"retryAfterMs":0')
      .replaceAll(/"until":\d+/g, '"until":0')
      .replaceAll(/ in \d+ s"/g, ' in 1 s"')
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "SESSION"),
  );
}

/** Asserts that a section shows a value as its example, and describes each field. */
function assertDocumented(name: string, value: Json): void {
  const section = sections.get(name);
  assert(section !== undefined, `the page has no ${name}`);
  const [example] = examples(section);
  assertEquals(normalize(example), normalize(value), name);
  assertEquals(Object.keys(example), rows(section, "field"), name);
}

/** Sends more messages than the server takes at once; returns the first error. */
async function refuse(port: number): Promise<Json> {
  const client = await JsonClient.join(port, "baz", { room: "other" });
  client.send(
    ...Array.from({ length: 60 }, (_, i) => ({ type: "message", text: "", ref: `${i}` })),
  );
  const error = await client.find("error");
  await client.leave();
  return { ...error, ref: "40" };
}

/** Sends a later token where authentication is on; returns the answer. */
async function renew(): Promise<Json> {
  await using server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  const client = await JsonClient.join(server.port, "foo", { token: await makeToken() });
  client.send({ type: "token", token: await makeToken() });
  const token = await client.find("token");
  await client.leave();
  return token;
}

/** Does what the page shows that moderators do; resolves to what the room gets, by type. */
async function moderate(): Promise<Map<string, Json>> {
  await using server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  const join = async (claims: Json) =>
    await JsonClient.join(server.port, claims.sub, { token: await makeToken(claims) });
  const ann = await join({ sub: "ann", moderate: true });
  const foo = await join({ sub: "foo" });
  const id = await foo.publish("a secret");
  for (const type of ["remove", "mute", "kick", "ban"]) {
    const name = `From the client: ${type}`;
    const [example] = examples(sections.get(name)!);
    assertDocumented(name, example);
    if (type === "ban") delete example.address;
    ann.send({ ...example, ...type === "remove" && { id } });
    await ann.find("done", ({ ref }) => ref === example.ref);
  }
  await ann.find("banned");
  const kick = ann.all("done").find(({ ref }) => ref === "a-2")!;
  await ann.leave();
  const types = ["removed", "muted", "kicked", "banned"] as const;
  return new Map<string, Json>([
    ...types.map((type) => [type, ann.all(type)[0]] as const),
    ["done", kick],
  ]);
}

Deno.test("the protocol page describes every event, with a real example", async () => {
  await using chat = await startTwoInstances({
    MAX_MESSAGE_BYTES: "1000",
    MAX_MESSAGES_PER_SECOND: "20",
    MAX_BYTES_PER_SECOND: "131072",
  });
  const foo = await JsonClient.join(chat.one, "foo");
  const bar = await JsonClient.join(chat.two, "bar");
  const [message, ping, typing, leave] = ["message", "ping", "typing", "leave", "token"].map(
    (type) => {
      const name = `From the client: ${type}`;
      const [example] = examples(sections.get(name)!);
      assertDocumented(name, example);
      return example;
    },
  );
  await foo.find("joined");
  foo.send({ type: "message", text: "x".repeat(1001), ref: "0" }, message, ping, typing);
  await bar.find("message");
  await bar.leave();
  await foo.find("left");
  await foo.find("typing");
  await chat.redis.command("PUBLISH", "chat", "ops: deploy at five");
  await foo.find("notice");
  const { id: prev } = await foo.find("message");
  const forged = { type: "message", user: "nobody", text: "", prev } as const;
  await chat.redis.command("PUBLISH", "chat", payloadOf({ ...forged, id: nextId(prev) }));
  const rest = '"user":"nobody","text":""}';
  const id = await chat.redis.command("XADD", "{chat}:log", "*", "prev", prev, "rest", rest);
  await foo.find("resync");
  await chat.redis.command("XDEL", "{chat}:log", id as string);

  const received = new Map<string, Json>(foo.events.map((event) => [event.type, event]));
  received.set("message", await foo.find("message"));
  received.set("error", await refuse(chat.one));
  received.set("token", await renew());
  for (const [type, event] of await moderate()) received.set(type, event);
  for (const [type, event] of received) assertDocumented(`From the server: ${type}`, event);
  const documented = [...sections.keys()].filter((name) => name.startsWith("From the server: "));
  assertEquals(
    new Set(documented),
    new Set([...received.keys()].map((t) => `From the server: ${t}`)),
  );

  const http = sections.get("Over HTTP")!;
  const [messages, users] = examples(http);
  const [aboutMessages, aboutUsers] = http.split("`GET /rooms/{room}/users");
  for (
    const [path, example, about] of [
      ["messages", messages, aboutMessages],
      ["users", users, aboutUsers],
    ]
  ) {
    const response = await fetch(`http://127.0.0.1:${chat.two}/rooms/chat/${path}`);
    const body = await response.json();
    assertEquals(normalize(body), normalize(example));
    assertEquals(Object.keys(body), rows(about, "field"));
  }
  using listener = await EventsClient.open(`http://127.0.0.1:${chat.two}/rooms/chat/events`);
  assertDocumented("Events over HTTP", await listener.find("welcome"));
  foo.send(leave);
  assertEquals((await foo.closed).code, CLOSE.left.code);
});

Deno.test("the protocol page lists every error code and every close code", () => {
  const made = Object.values(errorReply).map((make) => (make as (of: string) => Json)("x").code);
  assertEquals(rows(sections.get("From the server: error")!, "code"), [...new Set(made)]);
  const closing = Object.values(CLOSE).map(({ code }) => `${code}`);
  assertEquals(rows(sections.get("Close codes")!, "code"), closing);
  for (const { code, reason, mayReconnect } of Object.values(CLOSE)) {
    const row = `^\\| ${code} \\| ${reason} +\\| ${mayReconnect ? "yes" : "no"} `;
    assert(new RegExp(row, "m").test(page), row);
  }
});
