import { assert, assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import type { Hub } from "../../chat/rooms/hub.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import type { Protocol } from "../../chat/protocol/protocol.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { Session } from "../../chat/session/session.ts";

const BOUND = 1024 * 1024;
const LIMITS = {
  ...{ maxMessageBytes: 65_536, maxBufferedBytes: BOUND, maxStallSeconds: 30, idleSeconds: 30 },
};

/** So many frames come in a turn. */
const AT_ONCE = 50;

/** A session whose socket takes nothing until it is told to. */
async function makeSession(protocol: Protocol) {
  const sent: string[] = [];
  const left: Session[] = [];
  let isTaking = false;
  let closedWith: number | undefined;
  let isMoreToCome = false;
  const socket = {
    bufferedAmount: 0,
    onopen: () => {},
    onmessage: (_: MessageEvent) => {},
    send(frame: string) {
      if (closedWith !== undefined) return;
      sent.push(frame);
      if (!isTaking) socket.bufferedAmount += frame.length;
    },
    close: (code: number) => closedWith ??= code,
  };
  const hub = {
    join(_room: string, session: Session) {
      session.onJoined("0-0", 1);
      return Promise.resolve(true);
    },
    leave: (_room: string, session: Session) => left.push(session),
    publish: (_room: string, _user: string, _text: string, ref: string) =>
      Promise.resolve(`${ref}-0`),
    willTell: () => isMoreToCome,
  } as unknown as Hub;
  const request = { user: "foo", room: "chat", protocol, history: 0 };
  const session = new Session(socket as unknown as WebSocket, hub, request, LIMITS);
  socket.onopen();
  await turn();
  sent.length = 0;
  socket.bufferedAmount = 0;
  return {
    session,
    socket,
    sent,
    left,
    takeEverything() {
      isTaking = true;
      socket.bufferedAmount = 0;
    },
    closedWith: () => closedWith,
    /** Whether its room is about to tell everyone something, from here on. */
    expectMore: (isExpected: boolean) => isMoreToCome = isExpected,
  };
}

/** Long enough for what is due in a turn. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Resolves when something has come true. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let looks = 0; !isTrue(); looks++) {
    assert(looks < 1_000, "it never came");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function texts(count: number, length: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`.padEnd(length, "x"));
}

for (const protocol of [JSON_LINES, TEXT]) {
  const whom = protocol.canBatch ? "a program" : "a person";

  Deno.test(`${whom} that is behind gets everything in order when it reads again`, async () => {
    const { session, sent, takeEverything, closedWith } = await makeSession(protocol);
    const said = texts(900, 1_000);
    for (const text of said.slice(0, 800)) {
      session.deliver(text);
      await turn();
    }
    assert(sent.length < 500, `${sent.length} frames wait at the socket`);
    const atSocket = sent.length;
    takeEverything();
    for (const text of said.slice(800)) session.deliver(text);
    await until(() => sent.join("\n").endsWith(said.at(-1)!));
    assertEquals(sent.join("\n").split("\n"), said);
    if (protocol.canBatch) assert(sent.length < atSocket + 20, `${sent.length} frames in all`);
    session.deliver("live again");
    assertEquals(sent.at(-1), "live again");
    assertEquals(closedWith(), undefined);
  });

  Deno.test(`${whom} that never reads leaves at the bound, short frames or long`, async () => {
    for (const length of [20, 1_000, 60_000]) {
      const { session, socket, sent, left, closedWith } = await makeSession(protocol);
      let heard = 0;
      while (left.length === 0) {
        for (const text of texts(AT_ONCE, length)) {
          // A room tells nobody who has left.
          if (left.length > 0) break;
          session.deliver(text);
          heard += length;
        }
        assert(heard < 2 * BOUND + AT_ONCE * length, `${heard} characters, and it is still there`);
        await turn();
      }
      assertEquals(left, [session]);
      assertEquals(closedWith(), 4408);
      assert(heard > BOUND / 2, `it left after ${heard} characters`);
      const memory = socket.bufferedAmount + 900 * sent.length;
      assert(memory < BOUND + AT_ONCE * (length + 900), `${memory} bytes at the socket`);
    }
  });
}

Deno.test("a client that takes no answers leaves at the bound, however many it asks for at once", async () => {
  for (const atOnce of [10, 999]) {
    const { session, socket, sent, left, closedWith } = await makeSession(JSON_LINES);
    const ping = new MessageEvent("message", { data: '{"type":"ping"}\n'.repeat(atOnce) });
    while (left.length === 0) {
      socket.onmessage(ping);
      await turn();
      const memory = socket.bufferedAmount + 900 * sent.length;
      assert(memory < BOUND + 1_000 * 915, `${memory} bytes at the socket, and it is still there`);
    }
    assertEquals(left, [session]);
    assertEquals(closedWith(), 4408);
  }
});

Deno.test("a client that is behind may ask, whatever waits for it", async () => {
  const { session, socket, sent, closedWith } = await makeSession(JSON_LINES);
  for (const text of texts(15, 60_000)) {
    session.deliver(text);
    await turn();
  }
  const ping = new MessageEvent("message", { data: '{"type":"ping"}' });
  for (let i = 0; i < 200; i++) {
    socket.onmessage(ping);
    await turn();
  }
  assertEquals(sent.filter((frame) => frame === '{"type":"pong"}').length, 200);
  assertEquals(closedWith(), undefined);
});

Deno.test("what was taken long ago does not count as waiting", async () => {
  const { session, socket, sent, takeEverything } = await makeSession(JSON_LINES);
  takeEverything();
  for (const text of texts(3_000, 20)) session.deliver(text);
  // From here on one long frame always waits.
  socket.bufferedAmount = 60_000;
  for (let i = 0; i < 10; i++) {
    for (const text of texts(100, 1_000)) session.deliver(text);
    await turn();
  }
  assertEquals(sent.length, 4_000);
});

Deno.test("what is acknowledged in one turn is one frame", async () => {
  const { socket, sent } = await makeSession(JSON_LINES);
  const line = (ref: string) => JSON.stringify({ type: "message", text: "hi", ref });
  socket.onmessage(new MessageEvent("message", { data: ["1", "2", "3"].map(line).join("\n") }));
  await turn();
  const acks = ["1", "2", "3"].map((ref) => JSON.stringify({ type: "ack", ref, id: `${ref}-0` }));
  assertEquals(sent, [acks.join("\n")]);
});

/** A session that has said "1", which is in the log, while its room is about to tell everyone something. */
async function sayBeforeMore() {
  const made = await makeSession(JSON_LINES);
  const say = (ref: string) =>
    made.socket.onmessage(
      new MessageEvent("message", { data: JSON.stringify({ type: "message", text: "hi", ref }) }),
    );
  made.expectMore(true);
  say("1");
  await turn();
  return { ...made, say, ack: (ref: string) => `{"type":"ack","ref":"${ref}","id":"${ref}-0"}` };
}

Deno.test("an ack comes with what its room is told next, before it", async () => {
  const { session, sent, say, ack } = await sayBeforeMore();
  say("2");
  await turn();
  assertEquals(sent, []);
  session.deliver("one");
  session.deliver("two");
  assertEquals(sent, [`${ack("1")}\n${ack("2")}\none`, "two"]);
});

Deno.test("no ack waits longer than one that comes later", async () => {
  const { sent, say, ack, expectMore } = await sayBeforeMore();
  expectMore(false);
  say("2");
  await turn();
  assertEquals(sent, [`${ack("1")}\n${ack("2")}`]);
});

Deno.test("another answer comes after the acks that were there before it", async () => {
  const { socket, sent, ack } = await sayBeforeMore();
  socket.onmessage(new MessageEvent("message", { data: '{"type":"ping"}' }));
  assertEquals(sent, [`${ack("1")}\n{"type":"pong"}`]);
});

Deno.test("an ack that waits for what its room is told next is not lost when the session ends", async () => {
  const { session, sent, ack, closedWith } = await sayBeforeMore();
  assertEquals([sent, closedWith()], [[], undefined]);
  session.close(CLOSE.shutdown);
  assertEquals([sent, closedWith()], [[ack("1")], 1001]);
});

Deno.test("no ack waits where what its room is told does", async () => {
  const { session, sent, say, ack, takeEverything } = await sayBeforeMore();
  session.deliver("x".repeat(600_000));
  say("2");
  await turn();
  session.deliver("waits");
  say("3");
  await turn();
  assertEquals(sent.slice(-2), [ack("2"), ack("3")]);
  takeEverything();
  await until(() => sent.at(-1) === "waits");
});
