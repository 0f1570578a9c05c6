import { getLogger } from "@logtape/logtape";
import { STATUS_CODE } from "@std/http/status";
import { type AuthOptions, makeAuthenticate } from "../auth/authenticate.ts";
import {
  type AddressBudget,
  AddressBudgets,
  type AddressLimits,
  type Refusal,
} from "../limits/address_budgets.ts";
import { findClientAddress, isForwarded, listForwarded } from "../limits/client_address.ts";
import { ConnectionLimit } from "../limits/connection_limit.ts";
import { type ClientRates, SessionBudget } from "../limits/session_budget.ts";
import { PendingUpgrades } from "../limits/pending_upgrades.ts";
import { CLOSE } from "../protocol/close_codes.ts";
import { parseRoom } from "../protocol/names.ts";
import { Hub } from "../rooms/hub.ts";
import type { JoinRequest } from "../session/join_request.ts";
import { EventStream } from "../session/event_stream.ts";
import { Session, type SessionLimits } from "../session/session.ts";
import { STALL_CHECKS } from "../session/writer.ts";
import { deadline } from "../store/deadline.ts";
import type { Store } from "../store/store.ts";
import { makeAdmission } from "./admission.ts";
import { makeCharge } from "./charge.ts";
import { eventsHead, EventsResponse, parseListenRequest } from "./events_api.ts";
import { probeRoutes } from "./health.ts";
import { listen, type Listener } from "./listener.ts";
import { moderationRoutes } from "./moderation_api.ts";
import { loadPage } from "./page.ts";
import { pageRoutes } from "./page_routes.ts";
import { publishRoutes } from "./publish_api.ts";
import { allowOrigin, ConnectionEnded, refuse, refuseNewcomer } from "./responses.ts";
import { roomRoutes } from "./rooms_api.ts";
import { type Admission, type RoomRequest, type Route, routeInRoom } from "./route.ts";
import { respond } from "./routes.ts";
import { asksForWebSocket, parseJoinRequest, untilOpen, upgrade } from "./upgrade.ts";

const logger = getLogger(["chat", "http"]);

/** What a server is given when it starts. */
export interface ServerOptions extends SessionLimits, ClientRates, AddressLimits {
  /** The address to listen on. */
  readonly host: string;
  /** The port to listen on; 0 for any free port. */
  readonly port: number;
  /** How tokens are checked; `undefined` without authentication. */
  readonly auth?: AuthOptions;
  /** The origins whose pages may use the server; `undefined` for any. */
  readonly allowedOrigins?: readonly string[];
  /** How many servers of this process share the port. */
  readonly workers: number;
  /** The most WebSockets of the process; 0 for as many as its limit of open files allows. */
  readonly maxConnections: number;
  /** How many reverse proxies are in front, which all add the address that they see. */
  readonly trustProxy: number;
  /** The longest that an event may wait to be sent together with later ones, in milliseconds. */
  readonly maxFlushMs: number;
  /** A client that has not read all that was sent this many seconds ago is disconnected. */
  readonly maxStallSeconds: number;
  /** A client that answers no ping for this many seconds is disconnected. */
  readonly idleSeconds: number;
}

const UNDECLARED_PROXY =
  "A request has X-Forwarded-For or Forwarded, but TRUST_PROXY is 0: if a reverse proxy adds it, " +
  "set TRUST_PROXY=1; without it, all clients of the proxy have one address and its limits";

const LOST_UPGRADE = "A WebSocket handshake has no Upgrade header: a reverse proxy must pass on " +
  "Upgrade and Connection";

const MISSING_PROXY = "its client did not come through all proxies, or there are fewer of them; " +
  "such clients have one address and its limits, or choose their address";

/** How long closing waits for peers to answer the close frame, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** How often the server looks for clients whose tokens have expired. */
const EXPIRY_CHECK_MS = 1_000;

