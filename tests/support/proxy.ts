import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy in front of a server, with which a test interrupts connections. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /**
   * Stops forwarding on the open connections whose first bytes contain a text; closes none. If one
   * end closes such a connection, the other end does not learn it.
   *
   * @param what `"replies"` goes on to forward what clients send; by default nothing is forwarded
   * @returns how many connections these are
   */
  freeze(text: string, what?: "replies"): number;
  /** Forwards nothing back on the connection on which a client next sends a text. */
  loseReply(text: string): void;
  /**
   * Ends every connection, in order or by a TCP reset.
   *
   * @param text if given, only the connections whose first bytes contain it
   */
  disconnect(how: "in order" | "by reset", text?: string): void;
  /** Ends every connection and accepts none until {@linkcode Proxy.unblock}. */
  block(): void;
  unblock(): void;
  /** Forwards new connections to a server on another port. The open ones stay where they are. */
  redirect(targetPort: number): void;
}

interface Connection {
  readonly ends: readonly [Socket, Socket];
  /** The first bytes, about 500, of both directions. */
  start: string;
  isFrozen: boolean;
  losesReplies: boolean;
}

/** Starts a proxy on a free port of 127.0.0.1, in front of a server on another port. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const connections = new Set<Connection>();
  let isBlocked = false;
  let losesReplyTo: string | undefined;

  function forward(near: Socket): void {
    if (isBlocked) return void near.destroy();
    const far = connect(targetPort, "127.0.0.1");
    const connection: Connection = {
      ends: [near, far],
      start: "",
      isFrozen: false,
      losesReplies: false,
    };
    connections.add(connection);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (bytes) => {
        if (connection.start.length < 500) connection.start += bytes.toString("latin1");
        if (from === near && losesReplyTo && bytes.includes(losesReplyTo)) {
          connection.losesReplies = true;
          losesReplyTo = undefined;
        }
        if (connection.isFrozen || from === far && connection.losesReplies) return;
        if (!to.write(bytes)) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("error", () => {});
      from.on("close", () => {
        if (connection.isFrozen) return;
        connections.delete(connection);
        to.destroySoon();
      });
    }
  }

  function disconnect(how: "in order" | "by reset", text = ""): void {
    for (const { ends, start } of connections) {
      if (!start.includes(text)) continue;
      for (const end of ends) how === "in order" ? end.destroySoon() : end.resetAndDestroy();
    }
  }

  const server: Server = createServer({ noDelay: true }, forward);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    freeze(text, what) {
      const found = [...connections].filter(({ start, isFrozen }) =>
        !isFrozen && start.includes(text)
      );
      for (const connection of found) connection[what ? "losesReplies" : "isFrozen"] = true;
      return found.length;
    },
    loseReply(text) {
      losesReplyTo = text;
    },
    disconnect,
    block() {
      isBlocked = true;
      disconnect("in order");
    },
    unblock() {
      isBlocked = false;
    },
    redirect(port) {
      targetPort = port;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      disconnect("by reset");
      await closed;
    },
  };
}
