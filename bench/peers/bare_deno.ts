/**
 * What a connection costs on Deno before there is a chat: every upgrade is welcomed, and nothing else happens.
 *
 * @module
 */
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 30 });
  socket.onopen = () => socket.send("Welcome!");
  return response;
});
