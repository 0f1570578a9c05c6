import { STATUS_CODE } from "@std/http/status";
import type { AddressBudget, Refusal } from "../limits/address_budgets.ts";
import type { Store } from "../store/store.ts";
import { respondReady } from "./health.ts";
import { CLIENT_MODULES, respondModule } from "./modules.ts";
import { allowAnyOrigin, plain, refuse, refuseFor, refuseNewcomer } from "./responses.ts";
import { listMessages, listUsers } from "./rooms_api.ts";

/** One entry of the table of routes. A `GET` route responds to `HEAD` too. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Matches the whole path, still percent-encoded; its groups are the segments. */
  readonly path: RegExp;
  /** Whether it is for those who run the server, and is never refused for a limit. */
  readonly isProbe?: boolean;
  readonly handle: (
    request: Request,
    url: URL,
    segments: readonly string[],
    client: AddressBudget,
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
  startSession(request: Request, url: URL, client: AddressBudget): Promise<Response>;
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
      isProbe: true,
      handle: () => plain(STATUS_CODE.OK, "ok\n"),
    },
    {
      method: "GET",
      path: /^\/readyz$/,
      isProbe: true,
      handle: () => respondReady(isClosing(), ready),
    },
    {
      method: "GET",
      path: /^\/chat(?:\/.*)?$/,
      handle: (request, url, _, client) => startSession(request, url, client),
    },
    {
      method: "GET",
      path: /^\/rooms\/([^/]+)\/messages$/,
      handle: ({ method }, url, [room]) => listMessages(store, method, room, url.searchParams),
    },
    {
      method: "GET",
      path: /^\/rooms\/([^/]+)\/users$/,
      handle: ({ method }, url, [room]) => listUsers(store, method, room, url.searchParams),
    },
    ...[...CLIENT_MODULES].map(([path, module]): Route => ({
      method: "GET",
      path: new RegExp(`^${RegExp.escape(path)}$`),
      handle: (request) => respondModule(request, module),
    })),
  ];
}

/**
 * Responds to a request with the route of its path and method, or refuses it in one line. Pages of
 * every origin may read the response.
 *
 * @param client the client's address
 * @param admit charges the request to it, and tells why it is refused, if it is
 */
export async function respond(
  routes: readonly Route[],
  request: Request,
  client: AddressBudget,
  admit: () => Refusal | undefined,
): Promise<Response> {
  return allowAnyOrigin(await handle(routes, request, client, admit));
}

async function handle(
  routes: readonly Route[],
  request: Request,
  client: AddressBudget,
  admit: () => Refusal | undefined,
): Promise<Response> {
  const url = parseUrl(request);
  const routesOfPath = url ? routes.filter(({ path }) => path.test(url.pathname)) : [];
  const refusal = routesOfPath.some(({ isProbe }) => isProbe) ? undefined : admit();
  if (refusal) {
    return refuseNewcomer(STATUS_CODE.TooManyRequests, refusal.line, refusal.retryAfterSeconds);
  }
  if (!url) return refuse(STATUS_CODE.BadRequest, "the Host header names no host");
  if (routesOfPath.length === 0) {
    return refuse(STATUS_CODE.NotFound, `${url.pathname} is not here, the chat is at /chat/{user}`);
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = routesOfPath.find((route) => route.method === method);
  if (request.method === "OPTIONS") return respondPreflight(routesOfPath);
  if (!route) return refuseMethod(request.method, routesOfPath);
  try {
    const [, ...segments] = route.path.exec(url.pathname)!;
    return await route.handle(request, url, segments, client);
  } catch (error) {
    return refuseFor(error);
  }
}

/** Deno puts the Host header before the path, whatever it has in it. */
function parseUrl({ url, headers }: Request): URL | null {
  return /[/\\?#@]/.test(headers.get("host") ?? "") ? null : URL.parse(url);
}

/** Tells a browser which requests to a path a page of another origin may make. */
function respondPreflight(routes: readonly Route[]): Response {
  const allow = allowedMethods(routes);
  return new Response(null, {
    status: STATUS_CODE.NoContent,
    headers: {
      allow,
      "access-control-allow-methods": allow,
      "access-control-allow-headers": "authorization, content-type",
      "access-control-max-age": "86400",
    },
  });
}

function refuseMethod(method: string, routes: readonly Route[]): Response {
  const known = routes.map((route) => route.method);
  const line = `${method} is not understood, use ${known.join(" or ")}`;
  return refuse(STATUS_CODE.MethodNotAllowed, line, { allow: allowedMethods(routes) });
}

function allowedMethods(routes: readonly Route[]): string {
  return routes.flatMap(({ method }) => method === "GET" ? ["GET", "HEAD"] : method).join(", ");
}
