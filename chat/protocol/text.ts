/**
 * The text protocol, for `wscat` and people: one message is one text frame, in both directions.
 *
 * @module
 */
import type { RoomEvent, UnloggedEvent } from "./events.ts";
import type { Protocol, Reply } from "./protocol.ts";
import { formatMessage, toTerminalName, toTerminalText } from "./terminal_text.ts";

/** The protocol of clients that ask for no subprotocol. */
export const TEXT: Protocol = {
  name: "",
  echoes: false,
  canBatch: false,
  encodeEvent,
  encodeReply,
  batch: (frames) => frames,
  decode: (text) => ({ type: "message", text }),
};

function encodeEvent(event: RoomEvent): string | undefined {
  switch (event.type) {
    case "message":
      return event.removed ? undefined : formatMessage(event.user, event.text);
    case "joined":
      return `${toTerminalName(event.user)}: has joined the chat!`;
    case "left":
      return `${toTerminalName(event.user)}: has left the chat!`;
    case "notice":
      return toTerminalText(event.text);
    case "resync":
      return event.gap ? "some messages are missing here" : undefined;
    case "removed":
      return `* a message was removed by ${toTerminalName(event.by)}`;
    case "kicked":
      return `* ${toTerminalName(event.user)} was kicked by ${toTerminalName(event.by)}`;
    case "banned":
    case "muted": {
      const what = event.until === 0 ? `un${event.type}` : event.type;
      return `* ${toTerminalName(event.user)} was ${what} by ${toTerminalName(event.by)}`;
    }
    case "added":
    case "replaced":
    case "typing":
    case "unknown":
      return undefined;
    default:
      event satisfies UnloggedEvent;
  }
}

function encodeReply(reply: Reply): string | undefined {
  switch (reply.type) {
    case "welcome":
      return `Welcome ${toTerminalName(reply.user)}!`;
    case "error":
      return toTerminalText(reply.message);
    case "ack":
    case "pong":
    case "token":
    case "done":
      return undefined;
    default:
      reply satisfies never;
  }
}
