/**
 * Server-Sent Events, for clients that only listen: each event is the line of the JSON protocol,
 * see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 *
 * A frame has one or more events without the empty line that ends the last one. So frames are
 * joined as those of the JSON protocol are.
 *
 * @module
 */
import type { RoomEvent } from "./events.ts";
import { JSON_LINES } from "./json.ts";
import type { Encoding } from "./protocol.ts";

/** The encoding for listeners. */
export const SERVER_SENT_EVENTS: Encoding = {
  canBatch: true,
  encodeEvent: (event, line) => encodeLine(line, positionAfter(event)),
  encodeReply: (reply) => encodeLine(JSON.stringify(reply)),
  batch: JSON_LINES.batch,
};

/** A frame that programs ignore. */
export const HEARTBEAT = ":\n";

/**
 * Encodes a line of JSON.
 *
 * @param position what the client gives as `Last-Event-ID` if this is the last event that it has
 * received; by default, what it would have given before
 */
export function encodeLine(line: string, position?: string): string {
  // Only another program puts a carriage return there, as white space. Here it would end the line.
  const data = `data: ${line.replaceAll("\r", " ")}\n`;
  return position === undefined ? data : `id: ${position}\n${data}`;
}

function positionAfter(event: RoomEvent): string | undefined {
  if (event.type === "message") return event.id;
  return event.type === "resync" ? event.last : undefined;
}
