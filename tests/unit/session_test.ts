import { assert, assertEquals } from "@std/assert";
import { ANYONE } from "../../chat/auth/access.ts";
import { SessionBudget } from "../../chat/limits/session_budget.ts";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import type { History } from "../../chat/rooms/history.ts";
import type { Hub } from "../../chat/rooms/hub.ts";
import { JSON_LINES } from "../../chat/protocol/json.ts";
import type { Protocol } from "../../chat/protocol/protocol.ts";
import { TEXT } from "../../chat/protocol/text.ts";
import { Session } from "../../chat/session/session.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { NO_RATES, UNLIMITED_ADDRESS } from "../support/budgets.ts";
import { sleep, until } from "../support/wait.ts";

const MAX_BUFFERED_BYTES = 1024 * 1024;
const LIMITS = { maxMessageBytes: 1_000, maxBufferedBytes: MAX_BUFFERED_BYTES, maxDevices: 8 };

/** How many frames are delivered in a turn. */
const FRAMES_PER_TURN = 50;

/** A session whose socket sends nothing until `readEverything` is called. */
async function makeSession(protocol: Protocol, history?: History, address = UNLIMITED_ADDRESS) {
  const sent: string[] = [];
  const left: Session[] = [];
  const published: string[] = [];
  let isReading = false;
  let closedWith: number | undefined;
  let isFlushPending = false;
  const released = Promise.withResolvers<void>();
  const socket = {
    bufferedAmount: 0,
    onopen: () => {},
    onmessage: (_: MessageEvent) => {},
    onclose: () => {},
    addEventListener(type: "open" | "message" | "close", listener: () => void) {
      socket[`on${type}`] = listener;
    },
    send(frame: string) {
      if (closedWith !== undefined) return;
      sent.push(frame);
      if (!isReading) socket.bufferedAmount += frame.length;
    },
    close: (code: number) => closedWith ??= code,
  };
  const hub = {
    join(_room: string, session: Session) {
      session.onJoined({ last: "0-0", hasGap: false }, 1);
      return Promise.resolve("claimed");
    },
    history,
    leave(_room: string, session: Session) {
      left.push(session);
      return released.promise;
    },
    publish(_room: string, _user: string, _text: string, ref: string, after?: string) {
      published.push(`${ref} after ${after}`);
      return Promise.resolve(`${ref}-0`);
    },
    mutedUntil: () => Promise.resolve(0),
    hasMessages: () => false,
    countReceivers: () => 1,
    isFlushPendingFor: () => isFlushPending,
  } as unknown as Hub;
  const request = {
    ...{ user: "foo", room: "chat", address: "127.0.0.1", access: ANYONE, protocol },
    history: history ? 200 : 0,
  };
  // On a busy machine, a turn in which lines are read is over by the clock too soon.
  const budget = new SessionBudget(NO_RATES, address, () => 0);
  const session = new Session(socket as unknown as WebSocket, hub, request, LIMITS, budget);
  socket.onopen();
  await nextTimers();
  sent.length = 0;
  socket.bufferedAmount = 0;
  return {
    session,
    socket,
    sent,
    left,
    published,
    readEverything() {
      isReading = true;
      socket.bufferedAmount = 0;
    },
    closedWith: () => closedWith,
    /** Lets the store have released the name. */
    release: released.resolve,
    /** Sets whether the room has a flush pending for the session. */
    setFlushPending: (isPending: boolean) => isFlushPending = isPending,
  };
}

/** Waits until the timers that are due have run. */
const nextTimers = () => sleep(0);

