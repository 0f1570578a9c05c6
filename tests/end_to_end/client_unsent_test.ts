import { assertEquals, assertRejects } from "@std/assert";
import { ChatClient, type ChatClientOptions, ChatError } from "../../chat/client/client.ts";
import { makeClientModule } from "../../chat/http/client_module.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

/** What a page has in `sessionStorage`. */
class Storage {
  readonly items: Map<string, string>;

  constructor(items: Iterable<[string, string]> = []) {
    this.items = new Map(items);
  }

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }

  /** What is stored of messages. */
  get unsent(): string | undefined {
    return [...this.items].find(([key]) => key.endsWith(" unsent"))?.[1];
  }
}

let pages = 0;

/** Loads the module as a page does that was loaded anew. */
async function loadPage(): Promise<typeof ChatClient> {
  const code = `${makeClientModule()}// ${++pages}\n`;
  const module = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return module.ChatClient;
}

/** Joins as foo from a page that was loaded anew; resolves to its restored texts, too. */
async function join(url: string, options: ChatClientOptions) {
  const Client = await loadPage();
  const client = new Client(url, "foo", options);
  let restored: string[] = [];
  client.onrestored = (unsent) => restored = unsent.map(({ text }) => text);
  return { client, restored: () => restored };
}

Deno.test("a reloaded page goes on to send what was not acknowledged, once and in order", async () => {
  await using server = await startHttpServer();
  await using proxy = await startProxy(server.port);
  const url = `ws://127.0.0.1:${proxy.port}`;
  const watcher = await JsonClient.join(server.port, "watcher");
  const storage = new Storage();
  const first = await join(url, { storage });
  await first.client.send("a");
  const b = first.client.send("b");
  await Promise.resolve();
  // The page is reloaded when b has been sent, and the ack is on its way.
  const atB = new Storage(storage.items);
  const idOfB = await b;
  assertEquals(storage.unsent, "[]");

  const second = await join(url, { storage: atB });
  const [message] = await untilUnsent(second.client, 1);
  assertEquals([second.restored(), message.text, await message.id], [["b"], "b", idOfB]);
  await second.client.ready;
  assertEquals(proxy.freeze("GET /chat/foo"), 1);
  for (const text of ["c", "d"]) second.client.send(text).catch(() => {});
  await Promise.resolve();

  const third = await join(url, { storage: new Storage(atB.items) });
  third.client.send("e").catch(() => {});
  await until(() => watcher.texts.length === 5, 5);
  assertEquals(third.restored(), ["c", "d"]);
  assertEquals(watcher.texts, ["a", "b", "c", "d", "e"]);
  const refs = watcher.all("message").map(({ ref }) => ref);
  assertEquals(new Set(refs).size, 5);
  await until(() => third.client.unsent.length === 0);
  for (const { client } of [first, second, third]) await client.close();
  await watcher.leave();
});

/** Waits until a client has so many messages that are not acknowledged. */
async function untilUnsent(client: ChatClient, count: number) {
  await until(() => client.unsent.length === count);
  return client.unsent;
}

Deno.test("what close() rejects is not sent by the next client", async () => {
  await using server = await startHttpServer();
  await using proxy = await startProxy(server.port);
  const watcher = await JsonClient.join(server.port, "watcher");
  const url = `ws://127.0.0.1:${proxy.port}`;
  const storage = new Storage();
  const options = { storage };
  const first = new ChatClient(url, "foo", options);
  await first.ready;
  proxy.freeze("GET /chat/foo");
  const send = first.send("never");
  const [message] = first.unsent;
  assertEquals([message.text, message.id], ["never", send]);
  const closed = first.close();
  const second = new ChatClient(url, "foo", options);
  assertEquals((await assertRejects(() => send, ChatError)).code, "unknown");
  second.onrestored = () => {
    throw new Error("nothing is restored");
  };
  await second.send("later");
  assertEquals(watcher.texts, ["later"]);
  await Promise.all([closed, second.close()]);
  assertEquals([storage.unsent, first.unsent], ["", []]);
  await watcher.leave();
});

Deno.test("a client whose page lets nothing be stored sends all the same", async () => {
  await using server = await startHttpServer();
  const refuse = () => {
    throw new DOMException("it is full", "QuotaExceededError");
  };
  for (const getItem of [() => null, refuse]) {
    const { client, restored } = await join(server.origin, {
      storage: { getItem, setItem: refuse },
    });
    await client.send("one");
    assertEquals([restored(), client.unsent], [[], []]);
    await client.close();
  }
});
