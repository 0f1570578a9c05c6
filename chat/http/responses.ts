import { STATUS_CODE } from "@std/http/status";
import { BadRequest } from "../protocol/bad_request.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../store/store.ts";
import { makeBody } from "./unread_response.ts";

/** No cache keeps it: a message may be removed, and a user banned. */
const JSON_HEADERS = { "content-type": "application/json", "cache-control": "no-store" };

const encoder = new TextEncoder();

/** Makes a response whose memory is freed if nobody reads it: see {@linkcode makeBody}. */
export function bounded(
  text: string,
  headers: Readonly<Record<string, string>>,
  status: number = STATUS_CODE.OK,
): Response {
  const bytes = encoder.encode(text);
  return new Response(makeBody(bytes), {
    status,
    headers: { ...headers, "content-length": `${bytes.length}` },
  });
}

/** Makes a response of JSON. */
export function json(text: string, status?: number): Response {
  return bounded(text, JSON_HEADERS, status);
}

/** Makes the response to `HEAD` where `GET` gets JSON. */
export function jsonHead(): Response {
  return new Response(null, { headers: JSON_HEADERS });
}

/** Makes a response of plain text. */
export function plain(status: number, text: string, headers: HeadersInit = {}): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

/** Makes a response that refuses a request, with one line that says why: it may quote anything. */
export function refuse(status: number, line: string, headers: HeadersInit = {}): Response {
  return plain(status, `${line.replaceAll(/\p{C}|\p{Zl}|\p{Zp}/gu, "\ufffd")}\n`, headers);
}

/** Makes a response that refuses a newcomer, and closes the connection. */
export function refuseNewcomer(status: number, line: string, retryAfterSeconds: number): Response {
  return refuse(status, line, { "retry-after": `${retryAfterSeconds}`, connection: "close" });
}

/** Why a response has no end: see {@linkcode endConnection}. */
export class ConnectionEnded extends Error {
  override name = "ConnectionEnded";
}

/**
 * Makes a response that ends its connection, or over HTTP/2 its stream. Deno goes on with the next
 * request of a connection after each whole response, also after one with `Connection: close`.
 */
export function endConnection(): Response {
  const body = new ReadableStream({
    pull(controller) {
      controller.error(new ConnectionEnded());
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status: STATUS_CODE.TooManyRequests });
}

/** A request that the server refuses. The message is one line that says why. */
export class Refused extends Error {
  override name = "Refused";

  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Makes the refusal of a client that may try again after a time. */
export function refuseTooMany(waitMs: number): Refused {
  const seconds = Math.ceil(waitMs / 1000);
  const line = `not done: too many. please try again in ${seconds} s`;
  return new Refused(STATUS_CODE.TooManyRequests, line, { "retry-after": `${seconds}` });
}

/** Makes the response to a request whose handler failed; rethrows an error that nobody expected. */
export function refuseFor(error: unknown): Response {
  if (error instanceof BadRequest) return refuse(STATUS_CODE.BadRequest, error.message);
  if (error instanceof Refused) return refuse(error.status, error.message, error.headers);
  if (error instanceof StoreUnavailable || error instanceof StoreOutcomeUnknown) {
    return refuse(STATUS_CODE.ServiceUnavailable, "the store does not answer");
  }
  throw error;
}

/**
 * Lets pages read a response. There are no cookies that they could misuse.
 *
 * @param origin the origin of the page that asks; `null` if none is known
 * @param allowedOrigins `undefined` for any
 */
export function allowOrigin(
  response: Response,
  origin: string | null,
  allowedOrigins: readonly string[] | undefined,
): Response {
  // The response to a WebSocket handshake cannot be changed, and no page reads it.
  if (response.status === STATUS_CODE.SwitchingProtocols) return response;
  response.headers.set("access-control-expose-headers", "retry-after");
  if (!allowedOrigins) response.headers.set("access-control-allow-origin", "*");
  else {
    response.headers.append("vary", "origin");
    if (origin !== null && allowedOrigins.includes(origin)) {
      response.headers.set("access-control-allow-origin", origin);
    }
  }
  return response;
}