/**
 * Starts a server.
 *
 * @param options where to listen, and the limits
 * @param store the store that the server shares with other instances
 * @param ready what `/readyz` asks; by default whether the store answers
 * @returns the server, listening
 * @throws {Deno.errors.AddrInUse} and other errors of `Deno.serve` if it cannot listen
 * @throws {StoreUnavailable} if the store does not answer
 *
 * @example
 * ```ts
 * import { readConfig } from "../config/config.ts";
 * import { openMemoryStore } from "../store/memory/memory_store.ts";
 * import { startServer } from "./server.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const options = readConfig({ HOST: "127.0.0.1", PORT: "0" });
 * const server = await startServer(options, openMemoryStore(options));
 * const response = await fetch(`http://127.0.0.1:${server.port}/healthz`);
 * assertEquals(await response.text(), "ok\n");
 * await server.close();
 * ```
 */
export async function startServer(
  options: ServerOptions,
  store: Store,
  ready: () => Promise<void> = () => store.ping(),
): Promise<ChatServer> {
  const now = performance.now.bind(performance);
  const hub = new Hub(store, { maxFlushMs: options.maxFlushMs, now });
  await hub.start();
  const authenticate = options.auth && await makeAuthenticate(options.auth);
  const admit = makeAdmission(options.allowedOrigins, authenticate, store.moderation.isBanned);
  return new ChatServer(options, store, hub, ready, admit);
}

function refuseExcess(refusal: Refusal | undefined): Response | undefined {
  return refusal &&
    refuseNewcomer(STATUS_CODE.TooManyRequests, refusal.line, refusal.retryAfterSeconds);
}

function refuseFull(): Response {
  return refuseNewcomer(STATUS_CODE.ServiceUnavailable, "the server is full", 10);
}

/** A server that is listening: see {@linkcode startServer}. */
export class ChatServer {
  readonly #options: ServerOptions;
  readonly #hub: Hub;
  readonly #sessions = new Set<Session>();
  readonly #eventStreams = new Set<EventStream>();
  readonly #connectionLimit: ConnectionLimit;
  readonly #addresses: AddressBudgets;
  readonly #pendingUpgrades = new PendingUpgrades();
  /** How many sockets will never open, and keep their descriptors. */
  #leakedCount = 0;
  readonly #routes: readonly Route[];
  readonly #listener: Listener;
  readonly #stallTimer: ReturnType<typeof setInterval>;
  readonly #expiryTimer?: ReturnType<typeof setInterval>;
  #isClosing = false;
  #hasWarnedOfProxy = false;
  #hasWarnedOfUpgrade = false;

