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
 * - `behind` asks for a stream of events, and sends bytes without end behind its request
 * - `chunks` posts a body without end, in chunks of one byte
 *
 * It keeps them all to the end, and prints how many were connected.
 */
import { connect, type Socket } from "node:net";
import { handshake } from "./raw_client.ts";
import { sleep } from "./wait.ts";

const [port, attempts, seconds] = Deno.args.slice(0, 3).map(Number);
const kinds = Deno.args.slice(3);

const ENDLESS: Record<string, { head: string; rest: string }> = {
  behind: { head: "GET /rooms/lobby/events HTTP/1.1\r\n", rest: "x" },
  chunks: {
    head: "POST /rooms/lobby/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
    rest: "1\r\nx\r\n",
  },
};

const sockets: Socket[] = [];
let connected = 0;

function attempt(i: number): void {
  const [kind, localAddress = "127.0.1.1"] = kinds[i % kinds.length].split("@");
  const socket = connect({ host: "127.0.0.1", port, localAddress }, () => {
    connected++;
    if (kind === "idle") return;
    const endless = ENDLESS[kind];
    if (endless) {
      socket.resume().write(`${endless.head}Host: localhost\r\n\r\n`);
      return writeOn(socket, endless.rest.repeat(10_000));
    }
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

function writeOn(socket: Socket, text: string): void {
  socket.write(text, (error) => error || writeOn(socket, text));
}

const start = performance.now();
for (let i = 0; i < attempts; i++) {
  await sleep(Math.max(0, start + i / attempts * seconds * 1000 - performance.now()));
  attempt(i);
}
await sleep(Math.max(0, start + seconds * 1000 - performance.now()));
console.log(`${connected} of ${attempts} attempts were connected`);
Deno.exit(0);
