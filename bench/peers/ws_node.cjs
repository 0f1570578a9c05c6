/**
 * The same chat with ws on Node.js. It follows the advice on speed in the documentation of ws: the
 * native add-on bufferutil, and no compression. It also follows ioredis's documentation: automatic
 * pipelines. A message from Redis stays one Buffer for all sockets, so that it is not encoded for
 * each of them. ws documents no way to build the whole frame only once.
 *
 * @module
 */
const { Redis } = require("ioredis");
const { env } = require("node:process");
const { WebSocket, WebSocketServer } = require("ws");

const redis = new Redis(Number(env.REDIS_PORT), "127.0.0.1", { enableAutoPipelining: true });
const subscriber = redis.duplicate({ enableAutoPipelining: false });
const rooms = new Map();

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(env.PORT),
  perMessageDeflate: false,
  clientTracking: false,
});

server.on("connection", (ws, request) => {
  const url = new URL(request.url, "http://localhost");
  const user = url.pathname.slice("/chat/".length);
  const room = url.searchParams.get("room") ?? "chat";
  ws.on("error", console.error);
  ws.on("message", (text) => redis.publish(room, `${user}: ${text}`));
  ws.on("close", () => {
    rooms.get(room).delete(ws);
    redis.publish(room, `${user}: has left the chat!`);
  });
  ws.send(`Welcome ${user}!`);
  if (env.JOIN_NOTICES === "on") redis.publish(room, `${user}: has joined the chat!`);
  if (!rooms.has(room)) {
    rooms.set(room, new Set());
    subscriber.subscribe(room);
  }
  rooms.get(room).add(ws);
});

subscriber.on("messageBuffer", (room, text) => {
  for (const ws of rooms.get(`${room}`)) {
    if (ws.readyState === WebSocket.OPEN) ws.send(text, { binary: false });
  }
});
