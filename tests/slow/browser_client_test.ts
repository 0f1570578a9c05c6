import { assertEquals } from "@std/assert";
import { serveFiles, startChromium } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { TextClient } from "../support/text_client.ts";

Deno.test("pages of another origin import /client.js, and hold a conversation", async () => {
  await using server = await startHttpServer();
  await using page = serveFiles({
    "/index.html": `<!doctype html><title>Chat</title>
    <script type="module">
      import { ChatClient } from "${server.origin}/client.js";
      globalThis.join = (user, options) => new ChatClient("${server.origin}", user, options);
      globalThis.received = [];
      globalThis.start = async (user) => {
        globalThis.chat = join(user, { room: "red", token: "a.b.c" });
        chat.addEventListener("message", ({ detail: { user, text } }) => {
          received.push(user + ": " + text);
        });
        await chat.ready;
      };
    </script>`,
  });
  await using browser = await startChromium();
  async function join(user: string) {
    const tab = await browser.newPage();
    await tab.goto(page.url);
    await tab.evaluate(`start("${user}")`);
    return tab;
  }
  const [foo, bar] = [await join("foo"), await join("bar")];
  const pi = await TextClient.join(server.port, "pi", { room: "red" });
  await foo.evaluate('chat.send("hi <b>bar</b>")');
  await bar.waitForFunction("received.length === 1");
  await bar.evaluate('chat.send("hello foo")');
  await pi.until("bar: hello foo");
  pi.send("welcome");
  for (const tab of [foo, bar]) {
    await tab.waitForFunction("received.length === 3");
    const all = ["foo: hi <b>bar</b>", "bar: hello foo", "pi: welcome"];
    assertEquals(await tab.evaluate("received"), all);
  }

  // Because of the token, the browser first asks whether the page may send it.
  assertEquals((await foo.evaluate<string[]>("chat.users()")).sort(), ["bar", "foo", "pi"]);
  const texts = "chat.history({ limit: 2 }).then((page) => page.messages.map(({ text }) => text))";
  assertEquals(await bar.evaluate(texts), ["hello foo", "welcome"]);
  // A browser does not tell why a handshake failed. The client asks the server.
  assertEquals(
    await foo.evaluate('join("x", { history: 201 }).ready.catch((error) => error.message)'),
    'history is "201": give a whole number from 0 to 200',
  );
  await foo.evaluate("chat.close()");
  await pi.until("foo: has left the chat!");
  await pi.leave();
});
