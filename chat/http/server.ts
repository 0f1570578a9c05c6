import { STATUS_CODE } from "@std/http/status";
import { BadRequest } from "../protocol/bad_request.ts";
import { CLOSE } from "../protocol/close_codes.ts";
import { deadline } from "../store/deadline.ts";
import { Hub } from "../rooms/hub.ts";
import { type JoinRequest, parseJoinRequest } from "../session/join_request.ts";
import { answerRooms } from "./rooms_api.ts";
import { Session, type SessionLimits, STALL_CHECKS } from "../session/session.ts";
import { type Store, StoreOutcomeUnknown, StoreUnavailable } from "../store/store.ts";

/** What a server is told when it starts. */
export interface ServerOptions extends SessionLimits {
  /** The address to listen on. */
  readonly host: string;
  /** The port to listen on; 0 for any free one. */
  readonly port: number;
  /** How many servers of this process share the port. */
  readonly workers: number;
  /** The longest that something may wait to be sent together with more, in milliseconds. */
  readonly maxFlushMs: number;
}

/** A server that is running. */
export interface ChatServer {
  /** The port it listens on. */
  readonly port: number;
  /**
   * Takes no new connections, takes every session out of its room, closes every socket with 1001 and resolves when all
   * that is done, or after two seconds for the sockets of peers that do not read.
   */
  stop(): Promise<void>;
}

/** How long a stop waits for peers to answer its close frame, in milliseconds. */
const GOODBYE_WITHIN = 2_000;

/**
 * Starts to serve the chat.
 *
 * @param options where to listen, and what to allow
 * @param store where this instance meets the others
 * @param ready what `/readyz` asks; by default whether the store answers
 * @throws {Deno.errors.AddrInUse} and other errors of `Deno.serve` if it cannot listen there
 *
 * @example
 * ```ts
 * import { readConfig } from "./config.ts";
 * import { openMemoryStore } from "./memory/store.ts";
 * import { startServer } from "./server.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const options = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const server = await startServer(options, openMemoryStore(options));
 * const answer = await fetch(`http://127.0.0.1:${server.port}/healthz`);
 * assertEquals(await answer.text(), "ok\n");
 * await server.stop();
 * ```
 */
export async function startServer(
  options: ServerOptions,
  store: Store,
  ready: () => Promise<void> = () => store.ping(),
): Promise<ChatServer> {
  const hub = new Hub(store, options.maxFlushMs);
  await hub.start();
  const sessions = new Set<Session>();
  let stopping = false;

  function answer(request: Request): Response | Promise<Response> {
    const url = URL.parse(request.url);
    if (!url) return refuse(STATUS_CODE.BadRequest, "the Host header names no host");
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refuse(STATUS_CODE.MethodNotAllowed, `${request.method} is not understood, use GET`, {
        allow: "GET, HEAD",
      });
    }
    switch (url.pathname) {
      case "/":
        return plain(STATUS_CODE.OK, "you are good to go!");
      case "/healthz":
        return plain(STATUS_CODE.OK, "ok\n");
      case "/readyz":
        return answerReady();
    }
    return answerPath(request, url).catch(explain);
  }

  async function answerPath(request: Request, url: URL): Promise<Response> {
    if (/^\/chat(\/|$)/.test(url.pathname)) return answerChat(request, url);
    const answer = await answerRooms(url, store);
    if (answer) return Response.json(answer);
    return refuse(STATUS_CODE.NotFound, `${url.pathname} is not here, the chat is at /chat/{user}`);
  }

  async function answerReady(): Promise<Response> {
    if (stopping) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
    try {
      await ready();
      return plain(STATUS_CODE.OK, "ready\n");
    } catch {
      return refuse(STATUS_CODE.ServiceUnavailable, "the store does not answer");
    }
  }

  function answerChat(request: Request, url: URL): Response {
    const asked = parseJoinRequest(url, request.headers.get("sec-websocket-protocol"));
    if (request.method !== "GET" || !asksForWebSocket(request)) {
      return refuse(
        STATUS_CODE.UpgradeRequired,
        "this is the chat's WebSocket: connect with a WebSocket client, such as wscat",
        { upgrade: "websocket", connection: "upgrade" },
      );
    }
    if (stopping) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
    return join(request, asked);
  }

  function join(request: Request, asked: JoinRequest): Response {
    let upgrade: Deno.WebSocketUpgrade;
    try {
      upgrade = Deno.upgradeWebSocket(request, {
        idleTimeout: options.idleSeconds,
        protocol: asked.protocol.name || undefined,
      });
    } catch (error) {
      const cause = (error as Error).message;
      throw new BadRequest(`this is no WebSocket handshake: ${cause}`);
    }
    const session = new Session(upgrade.socket, hub, asked, options);
    sessions.add(session);
    session.closed.then(() => sessions.delete(session));
    return upgrade.response;
  }

  const http = Deno.serve({
    hostname: options.host,
    port: options.port,
    reusePort: options.workers > 1,
    onListen: () => {},
    onError(error) {
      console.error("a request failed:", error);
      return refuse(STATUS_CODE.InternalServerError, "something went wrong here");
    },
  }, answer);

  const looks = setInterval(
    () => sessions.forEach((session) => session.checkStall()),
    options.maxStallSeconds * 1000 / STALL_CHECKS,
  );

  return {
    port: http.addr.port,
    async stop() {
      stopping = true;
      clearInterval(looks);
      const closed = [...sessions].map((session) => session.closed);
      for (const session of sessions) session.close(CLOSE.shutdown);
      // The server's own end says goodbye to every socket too, but less clearly, and so it comes a turn later.
      await new Promise((resolve) => setTimeout(resolve, 0));
      const ended = http.shutdown();
      await hub.drained();
      await deadline(Promise.all([...closed, ended]), GOODBYE_WITHIN).catch(() => {});
    },
  };
}

/** RFC 6455, section 4.2.1: `Upgrade` is a list, and its words are compared without regard to case. */
function asksForWebSocket(request: Request): boolean {
  const asked = request.headers.get("upgrade") ?? "";
  return asked.split(",").some((protocol) => protocol.trim().toLowerCase() === "websocket");
}

/** Answers a request that failed; what is nobody's fault here goes on to the log. */
function explain(error: unknown): Response {
  if (error instanceof BadRequest) return refuse(STATUS_CODE.BadRequest, error.message);
  if (error instanceof StoreUnavailable || error instanceof StoreOutcomeUnknown) {
    return refuse(STATUS_CODE.ServiceUnavailable, "the store does not answer");
  }
  throw error;
}

function plain(status: number, text: string, headers: HeadersInit = {}): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

function refuse(status: number, line: string, headers: HeadersInit = {}): Response {
  return plain(status, `${line}\n`, headers);
}
