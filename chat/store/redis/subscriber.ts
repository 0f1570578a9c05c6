import { deadline } from "../deadline.ts";
import { StoreUnavailable } from "../store.ts";
import type { CommandConnection, SubscriberConnection } from "./connections.ts";
import type { RoomSubscription, SubscriptionSource } from "./room_subscription.ts";

/** How long a published payload may take to come back, in milliseconds. */
const HEARING_DEADLINE_MS = 2_000;

/**
 * How often that time is granted again while other payloads arrive: then the connection may only be
 * behind.
 */
const MAX_HEARING_DEADLINES = 5;

/**
 * The single loop of this instance that receives what is published in all rooms that it is
 * subscribed to.
 */
export class Subscriber implements SubscriptionSource {
  readonly #connection: SubscriberConnection;
  readonly #commands: CommandConnection;
  readonly #channel: string;
  /** The subscriptions by channel. */
  readonly #subscriptions = new Map<string, RoomSubscription>();
  #isSubscribed = true;
  #isHearing = false;
  #hasReceived = false;
  /** How often the connection broke. */
  #breaks = 0;
  #proof: Promise<void> | undefined;
  #proofCount = 0;
  /** Called with what is published on the channel of the proofs. */
  #onProof: (payload: string) => void = () => {};

  /**
   * Starts the loop.
   *
   * @param connection a connection of its own: published events must not wait behind the replies to
   * commands
   * @param commands the connection on which this instance publishes
   * @param channel a channel that only this instance uses
   */
  constructor(connection: SubscriberConnection, commands: CommandConnection, channel: string) {
    this.#connection = connection;
    this.#commands = commands;
    this.#channel = channel;
    connection.onMessage((channel, payload) => {
      this.#hasReceived = true;
      const subscription = this.#subscriptions.get(channel);
      if (subscription) subscription.handlePayload(payload);
      else if (channel === this.#channel) this.#onProof(payload);
    });
    connection.onClose(() => {
      this.#breaks++;
      this.#isSubscribed = this.#isHearing = false;
    });
    connection.prepare(() => this.#resubscribe());
  }

  /**
   * Whether this instance is subscribed to every channel, and the last proof showed that it hears
   * what it publishes.
   */
  get isHearing(): boolean {
    return this.#isHearing;
  }

  /**
   * Subscribes to a channel.
   *
   * @param channel the channel
   * @param subscription receives every payload of the channel
   * @returns the id of the room's newest message
   */
  async subscribe(channel: string, subscription: RoomSubscription): Promise<string> {
    this.#subscriptions.set(channel, subscription);
    await this.#connection.subscribe(channel);
    return await subscription.start();
  }

  /** Closes the subscription to a channel, whether or not Redis can be reached. */
  async unsubscribe(channel: string): Promise<void> {
    this.#subscriptions.get(channel)?.close();
    this.#subscriptions.delete(channel);
    await this.#connection.unsubscribe(channel);
  }

  async ping(): Promise<void> {
    await this.#connection.ping();
  }

  /**
   * Proves that this instance hears what it publishes, end to end. The connection may be alive and
   * subscribed, but to a Redis on which nobody publishes any more, such as a former primary. Then
   * it is broken, and leads to the present one when it is back.
   *
   * The channel of the proof is subscribed to for that moment only.
   *
   * @throws {StoreUnavailable} if nothing comes back, or if there is no proof
   */
  prove(): Promise<void> {
    return this.#proof ??= this.#prove().finally(() => this.#proof = undefined);
  }

  async #prove(): Promise<void> {
    if (!this.#isSubscribed) throw new StoreUnavailable("the subscriber connection is down");
    const breaks = this.#breaks;
    const number = `${++this.#proofCount}`;
    const { promise: heard, resolve } = Promise.withResolvers<void>();
    this.#onProof = (payload) => payload === number && resolve();
    try {
      await this.#connection.subscribe(this.#channel);
      await this.#commands.run("PUBLISH", this.#channel, number);
      const isHeard = await this.#waitFor(heard);
      if (this.#breaks !== breaks) throw new StoreUnavailable("the subscriber connection was lost");
      this.#isHearing = isHeard;
    } finally {
      this.#connection.unsubscribe(this.#channel).catch(() => {});
    }
    if (this.#isHearing) return;
    this.reset("it does not receive what is published");
    throw new StoreUnavailable("this instance does not receive what it publishes");
  }

  async #waitFor(heard: Promise<void>): Promise<boolean> {
    for (let i = 0; i < MAX_HEARING_DEADLINES; i++) {
      this.#hasReceived = false;
      try {
        await deadline(heard, HEARING_DEADLINE_MS);
        return true;
      } catch {
        if (!this.#hasReceived) return false;
      }
    }
    return false;
  }

  reset(cause: string): void {
    this.#connection.reset(cause);
  }

  async #resubscribe(): Promise<void> {
    const channels = [...this.#subscriptions.keys()];
    if (channels.length > 0) await this.#connection.subscribe(...channels);
    // If a first start fails, the hub unsubscribes from the room.
    for (const subscription of this.#subscriptions.values()) {
      subscription.resync().catch(() => {});
    }
    this.#isSubscribed = true;
    this.prove().catch(() => {});
  }
}