  /** Use {@linkcode startServer}. */
  constructor(
    options: ServerOptions,
    store: Store,
    hub: Hub,
    ready: () => Promise<void>,
    admit: Admission,
  ) {
    this.#options = options;
    this.#hub = hub;
    this.#addresses = new AddressBudgets(options);
    const charge = makeCharge(hub, options);
    this.#routes = [
      ...pageRoutes(loadPage),
      {
        method: "GET",
        path: /^\/chat(?:\/(.*))?$/,
        needs: "read",
        room: ({ url }) => parseRoom(url.searchParams.getAll("room")),
        handle: (request) => this.#startSession(request),
      },
      routeInRoom("GET", "events", "read", (request) => this.#startEventStream(request)),
      ...probeRoutes(() => this.#isClosing, ready),
      ...roomRoutes(store, hub.history),
      ...publishRoutes(hub, options, charge),
      ...moderationRoutes(hub, store, charge),
    ];
    const router = { routes: this.#routes, admit, allowedOrigins: options.allowedOrigins };
    this.#listener = listen(
      {
        hostname: options.host,
        port: options.port,
        reusePort: options.workers > 1,
        onListen: () => {},
        onError(error) {
          if (!(error instanceof ConnectionEnded)) logger.error`A request failed: ${error}`;
          const line = "something went wrong here";
          const response = refuse(STATUS_CODE.InternalServerError, line);
          return allowOrigin(response, null, options.allowedOrigins);
        },
      },
      (request, info) => {
        const { hostname, port } = info.remoteAddr;
        const isJoin = asksForWebSocket(request);
        const client = this.#findClient(request, hostname, isJoin);
        let isAdmitted = false;
        const response = respond(router, request, `${hostname}:${port}`, client, () => {
          const refusal = client.admit(isJoin ? "join" : "request");
          isAdmitted = !refusal;
          return refusal;
        });
        if (isAdmitted) {
          // Deno would keep `completed` for as long as a socket is open.
          const isUpgrade = ({ status }: Response) => status === STATUS_CODE.SwitchingProtocols;
          client.countUntil(response.then((it) => isUpgrade(it) ? undefined : info.completed));
        }
        return response;
      },
      () => this.#connectionLimit.onTooManyOpenFiles(this.connectionCount),
    );
    this.#connectionLimit = new ConnectionLimit(
      Math.ceil(options.maxConnections / options.workers),
    );
    this.#stallTimer = setInterval(
      () => this.#clients.forEach((client) => client.checkStall()),
      options.maxStallSeconds * 1000 / STALL_CHECKS,
    );
    if (options.auth) {
      const check = () => this.#clients.forEach((client) => client.checkExpiry());
      this.#expiryTimer = setInterval(check, EXPIRY_CHECK_MS);
    }
  }

  /** The port that the server listens on. */
  get port(): number {
    return this.#listener.port;
  }

  /** Every route: its method, a pattern of its path, and what it needs a client to be allowed. */
  get routes(): readonly {
    readonly method: string;
    readonly path: RegExp;
    readonly needs: string;
  }[] {
    return this.#routes;
  }

  /** How many sockets are open. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** How many descriptors the clients take, those included that Deno never frees. */
  get connectionCount(): number {
    return this.#sessions.size + this.#eventStreams.size + this.#leakedCount;
  }

  /** Everyone who receives events. */
  get #clients(): (Session | EventStream)[] {
    return [...this.#sessions, ...this.#eventStreams];
  }

  /**
   * Closes every session with 1001, ends every event stream and stops listening. Resolves when all
   * users have left their rooms and all connections are closed; after two seconds it stops waiting
   * for clients that do not read.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#stallTimer);
    clearInterval(this.#expiryTimer);
    this.#connectionLimit.close();
    const clients = this.#clients;
    const closed = clients.map((client) => client.closed);
    for (const client of clients) client.close(CLOSE.shutdown);
    // `shutdown` sends close frames too, without a reason, so it must come a turn later.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const stopped = this.#listener.shutdown();
    await this.#hub.settled();
    await deadline(Promise.all([...closed, stopped]), CLOSE_TIMEOUT_MS).catch(() => {});
  }

  #findClient({ headers }: Request, peer: string, isJoin: boolean): AddressBudget {
    const { trustProxy } = this.#options;
    if (!this.#hasWarnedOfProxy) this.#checkProxies(headers, isJoin);
    return this.#addresses.of(findClientAddress(peer, headers, trustProxy));
  }

  /** Warns, once, if what proxies have added is not what `TRUST_PROXY` says. */
  #checkProxies(headers: Headers, isJoin: boolean): void {
    const { trustProxy } = this.#options;
    if (trustProxy === 0) {
      if (!isForwarded(headers)) return;
      logger.warn`${UNDECLARED_PROXY}`;
    } else {
      // Those who run the server may send other requests past the proxies, such as health checks.
      const count = isJoin ? listForwarded(headers).length : trustProxy;
      if (count >= trustProxy) return;
      const came = `a join came with ${count} forwarded addresses`;
      logger.warn`TRUST_PROXY is ${trustProxy}, but ${came}: ${MISSING_PROXY}`;
    }
    this.#hasWarnedOfProxy = true;
  }

  async #startSession(roomRequest: RoomRequest): Promise<Response> {
    const joinRequest = parseJoinRequest(roomRequest);
    const { request, client, room } = roomRequest;
    const receivers = this.#hub.countReceivers(room);
    if (request.method !== "GET" || !asksForWebSocket(request)) {
      this.#warnOfLostUpgrade(request);
      return this.#refuseJoin(client, receivers) ?? refuse(
        STATUS_CODE.UpgradeRequired,
        "this is the chat's WebSocket: connect with a WebSocket client, such as wscat",
        { upgrade: "websocket", connection: "upgrade" },
      );
    }
    const refusal = this.#refuseReset(client);
    if (refusal) return refusal;
    if (!await this.#pendingUpgrades.begin(client.name)) {
      const line = "too many connections from your address are not open yet";
      return refuseNewcomer(STATUS_CODE.ServiceUnavailable, line, 1);
    }
    const { signal } = request;
    let isOpening = false;
    try {
      // By the next turn Deno knows most resets. An upgrade after a reset would leak.
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) return refuse(STATUS_CODE.BadRequest, "the connection is closed");
      if (this.#isClosing) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
      if (!this.#connectionLimit.admits(this.connectionCount)) return refuseFull();
      const excess = refuseExcess(client.admitTo(receivers));
      if (excess) return excess;
      const upgraded = upgrade(request, joinRequest.protocol, this.#options.idleSeconds);
      this.#addSession(upgraded.socket, joinRequest, request, client);
      isOpening = true;
      return upgraded.response;
    } finally {
      if (!isOpening) this.#pendingUpgrades.end(client.name, false);
    }
  }

  /** A proxy that is not told otherwise keeps `Upgrade` to itself, and passes on all the rest. */
  #warnOfLostUpgrade({ headers }: Request): void {
    if (this.#hasWarnedOfUpgrade || headers.get("sec-websocket-key") === null) return;
    this.#hasWarnedOfUpgrade = true;
    logger.warn`${LOST_UPGRADE}`;
  }

  /**
   * Says why a client cannot join now, to one that only asks: a browser does not tell a page why a
   * handshake failed. `undefined` if the client can. Charges and counts nothing.
   */
  #refuseJoin(client: AddressBudget, receivers: number): Response | undefined {
    const refusal = refuseExcess(client.refusalOfJoin(receivers));
    if (refusal) return refusal;
    if (this.#isClosing) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
    if (!this.#connectionLimit.hasPlace(this.connectionCount)) return refuseFull();
    return this.#refuseReset(client);
  }

  /** Refuses a client whose address has reset too many connections. */
  #refuseReset({ name }: AddressBudget): Response | undefined {
    const seconds = this.#pendingUpgrades.secondsRefused(name);
    if (seconds === 0) return undefined;
    const line = "too many connections from your address were reset";
    return refuseNewcomer(STATUS_CODE.TooManyRequests, line, seconds);
  }

  /** Responds to `GET /rooms/{room}/events` with a stream that has no end of its own. */
  async #startEventStream(roomRequest: RoomRequest): Promise<Response> {
    const listenRequest = parseListenRequest(roomRequest);
    if (roomRequest.request.method === "HEAD") return eventsHead();
    if (this.#isClosing) return refuse(STATUS_CODE.ServiceUnavailable, CLOSE.shutdown.reason);
    if (!this.#connectionLimit.admits(this.connectionCount)) return refuseFull();
    const outlet = new EventsResponse(() => stream.close(CLOSE.left));
    const { reads } = roomRequest.client;
    const stream = new EventStream(outlet, this.#hub, listenRequest, this.#options, reads);
    this.#eventStreams.add(stream);
    stream.closed.then(() => this.#eventStreams.delete(stream));
    try {
      await stream.start();
      // The user may have been banned before the stream could receive that.
      await roomRequest.admitAgain();
    } catch (error) {
      stream.close(CLOSE.tryLater);
      throw error;
    }
    return outlet.response;
  }

  async #addSession(
    socket: WebSocket,
    joinRequest: JoinRequest,
    request: Request,
    client: AddressBudget,
  ): Promise<void> {
    const budget = new SessionBudget(this.#options, client);
    const session = new Session(socket, this.#hub, joinRequest, this.#options, budget);
    this.#sessions.add(session);
    client.addOpen(1);
    session.closed.then(() => {
      if (this.#sessions.delete(session)) client.addOpen(-1);
      else this.#leakedCount--;
    });
    const isOpen = await untilOpen(socket, request);
    this.#pendingUpgrades.end(client.name, !isOpen);
    if (isOpen || !this.#sessions.delete(session)) return;
    client.addOpen(-1);
    this.#leakedCount++;
    session.close(CLOSE.tryLater);
  }
}
