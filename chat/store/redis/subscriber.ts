import { deadline } from "../deadline.ts";
import { StoreUnavailable } from "../store.ts";
import type { CommandConnection, SubscriberConnection } from "./connections.ts";
import { ignoreOutage } from "./ignore_outage.ts";
import type { RoomSubscription } from "./room_subscription.ts";

/** How long a published payload may take to come back, in milliseconds. */
const HEARING_DEADLINE_MS = 2_000;

/**
 * How often that time is granted again while other payloads arrive: then the connection may only be
 * behind.
 */
const MAX_HEARING_DEADLINES = 5;

const SUBSCRIBER_DOWN = "the subscriber connection is down";

/**
 * The single loop of this instance that receives what is published in all rooms that it is
 * subscribed to.
 */
export class Subscriber {
  readonly #connection: SubscriberConnection;
  readonly #commands: CommandConnection;
  readonly #channel: string;
  /** The subscriptions by channel. */
  readonly #subscriptions = new Map<string, RoomSubscription>();
  #isSubscribed = true;
  #isHearing = false;
  #hasReceived = false;
  #proof: Promise<void> | undefined;
  #proofCount = 0;
  /** Settles when the present proof has come back, or the connection breaks. */
  #heard: PromiseWithResolvers<void> | undefined;

  /**
   * Starts the loop.
   *
   * @param connection a connection of its own: published events must not wait behind the replies to
   * commands
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
      else if (payload === `${this.#proofCount}`) this.#heard?.resolve();
    });
    connection.onClose(() => {
      this.#isSubscribed = this.#isHearing = false;
      this.#heard?.reject(new StoreUnavailable(SUBSCRIBER_DOWN));
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
    this.#subscriptions.delete(channel);
    await this.#connection.unsubscribe(channel);
  }

  /**
   * Proves that this instance hears what it publishes, end to end. After a failover, the connection
   * may be alive and subscribed, but to a Redis on which nobody publishes any more. Then it is
   * broken, and leads to the present primary when it is back. If it still does not hear, the
   * connection for commands is the one that was left behind.
   *
   * The channel of the proof is subscribed to for that moment only.
   *
   * @throws {StoreUnavailable} if nothing comes back, or if there is no proof
   */
  prove(): Promise<void> {
    return this.#proof ??= this.#prove().finally(() => this.#proof = undefined);
  }

  /**
   * Proves once more after the proof that is under way. That one fails if it began before the
   * connection for commands was ready.
   */
  async proveAnew(): Promise<void> {
    await this.#proof?.catch(() => {});
    await this.prove();
  }

  async #prove(): Promise<void> {
    if (!this.#isSubscribed) throw new StoreUnavailable(SUBSCRIBER_DOWN);
    const wasHearing = this.#isHearing;
    const heard = this.#heard = Promise.withResolvers();
    heard.promise.catch(() => {});
    try {
      await this.#connection.subscribe(this.#channel);
      await this.#commands.run("PUBLISH", this.#channel, ++this.#proofCount);
      this.#isHearing = await this.#waitFor(heard.promise);
    } finally {
      this.#connection.unsubscribe(this.#channel).catch(() => {});
    }
    if (this.#isHearing) return;
    this.#connection.reset("it does not receive what is published");
    if (!wasHearing) this.#commands.reset("nobody receives what it publishes");
    throw new StoreUnavailable("this instance does not receive what it publishes");
  }

  async #waitFor(heard: Promise<void>): Promise<boolean> {
    for (let i = 0; i < MAX_HEARING_DEADLINES; i++) {
      this.#hasReceived = false;
      try {
        await deadline(heard, HEARING_DEADLINE_MS);
        return true;
      } catch (error) {
        if (!(error instanceof Deno.errors.TimedOut)) throw error;
        if (!this.#hasReceived) return false;
      }
    }
    return false;
  }

  async #resubscribe(): Promise<void> {
    const channels = [...this.#subscriptions.keys()];
    if (channels.length > 0) await this.#connection.subscribe(...channels);
    // If a first start fails, the hub unsubscribes from the room.
    for (const subscription of this.#subscriptions.values()) {
      subscription.resync().catch(ignoreOutage);
    }
    this.#isSubscribed = true;
    // If the connection for commands is down, its return starts a proof.
    await this.prove().catch(ignoreOutage);
  }
}
