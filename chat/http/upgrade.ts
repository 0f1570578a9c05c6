import { createHash } from "node:crypto";
import { BadRequest } from "../protocol/bad_request.ts";
import { JSON_LINES } from "../protocol/json.ts";
import { nameKeys } from "../protocol/name_keys.ts";
import { checkName } from "../protocol/name_rules.ts";
import { parseUser, quote } from "../protocol/names.ts";
import type { Protocol } from "../protocol/protocol.ts";
import { TEXT } from "../protocol/text.ts";
import type { JoinRequest } from "../session/join_request.ts";
import type { NameSecret } from "../store/store.ts";
import { forbid, isTokenSubprotocol, listSubprotocols } from "./admission.ts";
import { findParameter, parseCount } from "./query.ts";
import type { RoomRequest } from "./route.ts";

/** The most messages that a client can ask for when it joins. */
const MAX_HISTORY = 200;

const SECRET_PREFIX = "secret.";

const SECRET = /^secret\.([\w-]{16,64})\.([1-9]\d{0,15})$/;

/** How much of a secret's hash is kept: 132 bits. */
const HASH_CHARS = 22;

/** A socket that has not opened after this time never will. */
const OPEN_TIMEOUT_MS = 10_000;

const ABORT_CHECK_INTERVAL_MS = 100;

/** Tells whether a request asks to be upgraded to a WebSocket. */
export function asksForWebSocket(request: Request): boolean {
  // RFC 6455, section 4.2.1: `Upgrade` is a list, and case does not matter.
  return /(?:^|,)\s*websocket\s*(?:,|$)/i.test(request.headers.get("upgrade") ?? "");
}

/**
 * Parses what a client asks for when it connects to `/chat/{user}`.
 *
 * @throws {BadRequest} if the name or a parameter is not valid
 * @throws {Refused} with 403 if the client may not use the name
 */
export function parseJoinRequest(
  { request, url: { searchParams: query }, segments: [encoded = ""], room, access, client }:
    RoomRequest,
): JoinRequest {
  const user = parseUser(encoded);
  if (access.user === undefined) checkName(user);
  else if (user !== access.user) throw forbid(`the token is not for the user ${quote(user)}`);
  const { protocol, secret } = parseSubprotocols(request.headers);
  if (query.has("since") && protocol === TEXT) {
    throw new BadRequest(`since is for clients that ask for the subprotocol ${JSON_LINES.name}`);
  }
  // Names that an issuer gives may look alike: they are no imitations.
  const keys = access.user === undefined ? nameKeys(user) : undefined;
  return {
    ...{ user, nameKeys: keys, room, secret, access, protocol, address: client.name },
    ...parseReplay(query),
  };
}

/**
 * Parses which messages a client asks to receive first.
 *
 * @throws {BadRequest} if a parameter is not valid
 */
export function parseReplay(query: URLSearchParams): Pick<JoinRequest, "since" | "history"> {
  const since = findParameter(query, "since");
  if (since !== undefined && query.has("history")) {
    throw new BadRequest("since and history are both given: give one");
  }
  return { since, history: parseCount(query, "history", 0, 0, MAX_HISTORY) };
}

function parseSubprotocols(headers: Headers): Pick<JoinRequest, "protocol" | "secret"> {
  if (headers.get("sec-websocket-protocol") === null) return { protocol: TEXT };
  const asked = listSubprotocols(headers).filter((name) => !isTokenSubprotocol(name));
  const [secret, ...more] = asked.filter((name) => name.startsWith(SECRET_PREFIX));
  if (!asked.includes(JSON_LINES.name)) {
    // A secret is never shown.
    const names = asked.filter((name) => !name.startsWith(SECRET_PREFIX)).join(", ");
    throw new BadRequest(
      `the subprotocol ${quote(names)} is not known: ask for ${JSON_LINES.name}, or for none`,
    );
  }
  if (more.length > 0) throw new BadRequest("more than one secret is given");
  return { protocol: JSON_LINES, secret: secret === undefined ? undefined : parseSecret(secret) };
}

function parseSecret(subprotocol: string): NameSecret {
  const [, secret, attempt] = SECRET.exec(subprotocol) ?? [];
  if (secret === undefined || !Number.isSafeInteger(Number(attempt))) {
    throw new BadRequest(
      `a subprotocol that begins with ${SECRET_PREFIX} is not secret.{secret}.{attempt}: ` +
        "16 to 64 of the characters A-Z a-z 0-9 _ -, and a positive integer",
    );
  }
  // Whoever reads the hash in the store cannot show the secret.
  const hash = createHash("sha256").update(secret).digest("base64url").slice(0, HASH_CHARS);
  return { hash, attempt: Number(attempt) };
}

/**
 * Upgrades a request to a WebSocket.
 *
 * @param idleSeconds Deno pings a silent client, and closes after this long without an answer
 * @throws {BadRequest} if the request is no WebSocket handshake
 */
export function upgrade(
  request: Request,
  protocol: Protocol,
  idleSeconds: number,
): Deno.WebSocketUpgrade {
  try {
    const upgraded = Deno.upgradeWebSocket(request, { idleTimeout: idleSeconds });
    // Deno itself would not find the protocol in a list without spaces, as Node's `ws` sends it.
    if (protocol.name) upgraded.response.headers.set("sec-websocket-protocol", protocol.name);
    return upgraded;
  } catch (error) {
    throw new BadRequest(`this is no WebSocket handshake: ${(error as Error).message}`);
  }
}

/**
 * Waits until the socket of an upgrade is open.
 *
 * @returns whether it opened. If the peer resets its connection before, Deno tells neither the
 * socket nor, without `no-legacy-abort` in deno.json, the request
 */
export function untilOpen(socket: WebSocket, { signal }: Request): Promise<boolean> {
  return new Promise((resolve) => {
    let leftMs = OPEN_TIMEOUT_MS;
    // A listener of the signal would take 1 KiB for as long as the socket is open.
    const timer = setInterval(() => {
      leftMs -= ABORT_CHECK_INTERVAL_MS;
      if (signal.aborted || leftMs <= 0) settle(false);
    }, ABORT_CHECK_INTERVAL_MS);
    const onOpen = () => settle(true);
    function settle(isOpen: boolean): void {
      clearInterval(timer);
      socket.removeEventListener("open", onOpen);
      resolve(isOpen);
    }
    socket.addEventListener("open", onOpen);
  });
}
