import { checkServer } from "../../chat/store/redis/server_check.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";
import { assertEquals, assertThrows } from "@std/assert";

Deno.test("Redis 6.0 and later are accepted, and Valkey", () => {
  for (const version of ["6.0.0", "6.2.14", "7.2.4\r\nserver_name:valkey", "10.0.1"]) {
    const info = `# Server\r\nredis_version:${version}\r\nmaxmemory_policy:allkeys-lru\r\n`;
    assertEquals(checkServer(info), { evictionPolicy: "allkeys-lru" });
  }
});

Deno.test("an older or unknown server and a cluster are refused, each with its reason", () => {
  for (
    const [info, reason] of [
      ["redis_version:5.0.14\r\n", "this is Redis 5.0.14, but Redis 6.0 is the least"],
      ["", "this is Redis of an unknown version, but Redis 6.0 is the least"],
      ["redis_version:7.0.0\r\ncluster_enabled:1\r\n", "Redis Cluster"],
    ]
  ) {
    assertThrows(() => checkServer(info), StoreUnavailable, reason);
  }
});
