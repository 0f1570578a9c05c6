import type { RoomEvent } from "../../chat/protocol/events.ts";
import type { Reply } from "../../chat/protocol/protocol.ts";
import { type JoinOptions, RecordingClient } from "./recording_client.ts";

/** Everything that a server may send. */
export type ServerEvent = Reply | RoomEvent;

/** The events of one type. */
export type EventOf<Type extends ServerEvent["type"]> = Extract<ServerEvent, { type: Type }>;

/** A client of the JSON protocol that records every event it receives. */
export class JsonClient extends RecordingClient<ServerEvent> {
  /** @param secret the subprotocol with the user's secret, if it has one */
  constructor(port: number, user: string, options: JoinOptions = {}, secret?: string) {
    super(
      port,
      user,
      options,
      (frame) => frame.split("\n").map((line) => JSON.parse(line)),
      secret === undefined ? ["chat.json.v1"] : ["chat.json.v1", secret],
    );
  }

  /** Joins a room and waits for the welcome. */
  static async join(
    port: number,
    user: string,
    options?: JoinOptions,
    secret?: string,
  ): Promise<JsonClient> {
    const client = new JsonClient(port, user, options, secret);
    await client.welcome();
    return client;
  }

  /** Waits for the welcome; fails if something else comes first. */
  async welcome(): Promise<EventOf<"welcome">> {
    await this.received(1);
    const [first] = this.events;
    if (first.type !== "welcome") {
      throw new Error(`expected a welcome, received ${JSON.stringify(first)}`);
    }
    return first;
  }

  /** The subprotocol that the server has chosen. */
  get subprotocol(): string {
    return this.socket.protocol;
  }

  /** Every event received so far. */
  get events(): ServerEvent[] {
    return this.items;
  }

  /** Every event of one type received so far. */
  all<Type extends ServerEvent["type"]>(type: Type): EventOf<Type>[] {
    return this.events.filter((event) => event.type === type) as EventOf<Type>[];
  }

  /** The texts of all messages received so far. */
  get texts(): string[] {
    return this.all("message").map(({ text }) => text);
  }

  /** Waits until the client has received a number of messages in all. */
  async receivedMessages(count: number): Promise<void> {
    await this.waitUntil(() => this.all("message").length >= count, `${count} messages`);
  }

  /** Waits for an event of one type for which a condition holds, and which may have come before. */
  async find<Type extends ServerEvent["type"]>(
    type: Type,
    isWanted: (event: EventOf<Type>) => boolean = () => true,
  ): Promise<EventOf<Type>> {
    let found: EventOf<Type> | undefined;
    await this.waitUntil(
      () => (found = this.all(type).find(isWanted)) !== undefined,
      `${type} for which ${isWanted}`,
    );
    return found!;
  }

  /** Sends objects as JSON and strings as they are, one to a line, in one frame. */
  send(...lines: unknown[]): void {
    const texts = lines.map((line) => typeof line === "string" ? line : JSON.stringify(line));
    this.socket.send(texts.join("\n"));
  }

  sendBytes(data: Uint8Array<ArrayBuffer>): void {
    this.socket.send(data);
  }

  /** Waits for the reply to a message. */
  async replyTo(ref: string): Promise<EventOf<"ack" | "error">> {
    const isReply = (event: ServerEvent): event is EventOf<"ack" | "error"> =>
      (event.type === "ack" || event.type === "error") && event.ref === ref;
    await this.waitUntil(() => this.events.some(isReply), `a reply to ${ref}`);
    return this.events.find(isReply)!;
  }

  /** Publishes a message, waits for its ack and returns its id. */
  async publish(text: string, ref: string = crypto.randomUUID()): Promise<string> {
    this.send({ type: "message", text, ref });
    return (await this.find("ack", (ack) => ack.ref === ref)).id;
  }
}
