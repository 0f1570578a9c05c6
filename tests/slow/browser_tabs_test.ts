import { assertEquals } from "@std/assert";
import { INSECURE_HOST, type Page, serveFiles, startChromium } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";

/** A page that joins as foo. */
function pageOf(origin: string): string {
  return `<!doctype html><title>Chat</title>
  <script type="module">
    import { ChatClient } from "${origin}/client.js";
    globalThis.states = [];
    globalThis.restored = [];
    globalThis.chat = new ChatClient("${origin}", "foo", { storage: sessionStorage });
    chat.onrestored = (unsent) => restored.push(...unsent.map(({ text }) => text));
    chat.addEventListener("state", ({ detail: { state, error } }) => {
      states.push(error?.code ?? state);
    });
  </script>`;
}

/** Waits until the page's client is in or closed, and returns its states. */
async function statesOf(page: Page): Promise<string[]> {
  await page.waitForFunction("globalThis.states?.length > 0");
  return await page.evaluate("states");
}

/** Opens the same page in another tab, which begins with a copy of `sessionStorage`. */
async function duplicate(page: Page): Promise<Page> {
  const opened = page.waitForEvent("popup");
  await page.evaluate("void open(location.href)");
  return await opened;
}

for (const [host, hasLocks] of [["127.0.0.1", true], [INSECURE_HOST, false]] as const) {
  const how = hasLocks ? "with Web Locks" : "without Web Locks";
  Deno.test(`a reload keeps the name, and a duplicated tab does not get it, ${how}`, async () => {
    await using server = await startHttpServer();
    await using proxy = await startProxy(server.port);
    const origin = `http://127.0.0.1:${proxy.port}`;
    await using files = serveFiles({ "/index.html": pageOf(origin) });
    await using browser = await startChromium();
    const watcher = await JsonClient.join(server.port, "watcher");

    const original = await browser.newPage();
    await original.goto(files.url.replace("127.0.0.1", host));
    assertEquals(await statesOf(original), ["connected"]);
    assertEquals(await original.evaluate('"locks" in navigator'), hasLocks);

    const copy = await duplicate(original);
    for (const tab of [copy, await duplicate(original), await duplicate(copy)]) {
      assertEquals(await statesOf(tab), ["name_taken"]);
    }
    await copy.reload();
    assertEquals(await statesOf(copy), ["name_taken"]);
    assertEquals(await statesOf(original), ["connected"]);

    for (let i = 0; i < 10; i++) {
      // The server does not learn that the page is gone.
      assertEquals(proxy.freeze("GET /chat/foo"), 1);
      await original.reload();
      assertEquals(await statesOf(original), ["connected"]);
    }
    await original.evaluate('chat.send("still here")');
    await watcher.find("message");
    assertEquals(watcher.events.slice(1).map(({ type }) => type), ["joined", "message"]);

    // What was not acknowledged goes out once, and not from the duplicate.
    assertEquals(proxy.freeze("GET /chat/foo", "replies"), 1);
    await original.evaluate('void chat.send("one")');
    await watcher.find("message", ({ text }) => text === "one");
    assertEquals(proxy.freeze("GET /chat/foo"), 1);
    await original.evaluate('["two", "three"].forEach((text) => void chat.send(text))');
    const late = await duplicate(original);
    assertEquals(await statesOf(late), ["name_taken"]);
    assertEquals(await late.evaluate("restored"), []);
    await original.reload();
    await watcher.find("message", ({ text }) => text === "three");
    await late.reload();
    assertEquals(await statesOf(late), ["name_taken"]);
    for (const [tab, texts] of [[original, ["one", "two", "three"]], [late, []]] as const) {
      assertEquals(await tab.evaluate("restored"), texts);
    }
    await original.waitForFunction("chat.unsent.length === 0");
    assertEquals(watcher.texts, ["still here", "one", "two", "three"]);

    await original.goto("about:blank");
    await watcher.find("left");
    await copy.reload();
    assertEquals(await statesOf(copy), ["connected"]);
    await watcher.leave();
  });
}
