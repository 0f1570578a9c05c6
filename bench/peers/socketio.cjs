/**
 * The same chat with Socket.IO and its Redis adapter. It follows the advice on speed in its
 * documentation: WebSocket as the only transport, no compression, the native add-on bufferutil, and
 * no reference to the handshake's request, which saves memory. The documentation also names the
 * server eiows. It is not used here, because its installation compiles sources of Node.js. The chat
 * also follows ioredis's documentation: automatic pipelines.
 *
 * @module
 */
const { createAdapter } = require("@socket.io/redis-adapter");
const { Redis } = require("ioredis");
const { env } = require("node:process");
const { Server } = require("socket.io");

const redis = new Redis(Number(env.REDIS_PORT), "127.0.0.1", { enableAutoPipelining: true });
const subscriber = redis.duplicate({ enableAutoPipelining: false });

const io = new Server(Number(env.PORT), {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
  adapter: createAdapter(redis, subscriber),
});

io.engine.on("connection", (rawSocket) => {
  rawSocket.request = null;
});

io.on("connection", (socket) => {
  const { user, room } = socket.handshake.auth;
  socket.emit("message", `Welcome ${user}!`);
  if (env.JOIN_NOTICES === "on") io.to(room).emit("message", `${user}: has joined the chat!`);
  socket.join(room);
  socket.on("message", (text) => io.to(room).emit("message", `${user}: ${text}`));
  socket.on("disconnect", () => io.to(room).emit("message", `${user}: has left the chat!`));
});
