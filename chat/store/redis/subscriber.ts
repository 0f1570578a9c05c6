import type { Connection } from "./connections.ts";
import type { RoomSubscription, SubscriptionSource } from "./room_subscription.ts";

/** After so many looks at a silent connection it is asked again. */
const SILENT_LOOKS_A_PING = 5;

/** The one loop of this instance that hears what is published in the rooms that it has users in. */
export class Subscriber implements SubscriptionSource {
  readonly #connection: Connection;
  /** What is heard, by channel. */
  readonly #feeds = new Map<string, RoomSubscription>();
  #isHearing = true;
  #hasHeard = false;
  #silentLooks = 0;

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
      (channel: string, payload: string) => {
        this.#hasHeard = true;
        this.#feeds.get(channel)?.handlePayload(payload);
      },
    );
    redis.on("close", () => this.#isHearing = false);
    redis.on("ready", () => this.#resubscribe());
  }

  /** Whether every channel is subscribed to, as far as is known. */
  get isHearing(): boolean {
    return this.#isHearing;
  }

  /** Starts to hear a channel; gives the id of the newest message before. */
  async subscribe(channel: string, feed: RoomSubscription): Promise<string> {
    this.#feeds.set(channel, feed);
    await this.#connection.run((redis) => redis.subscribe(channel));
    return await feed.start();
  }

  /** Stops hearing a channel, whether or not Redis can be told. */
  async unsubscribe(channel: string): Promise<void> {
    this.#feeds.get(channel)?.close();
    this.#feeds.delete(channel);
    await this.#connection.run((redis) => redis.unsubscribe(channel));
  }

  /** Resolves if the connection is there; what was published before has been heard by then. */
  async ping(): Promise<void> {
    await this.#connection.run((redis) => redis.ping());
  }

  /**
   * Looks whether something was heard since the last look. A connection that was cut without a word shows it only when
   * it is asked something: it is asked when it falls silent, and at every fifth look after that.
   */
  async look(): Promise<void> {
    this.#silentLooks = this.#hasHeard ? 0 : this.#silentLooks + 1;
    this.#hasHeard = false;
    if (this.#silentLooks % SILENT_LOOKS_A_PING === 1) await this.ping();
  }

  reset(cause: string): void {
    this.#connection.reset(cause);
  }

  async #resubscribe(): Promise<void> {
    try {
      const channels = [...this.#feeds.keys()];
      if (channels.length > 0) {
        await this.#connection.run((redis) => redis.subscribe(...channels));
      }
      // A room that cannot be opened is closed again by whoever wanted to.
      for (const feed of this.#feeds.values()) feed.resync().catch(() => {});
      this.#isHearing = true;
    } catch {
      // One that is broken comes back by itself, and with it this.
      this.reset("not subscribed");
    }
  }
}
