import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../support/process.ts";
import { messageOf } from "../support/instance.ts";

Deno.test("a connection that is lost again and again has one line until it is stable", async () => {
  const code = `
    import { configureLogging } from "./chat/config/logging.ts";
    import { Outage } from "./chat/store/redis/outage.ts";
    configureLogging({ logFormat: "text", logLevel: "info" }, "0123456789ab");
    const outage = new Outage("c");
    for (let i = 0; i < 4; i++) {
      outage.fail(i === 2 ? "reset" : "closed");
      outage.end();
    }
    setTimeout(() => {
      outage.fail("closed");
      outage.end();
    }, 5_500);
  `;
  await using running = run(Deno.execPath(), ["eval", "--ext=ts", code]);
  const lines = (await running.output.end()).map(messageOf);
  assertMatch(lines[1], /^Redis connection c is back after \d+ s; 0 commands failed$/);
  assertEquals(lines.toSpliced(1, 1).slice(0, 4), [
    "Redis connection c lost (closed), trying again",
    "Redis connection c is still down: reset",
    "Redis connection c is stable, lost 3 times more",
    "Redis connection c lost (closed), trying again",
  ]);
});
