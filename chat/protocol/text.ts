/**
 * The text protocol, for `wscat` and people: one message is one text frame, in both directions.
 *
 * @module
 */
import type { Notice, RoomEvent } from "./events.ts";
import type { Protocol } from "./protocol.ts";

/** The protocol of clients that ask for none. */
export const TEXT: Protocol = {
  name: "",
  echoes: false,
  encodeEvent,
  canBatch: false,
  batch: (frames) => frames,
  encodeReply(answer) {
    switch (answer.type) {
      case "welcome":
        return `Welcome ${answer.user}!`;
      case "error":
        return answer.message;
    }
  },
  decode: (frame) => [{ type: "message", text: frame }],
};

function encodeEvent(event: RoomEvent | Notice): string {
  switch (event.type) {
    case "message":
      return `${event.user}: ${event.text}`;
    case "joined":
      return `${event.user}: has joined the chat!`;
    case "left":
      return `${event.user}: has left the chat!`;
    case "notice":
      return event.text;
  }
}
