import { until } from "./wait.ts";

// deno-lint-ignore no-explicit-any -- the tests compare it with what they expect
type Json = any;

/** Parses a stream of Server-Sent Events, and records them. */
export class EventRecord {
  readonly events: Json[] = [];
  /** What {@linkcode EventRecord.lastEventId} was after each event. */
  readonly positions: string[] = [];
  readonly comments: string[] = [];
  /** The id of the last event that had one, as a browser has it. */
  lastEventId = "";
  #rest = "";

  /** Parses more of the stream. What comes after the last empty line waits for its end. */
  add(text: string): void {
    const blocks = (this.#rest + text).replaceAll(/\r\n?/g, "\n").split("\n\n");
    this.#rest = blocks.pop()!;
    for (const line of blocks.flatMap((block) => block.split("\n"))) {
      const [field, value] = line.split(/:(.*)/s, 2);
      if (field === "") this.comments.push(value.trim());
      else if (field === "id") this.lastEventId = value.trim();
      else if (field === "data") {
        this.events.push(JSON.parse(value));
        this.positions.push(this.lastEventId);
      } else throw new Error(`${line} is neither a comment, nor an id, nor data`);
    }
  }

  /** All events of a type. */
  all(type: string): Json[] {
    return this.events.filter((event) => event.type === type);
  }

  /** The texts of all messages. */
  get texts(): string[] {
    return this.all("message").map(({ text }) => text);
  }

  /** Waits for the first event of a type, which may have come before. */
  async find(type: string): Promise<Json> {
    await until(() => this.all(type).length > 0, 1);
    return this.all(type)[0];
  }
}

/** A client of `GET /rooms/{room}/events`. Disposing it closes its connection. */
export class EventsClient extends EventRecord implements Disposable {
  /** Resolves when the stream has ended, in order or not. */
  readonly closed: Promise<void>;
  readonly response: Response;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    super();
    this.response = response;
    this.#abort = abort;
    this.closed = this.#read().catch(() => {});
  }

  /** Opens a stream; resolves when the headers of the response are there. */
  static async open(url: string, headers: HeadersInit = {}): Promise<EventsClient> {
    const abort = new AbortController();
    const response = await fetch(url, { headers, signal: abort.signal });
    return new EventsClient(response, abort);
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    for await (const text of this.response.body!.pipeThrough(new TextDecoderStream())) {
      this.add(text);
    }
  }
}
