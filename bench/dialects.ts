/**
 * How the clients of a system speak with it.
 *
 * @module
 */

/** What the load generator must know to be a client of a system. */
export interface Dialect {
  /** The path and query of the handshake. */
  path(user: string, room: string, since?: string): string;
  /** The WebSocket subprotocol to ask for. */
  readonly subprotocol?: string;
  /** What a client sends as soon as it may. */
  greeting?(user: string, room: string): string;
  /** Whether a newcomer is welcomed; if not, it is in when its handshake is answered. */
  readonly welcomes: boolean;
  /** Whether a sender gets its own messages. */
  readonly echoes: boolean;
  /** A frame that asks whether the client is there, and what it answers, where these are no WebSocket pings. */
  readonly heartbeat?: { readonly asks: string; readonly answers: string };
  /** The frame that says a text, in which there is nothing to escape, and which no other message has. */
  say(text: string): string;
}

/** The digits of a text, or what it has instead. */
function numberIn(text: string): string {
  return /\d+/.exec(text)?.[0] ?? text;
}

function chatPath(user: string, room: string, since?: string): string {
  return `/chat/${user}?room=${room}` + (since === undefined ? "" : `&since=${since}`);
}

/** Our JSON protocol. */
export const JSON_LINES: Dialect = {
  path: chatPath,
  subprotocol: "chat.json.v1",
  welcomes: true,
  echoes: true,
  // With a ref it is acknowledged; it must be the client's own, and is short as a counter would be.
  say: (text) => JSON.stringify({ type: "message", text, ref: numberIn(text) }),
};

/** Our text protocol. */
export const TEXT: Dialect = { path: chatPath, welcomes: true, echoes: false, say: (text) => text };

/** The text protocol as the peers speak it: what Redis gives back goes to everyone, its sender too. */
export const ECHOING_TEXT: Dialect = { ...TEXT, echoes: true };

/** Frames on a channel of nchan, which welcomes nobody. */
export const NCHAN: Dialect = { ...ECHOING_TEXT, welcomes: false };

/** Socket.IO's packets on a bare WebSocket. */
export const SOCKET_IO: Dialect = {
  path: () => "/socket.io/?EIO=4&transport=websocket",
  greeting: (user, room) => "40" + JSON.stringify({ user, room }),
  welcomes: true,
  echoes: true,
  heartbeat: { asks: "2", answers: "3" },
  say: (text) => `42["message","${text}"]`,
};
