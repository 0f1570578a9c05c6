/**
 * How the load generator's clients speak to each system.
 *
 * @module
 */

/** The most clients of a group that publish. */
export const MAX_SENDERS = 64;

/** What a client of a system sends, and what it expects. */
export interface ClientProtocol {
  /** The path and query of the handshake. */
  path(user: string, room: string, since?: string): string;
  /**
   * The path of a stream of Server-Sent Events for clients that only listen: all but the first
   * {@linkcode MAX_SENDERS} of a group. Without it, all have WebSockets.
   */
  listenPath?(room: string): string;
  /** The WebSocket subprotocol that the client requests. */
  readonly subprotocol?: string;
  /** The text that a client sends as soon as its handshake is complete. */
  greeting?(user: string, room: string): string;
  /**
   * Whether the server sends a welcome. If not, a client has joined when its handshake is complete.
   */
  readonly sendsWelcome: boolean;
  /** Whether a sender receives its own messages. */
  readonly echoes: boolean;
  /**
   * The server's heartbeat and the client's reply, where these are text frames and not WebSocket
   * pings.
   */
  readonly heartbeat?: { readonly request: string; readonly response: string };
  /**
   * Builds the frame that publishes `text`. `text` needs no escaping and no other message has it.
   */
  publish(text: string): string;
}

/** The digits in a text, or the text itself if it has none. */
function numberIn(text: string): string {
  return /\d+/.exec(text)?.[0] ?? text;
}

function chatPath(user: string, room: string, since?: string): string {
  return `/chat/${user}?room=${room}` + (since === undefined ? "" : `&since=${since}`);
}

/** This server's JSON protocol. */
export const JSON_PROTOCOL: ClientProtocol = {
  path: chatPath,
  subprotocol: "chat.json.v1",
  sendsWelcome: true,
  echoes: true,
  // The server acknowledges a message that has a ref. The message's number is unique and as short
  // as a counter.
  publish: (text) => JSON.stringify({ type: "message", text, ref: numberIn(text) }),
};

/** Listeners, and some JSON clients that publish. */
export const SSE_PROTOCOL: ClientProtocol = {
  ...JSON_PROTOCOL,
  listenPath: (room) => `/rooms/${room}/events`,
};

/** This server's text protocol. */
export const TEXT_PROTOCOL: ClientProtocol = {
  path: chatPath,
  sendsWelcome: true,
  echoes: false,
  publish: (text) => text,
};

/**
 * The text protocol of the peers: they send what Redis delivers to everyone, including the sender.
 */
export const ECHOED_TEXT_PROTOCOL: ClientProtocol = { ...TEXT_PROTOCOL, echoes: true };

/** Plain frames on a channel of nchan, which sends no welcome. */
export const NCHAN_PROTOCOL: ClientProtocol = { ...ECHOED_TEXT_PROTOCOL, sendsWelcome: false };

/** Socket.IO's packets on a plain WebSocket. */
export const SOCKET_IO_PROTOCOL: ClientProtocol = {
  path: () => "/socket.io/?EIO=4&transport=websocket",
  greeting: (user, room) => "40" + JSON.stringify({ user, room }),
  sendsWelcome: true,
  echoes: true,
  heartbeat: { request: "2", response: "3" },
  publish: (text) => `42["message","${text}"]`,
};
