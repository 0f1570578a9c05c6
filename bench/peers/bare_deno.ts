/**
 * The smallest WebSocket server on Deno. It sends a welcome to every client and does nothing else,
 * which shows what a connection costs without a chat.
 *
 * @module
 */
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 30 });
  socket.onopen = () => socket.send("Welcome!");
  return response;
});
