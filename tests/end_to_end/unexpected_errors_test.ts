import { assert, assertEquals } from "@std/assert";
import { listen } from "../../chat/http/listener.ts";
import { messageOf } from "../support/instance.ts";
import { run } from "../support/process.ts";
import { handshake, RawClient } from "../support/raw_client.ts";
import { until } from "../support/wait.ts";

Deno.test("an error that nobody expected is logged with its stack, and ends nothing", async () => {
  const code = `
    import { configureLogging } from "./chat/config/logging.ts";
    import { surviveUnexpectedErrors } from "./chat/workers/unexpected_errors.ts";
    configureLogging({ logFormat: "text", logLevel: "info" }, "0123456789ab");
    surviveUnexpectedErrors();
    setTimeout(function inTimer() { throw new Error("thrown in a timer"); });
    (async function inPromise() { throw new Error("thrown in a promise"); })();
    setTimeout(() => console.log("still alive"), 100);
  `;
  await using running = run(Deno.execPath(), ["eval", "--ext=ts", code]);
  assertEquals((await running.exit).code, 0);
  const lines = (await running.output.end()).map(messageOf);
  assert(lines.includes("An error that nobody expected: Error: thrown in a timer"));
  assert(lines.includes("A rejection that nobody expected: Error: thrown in a promise"));
  for (const name of ["inTimer", "inPromise"]) {
    assert(
      lines.some((line) => line.startsWith("    at ") && line.includes(name)),
      lines.join("\n"),
    );
  }
  assert(lines.includes("still alive"));
});

Deno.test("a server that ends because of a bug in its handler listens again", async () => {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const listener = listen(options, (request) => {
    // Deno ends a server whose handler upgrades a request and returns something else.
    if (request.headers.has("upgrade")) Deno.upgradeWebSocket(request);
    return new Response("it listens");
  }, () => {});
  const client = await RawClient.connect(listener.port);
  await client.write(handshake("/"));
  await until(async () => {
    const response = await fetch(`http://127.0.0.1:${listener.port}/`).catch(() => undefined);
    return await response?.text() === "it listens";
  }, 20);
  client.close();
  await listener.shutdown();
});
