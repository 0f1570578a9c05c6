import { STATUS_CODE } from "@std/http/status";
import type { AddressBudget, Refusal } from "../limits/address_budgets.ts";
import { RequestBody } from "./request_body.ts";
import { allowOrigin, endConnection, refuse, refuseFor, refuseNewcomer } from "./responses.ts";
import type { Admission, Route } from "./route.ts";
import { spaceOut } from "./spacing.ts";

/** What a server responds to requests with. */
export interface Router {
  readonly routes: readonly Route[];
  /** Finds out what a client may do in a room. */
  readonly admit: Admission;
  /** The origins whose pages may read the responses; `undefined` for any. */
  readonly allowedOrigins?: readonly string[];
}

/** The longest URL. A token in it has at most 8,192 characters. */
const MAX_URL_CHARS = 10 * 1024;

/** The headers that have lists, which take milliseconds to parse if they are very long. */
const MAX_LIST_CHARS = {
  "accept": 1_024,
  "accept-encoding": 1_024,
  "if-none-match": 1_024,
  // It may have a token.
  "sec-websocket-protocol": MAX_URL_CHARS,
};

/**
 * Responds to a request with the route of its path and method, or refuses it in one line.
 *
 * @param connection the peer's address and port
 * @param client the client's address
 * @param charge charges the request to it, and tells why it is refused, if it is
 */
export async function respond(
  router: Router,
  request: Request,
  connection: string,
  client: AddressBudget,
  charge: () => Refusal | undefined,
): Promise<Response> {
  // After an upgrade, Deno does not give the headers any more.
  const origin = router.allowedOrigins ? request.headers.get("origin") : null;
  const body = new RequestBody(request);
  try {
    const response = await handle(router, request, body, connection, client, charge);
    return allowOrigin(response, origin, router.allowedOrigins);
  } finally {
    body.close();
  }
}

async function handle(
  { routes, admit }: Router,
  request: Request,
  body: RequestBody,
  connection: string,
  client: AddressBudget,
  charge: () => Refusal | undefined,
): Promise<Response> {
  const excess = findExcess(request);
  const url = excess ? null : parseUrl(request);
  const isProbe = url !== null &&
    routes.some((route) =>
      route.needs === "nothing" && route.isProbe && route.path.test(url.pathname)
    );
  // Nothing else is done for a request that is refused.
  const refusal = isProbe ? undefined : charge();
  // Those who send very many at once do not delay the messages of others.
  if ((isProbe || refusal) && !await spaceOut(connection)) return endConnection();
  if (refusal) {
    return refuseNewcomer(STATUS_CODE.TooManyRequests, refusal.line, refusal.retryAfterSeconds);
  }
  if (excess) return refuse(STATUS_CODE.BadRequest, excess);
  if (!url) return refuse(STATUS_CODE.BadRequest, "the Host header names no host");
  const routesOfPath = routes.filter(({ path }) => path.test(url.pathname));
  if (routesOfPath.length === 0) {
    return refuse(STATUS_CODE.NotFound, `${url.pathname} is not here, the chat is at /chat/{user}`);
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = routesOfPath.find((route) =>
    route.method === method && (route.isFor?.(request) ?? true)
  );
  if (request.method === "OPTIONS") return respondPreflight(routesOfPath);
  if (!route) return refuseMethod(request.method, routesOfPath);
  try {
    const [, ...segments] = route.path.exec(url.pathname)!;
    const routeRequest = { request, body, url, segments, client };
    if (route.needs === "nothing") return await route.handle(routeRequest);
    const room = route.room(routeRequest);
    const { needs } = route;
    const admitAgain = () => admit(routeRequest, needs, room);
    const access = await admitAgain();
    return await route.handle({ ...routeRequest, room, access, admitAgain });
  } catch (error) {
    return refuseFor(error);
  }
}

/** Tells what of a request is too long. */
function findExcess({ url, headers }: Request): string | undefined {
  if (url.length > MAX_URL_CHARS) return `the URL is longer than ${MAX_URL_CHARS} characters`;
  for (const [list, max] of Object.entries(MAX_LIST_CHARS)) {
    const length = headers.get(list)?.length ?? 0;
    if (length > max) return `the header ${list} is longer than ${max} characters`;
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
      "access-control-allow-headers": "authorization, content-type, idempotency-key, last-event-id",
      "access-control-max-age": "86400",
    },
  });
}

function refuseMethod(method: string, routes: readonly Route[]): Response {
  const known = new Set(routes.map((route) => route.method));
  const line = `${method} is not understood, use ${[...known].join(" or ")}`;
  return refuse(STATUS_CODE.MethodNotAllowed, line, { allow: allowedMethods(routes) });
}

function allowedMethods(routes: readonly Route[]): string {
  const methods = routes.flatMap(({ method }) => method === "GET" ? ["GET", "HEAD"] : method);
  return [...new Set(methods)].join(", ");
}
