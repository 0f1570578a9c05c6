/**
 * Attacks a server for a test, in a process of its own:
 *
 *     deno run -A tests/support/attacker.ts PORT ATTEMPTS SECONDS KIND…
 *
 * Makes a number of connections from 127.0.1.1, or with `KIND@ADDRESS` from another address, within
 * some seconds, of the kinds in turn:
 *
 * - `idle` sends nothing
 * - `half` sends an upgrade request without its end
 * - `websocket` joins the chat under a name of its own, and reads nothing
 * - `reset` sends a valid upgrade request and resets the connection, some at once
 *
 * It keeps them all to the end, and prints how many were connected.
 */
import { connect, type Socket } from "node:net";
import { handshake } from "./raw_client.ts";
import { sleep } from "./wait.ts";

const [port, attempts, seconds] = Deno.args.slice(0, 3).map(Number);
const kinds = Deno.args.slice(3);

const sockets: Socket[] = [];
let connected = 0;

function attempt(i: number): void {
  const [kind, localAddress = "127.0.1.1"] = kinds[i % kinds.length].split("@");
  const socket = connect({ host: "127.0.0.1", port, localAddress }, () => {
    connected++;
    if (kind === "idle") return;
    const request = handshake(`/chat/attacker-${i}`);
    socket.write(kind === "half" ? request.slice(0, -4) : request, () => {
      if (kind !== "reset") return;
      if (i % 2) socket.resetAndDestroy();
      else setTimeout(() => socket.resetAndDestroy(), i % 3);
    });
  });
  socket.on("error", () => {});
  sockets.push(socket);
}

const start = performance.now();
for (let i = 0; i < attempts; i++) {
  await sleep(Math.max(0, start + i / attempts * seconds * 1000 - performance.now()));
  attempt(i);
}
await sleep(Math.max(0, start + seconds * 1000 - performance.now()));
console.log(`${connected} of ${attempts} attempts were connected`);
Deno.exit(0);
