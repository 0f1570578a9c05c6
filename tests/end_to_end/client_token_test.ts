import { assertEquals, assertRejects } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { ChatError } from "../../chat/client/chat_error.ts";
import { deadline } from "../../chat/store/deadline.ts";
import { sendWelcome, startFakeServer } from "../support/fake_server.ts";
import { startHttpServer } from "../support/http_server.ts";
import { makeToken, secondsFromNow, SECRET } from "../support/tokens.ts";
import { TIMEOUT_MS, until } from "../support/wait.ts";

const startServer = () => startHttpServer(undefined, { AUTH_SECRET: SECRET });

/** Starts a client whose n-th token has the n-th of these times, or the last one. */
function startClient(origin: string, ...expirations: number[]) {
  let asked = 0;
  const client = new ChatClient(origin, "foo", {
    token: () => makeToken({ exp: expirations[asked++] ?? expirations.at(-1) }),
  });
  const closed = new Promise<ChatError>((resolve) =>
    client.onstate = (state, _, error) => state === "closed" && resolve(error!)
  );
  return {
    client,
    asked: () => asked,
    closed: () => deadline(closed, TIMEOUT_MS),
    ready: () => deadline(client.ready, TIMEOUT_MS),
  };
}

Deno.test("a client whose token is refused asks for another one", async () => {
  await using server = await startServer();
  const { client, ready, asked } = startClient(server.origin, 1, secondsFromNow(60));
  await ready();
  assertEquals(asked(), 2);
  await client.close();
});

Deno.test("a client whose second token is refused too ends with the reason", async () => {
  await using server = await startServer();
  const { ready, closed, asked } = startClient(server.origin, 1);
  const error = await assertRejects(ready, ChatError, "the token has expired");
  assertEquals([error.code, asked(), (await closed()).code], ["refused", 2, "refused"]);
});

Deno.test("a client with a fixed token, or one of another room, ends at once", async () => {
  await using server = await startServer();
  const fixed = new ChatClient(server.origin, "foo", { token: await makeToken({ exp: 1 }) });
  await assertRejects(() => deadline(fixed.ready, TIMEOUT_MS), ChatError, "the token has expired");
  let asked = 0;
  const token = () => {
    asked++;
    return makeToken({ rooms: ["red"] });
  };
  const elsewhere = new ChatClient(server.origin, "foo", { token });
  await assertRejects(
    () => deadline(elsewhere.ready, TIMEOUT_MS),
    ...[ChatError, "the token does not allow the room chat"] as const,
  );
  assertEquals(asked, 1);
});

Deno.test("a client whose token expires comes back with another one", async () => {
  await using server = await startServer();
  const { client, asked } = startClient(server.origin, secondsFromNow(2), secondsFromNow(60));
  const texts: string[] = [];
  client.onmessage = ({ text }) => texts.push(text);
  await deadline(client.send("before"), TIMEOUT_MS);
  await until(() => client.state === "reconnecting", 10);
  await deadline(client.send("after"), TIMEOUT_MS);
  assertEquals([texts, asked()], [["before", "after"], 2]);
  await client.close();
});

Deno.test("a client whose tokens all expire at once ends", async () => {
  await using server = await startServer();
  // They are accepted, because clocks may differ, and their sessions end at once.
  const { closed, asked } = startClient(server.origin, secondsFromNow(-1));
  const { code, message } = await closed();
  assertEquals([code, message, asked()], ["refused", "the token has expired", 2]);
});

Deno.test("a client sends another token when half of the time has passed", async () => {
  const { setInterval } = globalThis;
  let beat: (() => void) | undefined;
  globalThis.setInterval = ((run: () => void) => {
    beat = run;
    return 0;
  }) as unknown as typeof setInterval;
  const lines: string[] = [];
  await using server = startFakeServer({
    onSocket(socket) {
      socket.onmessage = ({ data }) => {
        lines.push(data);
        socket.send(data.includes("token") ? '{"type":"token","expires":4e12}' : '{"type":"pong"}');
      };
      // A minute ago the token was new, and it has ten seconds left.
      sendWelcome(socket, { expires: Date.now() + 10_000 });
    },
  });
  let asked = 0;
  const client = new ChatClient(server.url, "foo", { token: () => `t${++asked}` });
  globalThis.setInterval = setInterval;
  await client.ready;
  const { now } = Date;
  const beatAt = (aheadMs: number) => {
    Date.now = () => now() + aheadMs;
    beat!();
    Date.now = now;
  };
  beatAt(4_000);
  assertEquals(lines, []);
  beatAt(6_000);
  await until(() => lines.length === 2, 1);
  assertEquals(lines, ['{"type":"ping"}', '{"type":"token","token":"t2"}']);
  // The answers come in between, and then the client pings again.
  await until(() => (beatAt(9_000), lines.length > 2), 10);
  assertEquals(lines.slice(2), ['{"type":"ping"}']);
  await client.close();
});
