/**
 * Asks the server of this container for `/healthz`: exits with 0 if it responds with 200, and with
 * 1 if it does not. The image's `HEALTHCHECK` runs this file.
 *
 * It does not ask for `/readyz`, which responds with 503 while Redis is unreachable. Some systems
 * replace an unhealthy container, and that would end sessions which the outage itself does not.
 */
import { SETTINGS } from "../chat/config/settings.ts";

/** A server that does not respond within this time counts as hung. */
const TIMEOUT_MS = 4_000;

setTimeout(() => {
  console.error(`no response within ${TIMEOUT_MS} ms`);
  Deno.exit(1);
}, TIMEOUT_MS);

// Linux connects to the machine itself if the address is 0.0.0.0 or ::. `fetch` would not do: it
// sends the request to the proxy if HTTP_PROXY is set.
const connection = await Deno.connect({
  hostname: Deno.env.get("HOST") || SETTINGS.HOST.default,
  port: Number(Deno.env.get("PORT") || SETTINGS.PORT.default),
});
await connection.write(
  new TextEncoder().encode("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"),
);
const reply = new Uint8Array(1024);
const length = await connection.read(reply);
const [statusLine] = new TextDecoder().decode(reply.subarray(0, length ?? 0)).split("\r\n");
console.log(statusLine);
Deno.exit(/^HTTP\/1\.[01] 200 /.test(statusLine) ? 0 : 1);
