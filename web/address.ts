/**
 * The room, the user and the token of the page's address.
 *
 * @module
 */
import { tab } from "./settings.ts";

/** The server's default room. */
const DEFAULT_ROOM = "chat";

const TOKEN_KEY = "token";

/** What the address asks for. */
export interface Address {
  readonly room: string;
  readonly user: string | undefined;
}

/** Reads the address: `/`, `/r/{room}` or `/chat/{user}?room={room}`. The names may be invalid. */
export function readAddress(): Address {
  const { pathname, searchParams } = new URL(location.href);
  const [, kind, name] = /^\/(r|chat)\/([^/]+)\/?$/.exec(pathname) ?? [];
  if (kind === "r") return { room: decode(name), user: undefined };
  const user = kind === "chat" ? decode(name) : undefined;
  return { room: searchParams.get("room") || DEFAULT_ROOM, user };
}

/** The token of this tab, also where storage is forbidden. */
let token: string | undefined;

/**
 * Takes the token out of the address, `#token={token}`, so that no copied link has it. It is kept
 * in this tab only.
 *
 * @returns whether the address had one
 */
export function takeToken(): boolean {
  const given = tokenOfAddress();
  if (!given) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  token = given;
  tab.set(TOKEN_KEY, given);
  return true;
}

/** Returns the token of the address; `null` if it has none. */
export function tokenOfAddress(): string | null {
  return new URLSearchParams(location.hash.slice(1)).get("token");
}

/** Returns the token of this tab. */
export function currentToken(): string | undefined {
  return token ??= tab.get(TOKEN_KEY);
}

/** Reads whose the token is, as far as it tells that in the usual claim. The server checks it. */
export function userOfToken(): string | undefined {
  try {
    const payload = currentToken()!.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (c) => c.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === "string" ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the link that leads others to a room. */
export function linkTo(room: string): string {
  return `${location.origin}/r/${encodeURIComponent(room)}`;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
