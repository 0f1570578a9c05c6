/** The longest that a client waits for the server. */
const LEAVE_TIMEOUT_MS = 2_000;

/**
 * Closes a connection.
 *
 * @param canLeave whether to ask the server to free the name first
 * @returns resolves when the connection is closed, after two seconds at the latest
 */
export async function leave(socket: WebSocket, canLeave: boolean): Promise<void> {
  if (canLeave) socket.send('{"type":"leave"}');
  else socket.close(1000);
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise((resolve) => {
    socket.onclose = socket.onerror = resolve;
    timer = setTimeout(resolve, LEAVE_TIMEOUT_MS);
  });
  clearTimeout(timer);
  socket.close(1000);
}
