import { CLOSE } from "../protocol/close_codes.ts";
import type { ListenRequest } from "../session/join_request.ts";
import type { Outlet } from "../session/writer.ts";
import type { RoomRequest } from "./route.ts";
import { parseReplay } from "./upgrade.ts";

/** The headers of a stream of events. A proxy must neither keep nor compress it. */
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store, no-transform",
  // For nginx, which would collect events before it passes them on.
  "x-accel-buffering": "no",
};

/**
 * Parses what a client asks for with `GET /rooms/{room}/events?since=&history=`. A browser that
 * connects again gives the id of the last event as `Last-Event-ID`, which counts instead.
 *
 * @throws {BadRequest} if a parameter is not valid
 */
export function parseListenRequest(
  { request, url, room, access, client }: RoomRequest,
): ListenRequest {
  const replay = parseReplay(url.searchParams);
  const lastEventId = request.headers.get("last-event-id");
  return {
    ...{ room, access, address: client.name },
    ...(lastEventId ? { since: lastEventId, history: 0 } : replay),
  };
}

/** Makes the response to `HEAD`. */
export function eventsHead(): Response {
  return new Response(null, { headers: HEADERS });
}

const encoder = new TextEncoder();

let lastFrame = "";
let lastBytes = encoder.encode();

/** Encodes a frame. A room delivers the same one to all of its listeners, one after the other. */
function encode(frame: string): Uint8Array<ArrayBuffer> {
  if (frame !== lastFrame) lastBytes = encoder.encode(`${frame}\n`);
  lastFrame = frame;
  return lastBytes;
}

/** A response that is written frame by frame. */
export class EventsResponse implements Outlet {
  readonly response: Response;
  bufferedAmount = 0;
  readonly #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  /** What waits for the client. It is not in the stream, which would send it before it ends. */
  readonly #waiting: Uint8Array<ArrayBuffer>[] = [];
  #isWanted = false;
  #isClosed = false;

  /** @param onEnd called when the client has closed the connection */
  constructor(onEnd: () => void) {
    let controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (given) => void (controller = given),
      pull: () => this.#pull(),
      cancel: () => {
        this.#isClosed = true;
        onEnd();
      },
    }, { highWaterMark: 0 });
    this.#controller = controller!;
    this.response = new Response(body, { headers: HEADERS });
  }

  send(frame: string): void {
    if (this.#isClosed) return;
    const bytes = encode(frame);
    this.#waiting.push(bytes);
    this.bufferedAmount += bytes.length;
    if (this.#isWanted) this.#pull();
  }

  /** Ends the response with a comment that says the reason. A slow client gets nothing more. */
  close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.send(`: ${reason}\n`);
    this.#isClosed = true;
    try {
      if (code !== CLOSE.tooSlow.code) {
        for (const bytes of this.#waiting) this.#controller.enqueue(bytes);
      }
      this.#controller.close();
    } catch {
      // The peer is gone: Deno has ended the stream, and has not said so yet.
    }
  }

  #pull(): void {
    const bytes = this.#waiting.shift();
    this.#isWanted = bytes === undefined;
    if (bytes === undefined) return;
    this.bufferedAmount -= bytes.length;
    this.#controller.enqueue(bytes);
  }
}
