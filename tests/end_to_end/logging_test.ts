import { assert, assertEquals, assertMatch } from "@std/assert";
import { launch, startInstance } from "../support/instance.ts";
import { freePort } from "../support/ports.ts";
import { until } from "../support/wait.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

Deno.test("LOG_FORMAT=json: each line has time, level, instance and message", async () => {
  await using instance = await startInstance({ LOG_FORMAT: "json" });
  instance.signal("SIGTERM");
  const lines = (await instance.output.end()).map((line) => JSON.parse(line));
  assert(lines.length >= 3);
  for (const { time, level, instance, message, ...rest } of lines) {
    assertMatch(time, TIME);
    assertEquals(level, "info");
    assertEquals(instance, lines[0].instance);
    assertEquals(typeof message, "string");
    assertEquals(rest, {});
  }
  assertMatch(lines[0].message, /^Listening on http/);
});

Deno.test("LOG_FORMAT=json: a start that fails prints one such line", async () => {
  const port = freePort();
  await using instance = launch({ LOG_FORMAT: "json", REDIS_HOST: `127.0.0.1:${port}` });
  assertEquals((await instance.exit).code, 1);
  const lines = await instance.output.end();
  assertEquals(lines.length, 1, lines.join("\n"));
  const { level, message } = JSON.parse(lines[0]);
  assertEquals(level, "fatal");
  assertMatch(message, /^cannot use Redis at 127\.0\.0\.1/);
});

Deno.test("LOG_LEVEL=warning: a start without trouble prints nothing", async () => {
  const port = freePort();
  await using instance = launch({ HOST: "127.0.0.1", PORT: `${port}`, LOG_LEVEL: "warning" });
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        (response) => response.text().then(() => true),
        () => false,
      ),
    20,
  );
  instance.signal("SIGTERM");
  assertEquals(await instance.output.end(), []);
});
