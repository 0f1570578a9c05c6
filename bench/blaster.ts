/**
 * A server that sends as fast as it can, to find the limit of the load generator. `blaster.ts PORT
 * CLIENTS FRAMES` waits for CLIENTS connections and for the first text frame of the first client.
 * It then sends copies of this frame to all clients until it is killed, FRAMES copies with each
 * send.
 *
 * @module
 */
import { accept, listen, receive, send } from "./libc.ts";

const [port, clients, frames] = Deno.args.map(Number);
const listener = listen(port);
const buffer = new Uint8Array(65_536);

/** Reads what a client has sent with one call, and discards what does not fit. */
function read(fd: number): Uint8Array<ArrayBuffer> {
  return buffer.slice(0, receive(fd, buffer));
}

const sockets: number[] = [];
while (sockets.length < clients) {
  const fd = accept(listener);
  const request = new TextDecoder().decode(read(fd));
  const isUpgrade = request.includes("Upgrade: websocket");
  const response = isUpgrade
    ? "HTTP/1.1 101 \r\n\r\n"
    : "HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n";
  send(fd, new TextEncoder().encode(response));
  if (isUpgrade) sockets.push(fd);
}

const published = read(sockets[0]);
const length = published[1] & 0x7f;
const frame = [published[0], length, ...published.subarray(published.length - length)];
const copies = new Uint8Array(Array.from({ length: frames }, () => frame).flat());
for (;;) sockets.forEach((fd) => send(fd, copies));
