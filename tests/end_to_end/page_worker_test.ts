import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { type Instance, NOTHING_SET, startInstance } from "../support/instance.ts";
import { run } from "../support/process.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeVersion } from "../support/version.ts";
import { TIMEOUT_MS } from "../support/wait.ts";

/** Opens the page over a connection of its own. */
async function open(http: string): Promise<number> {
  const headers = { accept: "text/html", connection: "close" };
  const response = await fetch(http, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  await response.text();
  return response.status;
}

Deno.test("the page is made on a thread of its own", async (t) => {
  const code = `
    console.log("it begins");
    const never = new Int32Array(new SharedArrayBuffer(4));
    const mayGoOn = () => [...Deno.readDirSync(".")].some(({ name }) => name === "go_on");
    while (!mayGoOn()) Atomics.wait(never, 0, 0, 20);
    (self as`;
  await using version = await makeVersion([
    ["chat/http/page_worker.ts", "(self as", code],
    ["main.ts", "MAKE_PAGE_AFTER_MS = 10_000", "MAKE_PAGE_AFTER_MS = 1_000"],
  ]);
  const countTries = ({ output }: Instance) =>
    output.all.filter((line) => line === "it begins").length;

  await t.step("before anybody opens it, and meanwhile the chat goes on", async () => {
    await using instance = await startInstance({}, version);
    await instance.output.find(/^it begins$/);
    let isOpen = false;
    const opened = open(instance.http).finally(() => isOpen = true);
    const [foo, bar] = [
      await TextClient.join(instance.port, "foo"),
      await TextClient.join(instance.port, "bar"),
    ];
    foo.send("hi");
    await bar.until("foo: hi");
    assert(!isOpen);
    await Deno.writeTextFile(`${version.folder}/go_on`, "");
    assertEquals(await opened, 200);
    assertEquals(countTries(instance), 1);
    await Promise.all([foo, bar].map((client) => client.leave()));
  });

  await t.step("once for all workers, and again if that failed", async () => {
    const path = `${version.folder}/chat/http/make_page.ts`;
    const source = await Deno.readTextFile(path);
    const first = 'const { "index.html": index,';
    await Deno.writeTextFile(path, source.replace(first, `throw new Error("a bug"); ${first}`));
    await using redis = await startRedis();
    await using instance = await startInstance({ ...redis.env, WORKERS: "2" }, version);
    await instance.output.find(/ error \w+ The page cannot be made: a bug/);
    assertEquals(await open(instance.http), 500);
    await instance.output.find(/ error \w+ A request failed: Error: a bug/);
    await Deno.writeTextFile(path, source);
    const statuses = await Promise.all(Array.from({ length: 20 }, () => open(instance.http)));
    assertEquals(new Set(statuses), new Set([200]));
    assertEquals(countTries(instance), 3, "two have failed");
  });
});

Deno.test("without another thread, the page is made on that of the chat", async () => {
  const [, ...command] = config.tasks.start.command.split(" ");
  const mayNotRead = command.filter((argument) => argument !== "--allow-read");
  const env = { ...NOTHING_SET, HOST: "127.0.0.1", PORT: "0" };
  await using running = run(Deno.execPath(), mayNotRead, env);
  const [, http] = await running.output.find(/Listening on (\S+)/);
  assertEquals(await open(http), 200);
  await running.output.find(/ warning \w+ No other thread can make the page, .*: Requires read /);
});

Deno.test("with few descriptors free, the page is made on the thread of the chat", async () => {
  await using instance = await startInstance({}, { openFiles: 60 });
  assertEquals(await open(instance.http), 200);
  await instance.output.find(/ warning \w+ No other thread can make the page, .*: Too many open /);
});
