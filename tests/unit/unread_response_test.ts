import { assert, assertEquals } from "@std/assert";
import { makeBody } from "../../chat/http/unread_response.ts";
import { sleep, until } from "../support/wait.ts";

const bytes = new Uint8Array(1024 * 1024).map((_, i) => i % 251);

Deno.test("a body that is read in time arrives as it is", async () => {
  for (const length of [0, 1, 8_192, 8_193, 16_384, 32_768, 100_000, 1024 * 1024]) {
    const body = bytes.slice(0, length);
    assertEquals(await new Response(makeBody(body)).bytes(), body, `${length}`);
  }
});

Deno.test("a body that nobody reads in time ends early", async () => {
  const reader = (makeBody(bytes, 50) as ReadableStream<Uint8Array>).getReader();
  assertEquals((await reader.read()).value, bytes.slice(0, 16 * 1024));
  await reader.closed;
});

Deno.test("a body that is cancelled has no timer", async () => {
  const body = makeBody(bytes, 100_000) as ReadableStream;
  await body.cancel();
});

Deno.test("a peer that reads too late gets a part, and then the end", async () => {
  const completed: Promise<void>[] = [];
  // More than the kernel holds for a connection.
  const length = 32 * 1024 * 1024;
  const timeoutMs = 200;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (_, info) => {
    completed.push(info.completed);
    const headers = { "content-length": `${length}` };
    return new Response(makeBody(new Uint8Array(length), timeoutMs), { headers });
  });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  const head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  await client.write(new TextEncoder().encode(head));
  await until(() => completed.length === 1);
  await sleep(timeoutMs + 1);
  let received = 0;
  for await (const chunk of client.readable) received += chunk.length;
  assert(received > 0 && received < length, `${received}`);
  await completed[0];
  await server.shutdown();
});
