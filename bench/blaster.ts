/**
 * A server that shows what the load generator can take in: `blaster.ts PORT CLIENTS FRAMES` takes so many clients, and
 * then repeats the first text frame that one of them sends to all of them, so many times with each send, until it is
 * killed.
 *
 * @module
 */
import { accept, listen, receive, send } from "./libc.ts";

const [port, clients, frames] = Deno.args.map(Number);
const listener = listen(port);
const buffer = new Uint8Array(65_536);

/** Reads what the client sends at once, and forgets what is behind it. */
function read(fd: number): Uint8Array<ArrayBuffer> {
  return buffer.slice(0, receive(fd, buffer));
}

const sockets: number[] = [];
while (sockets.length < clients) {
  const fd = accept(listener);
  const asked = new TextDecoder().decode(read(fd));
  const isUpgrade = asked.includes("Upgrade: websocket");
  const answer = isUpgrade ? "HTTP/1.1 101 \r\n\r\n" : "HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n";
  send(fd, new TextEncoder().encode(answer));
  if (isUpgrade) sockets.push(fd);
}

const said = read(sockets[0]);
const length = said[1] & 0x7f;
const frame = [said[0], length, ...said.subarray(said.length - length)];
const blast = new Uint8Array(Array.from({ length: frames }, () => frame).flat());
for (;;) sockets.forEach((fd) => send(fd, blast));
