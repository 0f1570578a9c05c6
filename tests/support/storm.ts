/**
 * Sends frames of 1,000 lines that are no valid messages, for a test, in a process of its own:
 *
 *     deno run -A tests/support/storm.ts PORT BYTES_PER_SECOND
 *
 * When it is disconnected, it comes again under another name. It prints both, and never ends.
 */
import { JsonClient } from "./json_client.ts";
import { sleep } from "./wait.ts";

const [port, bytesPerSecond] = Deno.args.map(Number);
const frame = Array(1_000).fill("1").join("\n");

for (let i = 0;; i++) {
  const client = await JsonClient.join(port, `storm-${i}`, { room: "storm" });
  console.log("joined");
  let isOpen = true;
  client.closed.then(() => isOpen = false);
  const start = performance.now();
  let sent = 0;
  while (isOpen) {
    const due = (performance.now() - start) / 1_000 * bytesPerSecond;
    for (; sent < due; sent += frame.length) client.send(frame);
    await sleep(5);
  }
  console.log("disconnected");
}
