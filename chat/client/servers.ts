/**
 * The URLs of the servers, and what a client reads from them over HTTP.
 *
 * @module
 */
import { ChatError } from "./chat_error.ts";

/** How long a request may take. */
const REQUEST_TIMEOUT_MS = 10_000;

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
      throw new TypeError(`${given} is no server: give a URL, such as ws://localhost`);
    }
    url.search = url.hash = "";
    url.pathname = url.pathname.replace(/\/?$/, "/");
    return [url.href, url];
  }));
  if (servers.size === 0) throw new TypeError("no server is given");
  const drawn = [...servers.values()].map((url) => ({ url, lot: Math.random() }));
  return drawn.sort((a, b) => a.lot - b.lot).map(({ url }) => url);
}

/** What a query has; `undefined` is left out. */
export type Query = Record<string, string | number | null | undefined>;

/** Makes a URL of a server. */
export function makeUrl(path: string, server: URL, query: Query): URL {
  const url = new URL(path, server);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, value as string);
  }
  return url;
}

/**
 * Reads JSON from a server.
 *
 * @throws {ChatError} with the code `refused` and the server's words if the server refuses the
 * request, with `unavailable` if it cannot respond; the cause is the response, if there is one
 */
export async function readJson<T>(
  url: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<T> {
  let cause: Response | undefined;
  let message: string;
  try {
    const response = await fetch(url, {
      headers: { ...token && { authorization: `Bearer ${token}` } },
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
    });
    if (response.ok) return await response.json();
    cause = response;
    message = (await response.text()).split("\n", 1)[0] || `status ${response.status}`;
  } catch (error) {
    message = (error as Error).message;
  }
  throw new ChatError(cause && cause.status < 500 ? "refused" : "unavailable", message, { cause });
}
