import { assertEquals } from "@std/assert";
import { ChatClient, type StateChange } from "../../chat/client/client.ts";
import type { Welcome } from "../../chat/protocol/protocol.ts";
import { sendWelcome, startFakeServer } from "../support/fake_server.ts";
import { until } from "../support/wait.ts";

/** Lets a test run timers, and set the clock. Only the timers of the client are this long. */
function takeTimers() {
  const { setInterval, setTimeout } = globalThis;
  const { now } = Date;
  let beat = () => {};
  const waiting: { readonly run: () => void; readonly ms: number }[] = [];
  let aheadMs = 0;
  Date.now = () => now() + aheadMs;
  globalThis.setInterval = ((run: () => void) => {
    beat = run;
    return 0;
  }) as unknown as typeof setInterval;
  globalThis.setTimeout = ((run: () => void, ms: number) => {
    if (ms < 100) return setTimeout(run, ms);
    waiting.push({ run, ms });
    return 0;
  }) as unknown as typeof setTimeout;
  return {
    beat: () => beat(),
    /** How long each of them waits. */
    waits: () => waiting.map(({ ms }) => ms),
    /** Runs the timer that was set last, so much later than it should. */
    runLast(lateMs: number) {
      const { run, ms } = waiting.pop()!;
      aheadMs += ms + lateMs;
      run();
    },
    [Symbol.dispose]() {
      Object.assign(globalThis, { setInterval, setTimeout });
      Date.now = now;
    },
  };
}

/** Starts a server that answers pings if a test lets it, and a client of it. */
function startChat(welcome: Partial<Welcome> = {}) {
  const lines: string[] = [];
  let isSilent = false;
  let handshakes = 0;
  const server = startFakeServer({
    onSocket(socket) {
      handshakes++;
      sendWelcome(socket, welcome);
      socket.onmessage = ({ data }) => {
        lines.push(data);
        if (!isSilent) socket.send('{"type":"pong"}\n{"type":"notice","text":"pong"}');
      };
    },
  });
  const client = new ChatClient(server.url, "foo");
  const states: StateChange[] = [];
  let pongs = 0;
  client.onnotice = () => pongs++;
  client.addEventListener("state", ({ detail }) => states.push(detail));
  return {
    ...{ client, lines, states },
    handshakes: () => handshakes,
    /** Waits until the client has received so many answers in all. */
    answered: (count: number) => until(() => pongs === count),
    beSilent: () => isSilent = true,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

const PING = '{"type":"ping"}';

Deno.test("a client that slept asks again before it takes the connection for lost", async () => {
  using timers = takeTimers();
  await using chat = startChat();
  const { client, lines, states } = chat;
  await client.ready;
  // What has arrived counts as an answer.
  timers.beat();
  assertEquals([lines, timers.waits()], [[], []]);
  timers.beat();
  // The computer slept, and what has arrived is handled after this.
  timers.runLast(60_000);
  assertEquals(client.state, "connected");
  await chat.answered(2);
  timers.runLast(0);
  assertEquals([client.state, lines], ["connected", [PING, PING]]);

  chat.beSilent();
  timers.beat();
  timers.beat();
  await until(() => lines.length === 3);
  // In the background every timer runs once a minute.
  timers.runLast(55_000);
  assertEquals(client.state, "connected");
  timers.beat();
  timers.runLast(55_000);
  assertEquals(states.map(({ state }) => state), ["connected", "reconnecting"]);
});

Deno.test("reconnect() asks at once whether a connection is there", async () => {
  using timers = takeTimers();
  await using chat = startChat();
  const { client, lines } = chat;
  await client.ready;
  for (let i = 1; i <= 3; i++) {
    client.reconnect();
    await chat.answered(i);
  }
  chat.beSilent();
  const asked = timers.waits().length;
  // However often it is called, the answer must come within five seconds after the first time.
  for (let i = 0; i < 3; i++) client.reconnect();
  await until(() => lines.length === 4);
  assertEquals([lines, timers.waits().slice(asked)], [[PING, PING, PING, PING], [5_000]]);
  timers.runLast(0);
  assertEquals(client.state, "reconnecting");
});

Deno.test("reconnect() ends a wait, and the state tells for how long it is", async () => {
  using timers = takeTimers();
  await using chat = startChat();
  const { client, states } = chat;
  await client.ready;
  chat.beSilent();
  client.reconnect();
  timers.runLast(0);
  const [connected, waiting] = states;
  assertEquals(connected.retryAt, undefined);
  assertEquals(Math.abs(waiting.retryAt! - Date.now() - timers.waits().at(-1)!) < 1_000, true);
  assertEquals(chat.handshakes(), 1);
  client.reconnect();
  await until(() => client.state === "connected");
  assertEquals(chat.handshakes(), 2);
  assertEquals(states.map(({ retryAt }) => retryAt !== undefined), [false, true, false]);
  await client.close();
  client.reconnect();
  assertEquals(client.state, "closed");
});

Deno.test("a client tells at most every 3.5 seconds that its user is typing", async () => {
  const { now } = performance;
  let aheadMs = 0;
  performance.now = () => now.call(performance) + aheadMs;
  try {
    await using chat = startChat({ features: ["typing"] });
    chat.client.typing();
    await chat.client.ready;
    for (const ms of [0, 0, 3_400, 3_500, 3_500]) {
      aheadMs += ms;
      chat.client.typing();
    }
    await until(() => chat.lines.length === 3);
    await chat.client.close();
    assertEquals(chat.lines, ['{"type":"typing"}', '{"type":"typing"}', '{"type":"typing"}']);
    for (const welcome of [{ features: ["after"] }, { features: ["typing"], canPublish: false }]) {
      await using other = startChat(welcome as Partial<Welcome>);
      await other.client.ready;
      other.client.typing();
      await other.client.close();
      assertEquals(other.lines, []);
    }
  } finally {
    performance.now = now;
  }
});

Deno.test("a client tells who is typing, but not that its own user is", async () => {
  await using server = startFakeServer({
    onSocket(socket) {
      sendWelcome(socket);
      const lines = ["foo", "bar"].map((user) => JSON.stringify({ type: "typing", user }));
      socket.send([...lines, '{"type":"notice","text":"end"}'].join("\n"));
    },
  });
  await using client = new ChatClient(server.url, "foo");
  const told: string[] = [];
  client.ontyping = ({ user }) => told.push(`property: ${user}`);
  client.addEventListener("typing", ({ detail }) => told.push(`listener: ${detail.user}`));
  await new Promise((resolve) => client.onnotice = resolve);
  assertEquals(told, ["property: bar", "listener: bar"]);
  assertEquals(client.position, "0-0");
});
