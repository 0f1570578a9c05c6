import { type JoinOptions, RecordingClient } from "./recording_client.ts";

/** A client of the text protocol that records every frame it receives. */
export class TextClient extends RecordingClient<string> {
  #read = 0;

  constructor(port: number, user: string, options: JoinOptions = {}) {
    super(port, user, options, (frame) => [frame]);
  }

  /** Joins a room and waits for the welcome. */
  static async join(port: number, user: string, options?: JoinOptions): Promise<TextClient> {
    const client = new TextClient(port, user, options);
    const first = await client.next();
    if (first !== `Welcome ${user.normalize("NFC")}!`) {
      throw new Error(`expected a welcome, received ${first}`);
    }
    return client;
  }

  /** Every frame received so far. */
  get frames(): string[] {
    return this.items;
  }

  /** Waits for the next frame that has not been read yet, and reads it. */
  async next(): Promise<string> {
    await this.received(this.#read + 1);
    return this.frames[this.#read++];
  }

  /** Waits for a frame; reads all frames up to it. */
  async until(frame: string): Promise<void> {
    while (await this.next() !== frame);
  }

  /** Waits for a frame and removes it from the record. */
  async skip(frame: string): Promise<void> {
    await this.until(frame);
    this.frames.splice(--this.#read, 1);
  }

  /** Removes all frames from the record. */
  clear(): void {
    this.frames.length = this.#read = 0;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.socket.send(data);
  }
}

/**
 * Waits until clients have received everything that was published in their room so far: publishes a
 * marker on the room's channel, and waits until it has reached each of them.
 */
export async function untilCaughtUp(
  redis: { command(...words: string[]): Promise<unknown> },
  clients: readonly TextClient[],
  channel = "chat",
): Promise<void> {
  const marker = `marker ${crypto.randomUUID()}`;
  await redis.command("PUBLISH", channel, marker);
  await Promise.all(clients.map((client) => client.skip(marker)));
}

/** Counts how often each user was seen leaving. */
export function countLeft(frames: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const frame of frames) {
    const user = /^(.*): has left the chat!$/.exec(frame)?.[1];
    if (user !== undefined) counts.set(user, (counts.get(user) ?? 0) + 1);
  }
  return counts;
}
