import type { Connection } from "./connection.ts";

/** Receives what is published on a channel. */
type Hear = (payload: string) => void;

/** The one loop of this instance that hears what is published in the rooms that it has users in. */
export class Subscriber {
  readonly #connection: Connection;
  readonly #channels = new Map<string, Hear>();
  #isHearing = true;

  /**
   * Starts the loop.
   *
   * @param connection a connection of its own, since what is heard must not wait behind the answers to commands
   */
  constructor(connection: Connection) {
    this.#connection = connection;
    const { redis } = connection;
    redis.on(
      "message",
      (channel: string, payload: string) => this.#channels.get(channel)?.(payload),
    );
    redis.on("close", () => this.#isHearing = false);
    redis.on("ready", () => this.#resubscribe());
  }

  /** Whether every channel is subscribed to, as far as is known. */
  get isHearing(): boolean {
    return this.#isHearing;
  }

  /** Starts to hear a channel. */
  async subscribe(channel: string, hear: Hear): Promise<void> {
    this.#channels.set(channel, hear);
    await this.#connection.ask((redis) => redis.subscribe(channel));
  }

  /** Stops hearing a channel, whether or not Redis can be told. */
  async unsubscribe(channel: string): Promise<void> {
    this.#channels.delete(channel);
    await this.#connection.ask((redis) => redis.unsubscribe(channel));
  }

  /** A connection that was cut without a word shows it only when it is asked something. */
  async ping(): Promise<void> {
    await this.#connection.ask((redis) => redis.ping());
  }

  async #resubscribe(): Promise<void> {
    try {
      const channels = [...this.#channels.keys()];
      if (channels.length > 0) {
        await this.#connection.ask((redis) => redis.subscribe(...channels));
      }
      this.#isHearing = true;
    } catch {
      // One that is broken comes back by itself, and with it this.
      this.#connection.breakOff("not subscribed");
    }
  }
}
