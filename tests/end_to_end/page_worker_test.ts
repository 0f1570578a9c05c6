import { assert, assertEquals } from "@std/assert";
import { type Instance, startInstance } from "../support/instance.ts";
import { startRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeVersion } from "../support/version.ts";

/** The module that makes the page, and its last statement. */
const FILE = "chat/http/page_worker.ts", LAST = "(self as";

/** Opens the page over a connection of its own. */
async function open({ http }: Instance): Promise<number> {
  const headers = { accept: "text/html", connection: "close" };
  const response = await fetch(http, { headers });
  await response.text();
  return response.status;
}

Deno.test("the page is made before anybody opens it, and meanwhile the chat goes on", async () => {
  const code = `
    console.log("it is made");
    const never = new Int32Array(new SharedArrayBuffer(4));
    const mayGoOn = () => [...Deno.readDirSync(".")].some(({ name }) => name === "go_on");
    while (!mayGoOn()) Atomics.wait(never, 0, 0, 20);
  `;
  await using version = await makeVersion([[FILE, LAST, code + LAST]]);
  await using instance = await startInstance({}, version);
  await instance.output.find(/^it is made$/);
  let isOpen = false;
  const opened = open(instance).finally(() => isOpen = true);
  const [foo, bar] = [
    await TextClient.join(instance.port, "foo"),
    await TextClient.join(instance.port, "bar"),
  ];
  foo.send("hi");
  await bar.until("foo: hi");
  assert(!isOpen);
  await Deno.writeTextFile(`${version.folder}/go_on`, "");
  assertEquals(await opened, 200);
  assertEquals(instance.output.all.filter((line) => line === "it is made").length, 1);
  await Promise.all([foo, bar].map((client) => client.leave()));
});

Deno.test("a page that could not be made is made later, once for all workers", async () => {
  await using version = await makeVersion([[FILE, LAST, `throw new Error("a bug"); ${LAST}`]]);
  await using redis = await startRedis();
  await using instance = await startInstance({ ...redis.env, WORKERS: "2" }, version);
  await instance.output.find(/ error \w+ the page cannot be made: .*a bug/);
  assertEquals(await open(instance), 500);
  await instance.output.find(
    / error \w+ A request failed: Error: the page cannot be made: .*a bug/,
  );
  const path = `${version.folder}/${FILE}`;
  const source = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, source.replace("throw new Error", "console.log"));
  const statuses = await Promise.all(Array.from({ length: 20 }, () => open(instance)));
  assertEquals(new Set(statuses), new Set([200]));
  assertEquals(instance.output.all.filter((line) => line === "a bug").length, 1);
});
