import { STATUS_CODE } from "@std/http/status";
import { BadRequest } from "../protocol/bad_request.ts";
import { StoreOutcomeUnknown, StoreUnavailable } from "../store/store.ts";

/** Makes a response of plain text. */
export function plain(status: number, text: string, headers: HeadersInit = {}): Response {
  return new Response(text, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

/** Makes a response that refuses a request, with one line that says why. */
export function refuse(status: number, line: string, headers: HeadersInit = {}): Response {
  return plain(status, `${line}\n`, headers);
}

/** Makes a response that refuses a newcomer, and closes the connection. */
export function refuseNewcomer(status: number, line: string, retryAfterSeconds: number): Response {
  return refuse(status, line, { "retry-after": `${retryAfterSeconds}`, connection: "close" });
}

/** Makes the response to a request whose handler failed; rethrows an error that nobody expected. */
export function refuseFor(error: unknown): Response {
  if (error instanceof BadRequest) return refuse(STATUS_CODE.BadRequest, error.message);
  if (error instanceof StoreUnavailable || error instanceof StoreOutcomeUnknown) {
    return refuse(STATUS_CODE.ServiceUnavailable, "the store does not answer");
  }
  throw error;
}