function texts(count: number, length: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`.padEnd(length, "x"));
}

for (const protocol of [JSON_LINES, TEXT]) {
  const client = protocol.canBatch ? "a JSON client" : "a text client";

  Deno.test(`${client} receives everything in order after backpressure`, async () => {
    const { session, sent, readEverything, closedWith } = await makeSession(protocol);
    const published = texts(900, 1_000);
    for (const text of published.slice(0, 800)) {
      session.deliver(text);
      await nextTimers();
    }
    assert(sent.length < 500, `${sent.length} frames wait at the socket`);
    const atSocket = sent.length;
    readEverything();
    for (const text of published.slice(800)) session.deliver(text);
    await until(() => sent.join("\n").endsWith(published.at(-1)!));
    assertEquals(sent.join("\n").split("\n"), published);
    if (protocol.canBatch) assert(sent.length < atSocket + 20, `${sent.length} frames in all`);
    session.deliver("live again");
    assertEquals(sent.at(-1), "live again");
    assertEquals(closedWith(), undefined);
  });

  Deno.test(`${client} that never reads is closed at the limit`, async () => {
    for (const length of [20, 1_000, 60_000]) {
      const { session, socket, sent, left, closedWith } = await makeSession(protocol);
      let delivered = 0;
      while (left.length === 0) {
        for (const text of texts(FRAMES_PER_TURN, length)) {
          // A room delivers nothing to a session that has left.
          if (left.length > 0) break;
          session.deliver(text);
          delivered += length;
        }
        assert(
          delivered < 2 * MAX_BUFFERED_BYTES + FRAMES_PER_TURN * length,
          `${delivered} characters, and it is still there`,
        );
        await nextTimers();
      }
      assertEquals(left, [session]);
      assertEquals(closedWith(), 4408);
      assert(delivered > MAX_BUFFERED_BYTES / 2, `it left after ${delivered} characters`);
      const memory = socket.bufferedAmount + 900 * sent.length;
      assert(
        memory < MAX_BUFFERED_BYTES + FRAMES_PER_TURN * (length + 900),
        `${memory} bytes at the socket`,
      );
    }
  });
}

Deno.test("a client that reads no replies is closed at the limit", async () => {
  for (const atOnce of [10, 999]) {
    const { session, socket, sent, left, closedWith } = await makeSession(JSON_LINES);
    const ping = new MessageEvent("message", { data: '{"type":"ping"}\n'.repeat(atOnce) });
    while (left.length === 0) {
      socket.onmessage(ping);
      await nextTimers();
      const memory = socket.bufferedAmount + 900 * sent.length;
      assert(
        memory < MAX_BUFFERED_BYTES + 1_000 * 915,
        `${memory} bytes at the socket, and it is still there`,
      );
    }
    assertEquals(left, [session]);
    assertEquals(closedWith(), 4408);
  }
});

Deno.test("a backpressured client still gets replies", async () => {
  const { session, socket, sent, closedWith } = await makeSession(JSON_LINES);
  for (const text of texts(15, 60_000)) {
    session.deliver(text);
    await nextTimers();
  }
  const ping = new MessageEvent("message", { data: '{"type":"ping"}' });
  for (let i = 0; i < 200; i++) {
    socket.onmessage(ping);
    await nextTimers();
  }
  assertEquals(sent.filter((frame) => frame === '{"type":"pong"}').length, 200);
  assertEquals(closedWith(), undefined);
});

Deno.test("frames that the client has read do not count as waiting", async () => {
  const { session, socket, sent, readEverything } = await makeSession(JSON_LINES);
  readEverything();
  for (const text of texts(3_000, 20)) session.deliver(text);
  // From here on one long frame always waits.
  socket.bufferedAmount = 60_000;
  for (let i = 0; i < 10; i++) {
    for (const text of texts(100, 1_000)) session.deliver(text);
    await nextTimers();
  }
  assertEquals(sent.length, 4_000);
});

Deno.test("the acks of one turn share a frame", async () => {
  const { socket, sent } = await makeSession(JSON_LINES);
  const line = (ref: string) => JSON.stringify({ type: "message", text: "hi", ref });
  socket.onmessage(new MessageEvent("message", { data: ["1", "2", "3"].map(line).join("\n") }));
  await nextTimers();
  const acks = ["1", "2", "3"].map((ref) => JSON.stringify({ type: "ack", ref, id: `${ref}-0` }));
  assertEquals(sent, [acks.join("\n")]);
});

/** A session that has published message 1, while its room has a flush pending. */
async function publishBeforeFlush() {
  const made = await makeSession(JSON_LINES);
  const publish = (ref: string) =>
    made.socket.onmessage(
      new MessageEvent("message", { data: JSON.stringify({ type: "message", text: "hi", ref }) }),
    );
  made.setFlushPending(true);
  publish("1");
  await nextTimers();
  return {
    ...made,
    publish,
    ack: (ref: string) => `{"type":"ack","ref":"${ref}","id":"${ref}-0"}`,
  };
}

Deno.test("an ack shares a frame with the room's next event, and comes first", async () => {
  const { session, sent, publish, ack } = await publishBeforeFlush();
  publish("2");
  await nextTimers();
  assertEquals(sent, []);
  session.deliver("one");
  session.deliver("two");
  assertEquals(sent, [`${ack("1")}\n${ack("2")}\none`, "two"]);
});

Deno.test("no ack waits longer than a later one", async () => {
  const { sent, publish, ack, setFlushPending } = await publishBeforeFlush();
  setFlushPending(false);
  publish("2");
  await nextTimers();
  assertEquals(sent, [`${ack("1")}\n${ack("2")}`]);
});

Deno.test("a reply follows the acks that were waiting before it", async () => {
  const { socket, sent, ack } = await publishBeforeFlush();
  socket.onmessage(new MessageEvent("message", { data: '{"type":"ping"}' }));
  assertEquals(sent, [`${ack("1")}\n{"type":"pong"}`]);
});

Deno.test("an ack that waits for the next event is sent when the session closes", async () => {
  const { session, sent, ack, closedWith } = await publishBeforeFlush();
  assertEquals([sent, closedWith()], [[], undefined]);
  session.close(CLOSE.shutdown);
  assertEquals([sent, closedWith()], [[ack("1")], 1001]);
});

Deno.test("no ack waits while the room's events are queued", async () => {
  const { session, sent, publish, ack, readEverything } = await publishBeforeFlush();
  session.deliver("x".repeat(600_000));
  publish("2");
  await nextTimers();
  session.deliver("waits");
  publish("3");
  await nextTimers();
  assertEquals(sent.slice(-2), [ack("2"), ack("3")]);
  readEverything();
  await until(() => sent.at(-1) === "waits");
});

/** Lines of messages, each with a ref, and the ref that it is after. */
function lines(...messages: [ref: string, after?: string, more?: object][]): MessageEvent {
  const data = messages.map(([ref, after, more]) =>
    JSON.stringify({ type: "message", text: "hi", ref, after, ...more })
  );
  return new MessageEvent("message", { data: data.join("\n") });
}

const TOO_LARGE = { text: "x".repeat(LIMITS.maxMessageBytes + 1) };
const BAD = { field: "unknown" };

Deno.test("a message that was refused for good counts as settled", async () => {
  const { socket, sent, published } = await makeSession(JSON_LINES);
  socket.onmessage(lines(
    ["a"],
    ["b", "a", TOO_LARGE],
    ["c", "b"],
    ["d", "c", BAD],
    ["e", "d", TOO_LARGE],
    ["f", "e"],
    ["g", undefined, BAD],
    ["h", "g"],
    ["i", "never sent"],
  ));
  assertEquals(published, [
    "a after undefined",
    "c after a",
    "f after c",
    "h after undefined",
    "i after never sent",
  ]);
  const [frame] = sent;
  const errors = frame.split("\n").map((line) => JSON.parse(line));
  assertEquals(errors.map(({ code, ref }) => [code, ref]), [
    ["too_large", "b"],
    ["bad_message", "d"],
    ["too_large", "e"],
    ["bad_message", "g"],
  ]);
  for (const error of errors) assertEquals(Object.keys(error), ["type", "code", "message", "ref"]);
});

Deno.test("a message can be after one that the session has acknowledged", async () => {
  const { socket, published } = await makeSession(JSON_LINES);
  socket.onmessage(lines(["a"], ["b", "a"]));
  await nextTimers();
  // The store may have forgotten the refs by now.
  socket.onmessage(lines(["c", "b"], ["d", "b", TOO_LARGE], ["e", "d"]));
  assertEquals(published.slice(1), ["b after a", "c after undefined", "e after undefined"]);
});

Deno.test("a session knows the last 256 messages that were refused for good", async () => {
  const { socket, published } = await makeSession(JSON_LINES);
  const refused = Array.from(
    { length: 257 },
    (_, i) => [`${i}`, "a", BAD] as [string, string, object],
  );
  socket.onmessage(lines(...refused, ["b", "0"], ["c", "1"], ["d", "256"]));
  await until(() => published.length === 3);
  assertEquals(published, ["b after 0", "c after a", "d after a"]);
});

Deno.test("a session whose name is taken over while it replays sends nothing more", async () => {
  for (const loss of ["replaced", "taken"] as const) {
    const page = Promise.withResolvers<[]>();
    const history = { last: () => page.promise } as unknown as History;
    const { session, sent, left, closedWith } = await makeSession(JSON_LINES, history);
    session.onNameLost(loss);
    page.resolve([]);
    await nextTimers();
    assertEquals(closedWith(), loss === "replaced" ? 4410 : 4409);
    assertEquals(sent.length, loss === "replaced" ? 0 : 1);
    assertEquals(left[0], session);
  }
});

Deno.test("a session that ends because of too much costs its address, once", async () => {
  for (const reason of [CLOSE.tooMany, CLOSE.tooSlow]) {
    const charged: string[] = [];
    const { session } = await makeSession(JSON_LINES, undefined, {
      ...UNLIMITED_ADDRESS,
      chargeExcess: () => void charged.push("joins"),
      beStrict: () => void charged.push("strict"),
    });
    for (let i = 0; i < 2; i++) session.close(reason);
    assertEquals(charged, reason === CLOSE.tooMany ? ["joins", "strict"] : []);
  }
});

Deno.test("a session that leaves is closed when its name is free", async () => {
  const { session, socket, sent, left, closedWith, release } = await makeSession(JSON_LINES);
  const lines = ['{"type":"message","text":"hi","ref":"1"}', '{"type":"leave"}', '{"type":"ping"}'];
  socket.onmessage(new MessageEvent("message", { data: lines.join("\n") }));
  await nextTimers();
  assertEquals([left, closedWith()], [[session], undefined]);
  assertEquals(sent, ['{"type":"ack","ref":"1","id":"1-0"}']);
  // Another connection of the user may come meanwhile.
  session.onNameLost("replaced");
  assertEquals(closedWith(), undefined);
  release();
  await nextTimers();
  assertEquals(closedWith(), 1000);
});

Deno.test("what a client sent before it went is published before it leaves", async () => {
  const { session, socket, left, published } = await makeSession(JSON_LINES);
  const lines = Array.from(
    { length: 100 },
    (_, i) => JSON.stringify({ type: "message", text: "", ref: `${i}` }),
  );
  socket.onmessage({ data: lines.join("\n") } as MessageEvent);
  socket.onclose();
  // What the room receives meanwhile waits for nobody.
  for (const text of texts(20, MAX_BUFFERED_BYTES / 10)) session.deliver(text);
  assertEquals(left.length, 0);
  await until(() => left.length > 0);
  assertEquals(published.length, 100);
});

Deno.test("a session that ends after its client went counts as closed", async () => {
  const line = '{"type":"message","text":""}';
  for (const lines of [[line], ['{"type":"leave"}']]) {
    const { session, socket, left, release } = await makeSession(JSON_LINES);
    socket.onmessage({ data: [...Array(99).fill(line), ...lines].join("\n") } as MessageEvent);
    socket.onclose();
    if (lines.includes(line)) session.onNameLost("replaced");
    release();
    await deadline(session.closed, 1_000);
    assertEquals(left[0], session);
  }
});
