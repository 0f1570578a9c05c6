/**
 * The URLs of the servers, and what a client reads from them over HTTP.
 *
 * @module
 */
import { ChatError } from "./chat_error.ts";

/** How long a request may take. */
const REQUEST_TIMEOUT_MS = 10_000;

/** The statuses with which the server refuses what it would refuse again. */
const REFUSALS = [400, 401, 403];

/**
 * Parses the URLs of servers.
 *
 * @returns their `http:` or `https:` URLs without a query and with a slash at the end, each once
 * and in a random order, so that the clients of a server that is lost spread over all others
 * @throws {TypeError} if one is no URL of a server, or there is none
 */
export function parseServers(urls: readonly string[]): URL[] {
  const servers = new Map(urls.map((given) => {
    const url = new URL(given);
    url.protocol = url.protocol.replace("ws", "http");
    if (!/^https?:$/.test(url.protocol)) {
      throw new TypeError(`${given} is no server: give a URL that begins with ws:// or wss://`);
    }
    url.search = url.hash = "";
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    return [url.href, url];
  }));
  if (servers.size === 0) throw new TypeError("no server is given");
  const shuffled = [...servers.values()];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  return shuffled;
}

/**
 * Reads JSON from a server.
 *
 * @throws {ChatError} with the code `refused` and the server's words if the server refuses the
 * request, with `unavailable` if it cannot respond
 */
export async function readJson<T>(
  url: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<T> {
  try {
    const response = await request(url, token, signal);
    if (response.ok) return await response.json();
    const code = response.status < 500 ? "refused" : "unavailable";
    throw new ChatError(code, await firstLine(response));
  } catch (error) {
    if (error instanceof ChatError) throw error;
    throw new ChatError("unavailable", (error as Error).message);
  }
}

/**
 * Asks a server why it refuses a WebSocket handshake, because no WebSocket tells that.
 *
 * @returns the status and the server's words; `undefined` if it does not refuse it, or does not
 * respond
 */
export async function whyRefused(
  url: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<[status: number, words: string] | undefined> {
  try {
    const response = await request(url, token, signal);
    const line = await firstLine(response);
    return REFUSALS.includes(response.status) ? [response.status, line] : undefined;
  } catch {
    return undefined;
  }
}

function request(url: URL, token: string | undefined, signal: AbortSignal): Promise<Response> {
  return fetch(url, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
  });
}

async function firstLine(response: Response): Promise<string> {
  return (await response.text()).split("\n", 1)[0] || `status ${response.status}`;
}
