import { STATUS_CODE } from "@std/http/status";
import type { Store } from "../store/store.ts";
import { respondReady } from "./health.ts";
import { plain, refuse, refuseFor } from "./responses.ts";
import { listMessages, listUsers } from "./rooms_api.ts";

/** One entry of the table of routes. A `GET` route responds to `HEAD` too. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Matches the whole path, still percent-encoded; its groups are the segments. */
  readonly path: RegExp;
  readonly handle: (
    request: Request,
    url: URL,
    segments: readonly string[],
    address: string,
  ) => Response | Promise<Response>;
}

/** What the routes need of the server. */
export interface RouteContext {
  readonly store: Store;
  /** Resolves if the server can do all of its work. */
  ready(): Promise<void>;
  /** Whether the server is shutting down. */
  isClosing(): boolean;
  /** Upgrades a request to a WebSocket, and starts its session. */
  startSession(request: Request, url: URL, address: string): Promise<Response>;
}

/** Makes the table of routes. */
export function makeRoutes(
  { store, ready, isClosing, startSession }: RouteContext,
): readonly Route[] {
  return [
    {
      method: "GET",
      path: /^\/$/,
      handle: () => plain(STATUS_CODE.OK, "you are good to go!"),
    },
    {
      method: "GET",
      path: /^\/healthz$/,
      handle: () => plain(STATUS_CODE.OK, "ok\n"),
    },
    {
      method: "GET",
      path: /^\/readyz$/,
      handle: () => respondReady(isClosing(), ready),
    },
    {
      method: "GET",
      path: /^\/chat(?:\/.*)?$/,
      handle: (request, url, _, address) => startSession(request, url, address),
    },
    {
      method: "GET",
      path: /^\/rooms\/([^/]+)\/messages$/,
      handle: (_, url, [room]) => listMessages(store, room, url.searchParams),
    },
    {
      method: "GET",
      path: /^\/rooms\/([^/]+)\/users$/,
      handle: (_, url, [room]) => listUsers(store, room, url.searchParams),
    },
  ];
}

/**
 * Responds to a request with the route of its path and method, or refuses it in one line.
 *
 * @param address the peer's address
 */
export async function respond(
  routes: readonly Route[],
  request: Request,
  address = "",
): Promise<Response> {
  const url = URL.parse(request.url);
  if (!url) return refuse(STATUS_CODE.BadRequest, "the Host header names no host");
  const routesOfPath = routes.filter(({ path }) => path.test(url.pathname));
  if (routesOfPath.length === 0) {
    return refuse(STATUS_CODE.NotFound, `${url.pathname} is not here, the chat is at /chat/{user}`);
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = routesOfPath.find((route) => route.method === method);
  if (!route) return refuseMethod(request.method, routesOfPath);
  try {
    const [, ...segments] = route.path.exec(url.pathname)!;
    return await route.handle(request, url, segments, address);
  } catch (error) {
    return refuseFor(error);
  }
}

function refuseMethod(method: string, routes: readonly Route[]): Response {
  const methods = routes.map((route) => route.method);
  const allow = methods.flatMap((known) => known === "GET" ? ["GET", "HEAD"] : known).join(", ");
  const line = `${method} is not understood, use ${methods.join(" or ")}`;
  return refuse(STATUS_CODE.MethodNotAllowed, line, { allow });
}
