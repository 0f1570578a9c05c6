/**
 * The same chat on Bun. It follows the advice on speed in Bun's documentation: native publish to a
 * topic instead of a loop over the sockets, and no compression. It also follows ioredis's
 * documentation: automatic pipelines.
 *
 * @module
 */
const { Redis } = require("ioredis");
const { env } = require("node:process");

const redis = new Redis(Number(env.REDIS_PORT), "127.0.0.1", { enableAutoPipelining: true });
const subscriber = redis.duplicate({ enableAutoPipelining: false });

const rooms = new Set();

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(env.PORT),
  fetch(request, server) {
    const url = new URL(request.url);
    const user = url.pathname.slice("/chat/".length);
    const data = { user, room: url.searchParams.get("room") ?? "chat" };
    if (!server.upgrade(request, { data })) return new Response("no WebSocket", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    open(ws) {
      const { user, room } = ws.data;
      ws.send(`Welcome ${user}!`);
      if (env.JOIN_NOTICES === "on") redis.publish(room, `${user}: has joined the chat!`);
      ws.subscribe(room);
      if (rooms.has(room)) return;
      rooms.add(room);
      subscriber.subscribe(room);
    },
    message(ws, text) {
      redis.publish(ws.data.room, `${ws.data.user}: ${text}`);
    },
    close(ws) {
      redis.publish(ws.data.room, `${ws.data.user}: has left the chat!`);
    },
  },
});

subscriber.on("message", (room, text) => server.publish(room, text));
