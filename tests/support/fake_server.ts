import type { Welcome } from "../../chat/protocol/protocol.ts";

/** What a client asked for. */
interface Handshake {
  readonly path: string;
  readonly query: string;
  readonly headers: Headers;
}

/** What a {@linkcode FakeServer} does with a request. */
interface Behaviour {
  /** Called for each client that connects; without it, every handshake is refused with 503. */
  readonly onSocket?: (socket: WebSocket, handshake: Handshake) => void;
  /** Responds to requests that are no handshake; without it, with 426. */
  readonly onRequest?: (request: Request) => Response;
}

/** A server of the JSON protocol that does as a test says. */
export interface FakeServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** How many handshakes there were. */
  readonly handshakes: number;
}

/** Starts a fake server on a free port of 127.0.0.1. */
export function startFakeServer({ onSocket, onRequest }: Behaviour): FakeServer {
  let handshakes = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    if (request.headers.get("upgrade") !== "websocket") {
      return onRequest?.(request) ?? new Response("a WebSocket\n", { status: 426 });
    }
    handshakes++;
    if (!onSocket) return new Response("not now\n", { status: 503 });
    // The request is gone once the socket is open.
    const { pathname: path, search: query } = new URL(request.url);
    const handshake = {
      ...{ path, query },
      headers: new Headers(request.headers),
    };
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol: "chat.json.v1" });
    socket.onopen = () => onSocket(socket, handshake);
    return response;
  });
  return {
    port: server.addr.port,
    url: `ws://127.0.0.1:${server.addr.port}`,
    get handshakes() {
      return handshakes;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Sends a welcome to a client that joined as foo. */
export function sendWelcome(socket: WebSocket, fields: Partial<Welcome> = {}): void {
  const welcome = { user: "foo", room: "chat", last: "0-0", recovered: false, users: 1 };
  socket.send(JSON.stringify({ type: "welcome", ...welcome, ...fields }));
}
