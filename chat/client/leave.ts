/** The longest that a client waits for the server. */
const LEAVE_TIMEOUT_MS = 2_000;

/**
 * Closes a connection.
 *
 * @param canLeave whether to ask the server to free the name first
 * @returns resolves when the connection is closed, after two seconds at the latest
 */
export function leave(socket: WebSocket, canLeave: boolean): Promise<void> {
  return new Promise((resolve) => {
    const timeout = setTimeout(() => {
      socket.close(1000);
      resolve();
    }, LEAVE_TIMEOUT_MS);
    socket.onclose = socket.onerror = () => {
      clearTimeout(timeout);
      resolve();
    };
    if (canLeave) socket.send('{"type":"leave"}');
    else socket.close(1000);
  });
}
