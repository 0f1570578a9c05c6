import type { SubscriberConnection } from "./connections.ts";
import type { RoomSubscription, SubscriptionSource } from "./room_subscription.ts";

/** A connection that stays silent is pinged again after this many checks. */
const CHECKS_PER_PING = 5;

/**
 * The single loop of this instance that receives what is published in all rooms that it is
 * subscribed to.
 */
export class Subscriber implements SubscriptionSource {
  readonly #connection: SubscriberConnection;
  /** The subscriptions by channel. */
  readonly #subscriptions = new Map<string, RoomSubscription>();
  #isSubscribed = true;
  #hasReceived = false;
  #silentChecks = 0;

  /**
   * Starts the loop.
   *
   * @param connection a connection of its own: published events must not wait behind the replies to
   * commands
   */
  constructor(connection: SubscriberConnection) {
    this.#connection = connection;
    connection.onMessage((channel, payload) => {
      this.#hasReceived = true;
      this.#subscriptions.get(channel)?.handlePayload(payload);
    });
    connection.onClose(() => this.#isSubscribed = false);
    connection.onReady(() => this.#resubscribe());
  }

  /** Whether this instance is subscribed to every channel, as far as it knows. */
  get isSubscribed(): boolean {
    return this.#isSubscribed;
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
   * Checks whether anything was received since the last check. A connection that was cut off
   * without notice fails only when it is used: it is pinged when it falls silent, and at every
   * fifth check after that.
   */
  async checkSilence(): Promise<void> {
    this.#silentChecks = this.#hasReceived ? 0 : this.#silentChecks + 1;
    this.#hasReceived = false;
    if (this.#silentChecks % CHECKS_PER_PING === 1) await this.ping();
  }

  reset(cause: string): void {
    this.#connection.reset(cause);
  }

  async #resubscribe(): Promise<void> {
    try {
      const channels = [...this.#subscriptions.keys()];
      if (channels.length > 0) await this.#connection.subscribe(...channels);
      // If a first start fails, the hub unsubscribes from the room.
      for (const subscription of this.#subscriptions.values()) {
        subscription.resync().catch(() => {});
      }
      this.#isSubscribed = true;
    } catch {
      // A connection that is broken already reconnects by itself, and then this runs again.
      this.reset("not subscribed");
    }
  }
}
