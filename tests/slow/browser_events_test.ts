import { assertEquals } from "@std/assert";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { serveFiles, startChromium } from "../support/browser.ts";
import { EventsClient } from "../support/events_client.ts";
import { startHttpServer } from "../support/http_server.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

Deno.test("an EventSource of another origin that is cut off gets each message once", async () => {
  const store = openMemoryStore({ historyLimit: 10_000, historySeconds: 100 });
  await using server = await startHttpServer(store);
  await using proxy = await startProxy(server.port);
  using idle = await EventsClient.open(`${server.origin}/rooms/blue/events`);
  await using page = serveFiles({
    "/index.html": `<!doctype html><title>Events</title>
    <script>
      globalThis.events = [];
      globalThis.opened = 0;
      const source = new EventSource("http://127.0.0.1:${proxy.port}/rooms/red/events");
      source.onopen = () => opened++;
      source.onmessage = ({ data }) => events.push(JSON.parse(data));
    </script>`,
  });
  await using browser = await startChromium();
  const tab = await browser.newPage();
  await tab.goto(page.url);
  await tab.waitForFunction("events.length === 1");
  const published: string[] = [];
  async function publish(count: number): Promise<void> {
    for (const end = published.length + count; published.length < end;) {
      const text = `${published.length}`.padEnd(1_000, "x");
      published.push(text);
      await store.publish("red", "foo", text);
    }
  }
  // It waits for three seconds before it connects again. The first time it has only the welcome.
  for (const [cut, how] of (["in order", "by reset", "by reset"] as const).entries()) {
    proxy.disconnect(how);
    await publish(50);
    await tab.waitForFunction(`opened === ${cut + 2}`);
    await publish(50);
  }
  const texts = 'events.filter(({ type }) => type === "message").map(({ text }) => text)';
  await tab.waitForFunction(`${texts}.length >= ${published.length}`);
  assertEquals(await tab.evaluate(texts), published);
  const recovered = 'events.filter(({ type }) => type === "welcome").map((e) => e.recovered)';
  assertEquals(await tab.evaluate(recovered), [false, true, true, true]);
  // A stream in which nothing happens has a comment every 15 seconds.
  await until(() => idle.comments.length > 0, 100);
  assertEquals(idle.comments, [""]);
});
