/**
 * The same chat with Socket.IO and its Redis adapter. What its documentation advises for speed: WebSocket as the only
 * transport, no compression, the native add-on bufferutil, the handshake's request dropped for memory. The other server
 * that it names, eiows, is compiled from the sources of Node.js when it is installed, and so it is not used here. What
 * ioredis's advises: automatic pipelines.
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
  io.to(room).emit("message", `${user}: has joined the chat!`);
  socket.join(room);
  socket.on("message", (text) => io.to(room).emit("message", `${user}: ${text}`));
  socket.on("disconnect", () => io.to(room).emit("message", `${user}: has left the chat!`));
});
