import { assertEquals } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { openMemoryStore } from "../../chat/store/memory/memory_store.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../../chat/store/store.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";

Deno.test("a message in doubt stays in doubt when its repetition is refused", async () => {
  const failures = [
    new StoreUnavailable("down"),
    new StoreOutcomeUnknown("the reply was lost"),
    new StoreUnavailable("down"),
  ];
  const store = openMemoryStore(readConfig({}));
  await using server = await startHttpServer({
    ...store,
    publish: (room, user, text, ref) => {
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : store.publish(room, user, text, ref);
    },
  });
  const foo = await JsonClient.join(server.port, "foo");
  for (let i = 0; i < 3; i++) foo.send({ type: "message", text: "hi", ref: "r" });
  await foo.publish("hi", "r");
  assertEquals(foo.all("error").map(({ code }) => code), ["not_delivered", "unknown", "unknown"]);
  await foo.leave();
});
