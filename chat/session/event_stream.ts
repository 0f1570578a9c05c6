import type { Access } from "../auth/access.ts";
import type { Semaphore } from "../limits/semaphore.ts";
import { CLOSE, type CloseReason } from "../protocol/close_codes.ts";
import { errorReply } from "../protocol/errors.ts";
import type { Banned, Kicked } from "../protocol/events.ts";
import { isId } from "../protocol/ids.ts";
import type { ListenerWelcome } from "../protocol/protocol.ts";
import { encodeLine, HEARTBEAT, SERVER_SENT_EVENTS } from "../protocol/server_sent_events.ts";
import type { Hub } from "../rooms/hub.ts";
import type { Receiver } from "../rooms/member.ts";
import type { ListenRequest } from "./join_request.ts";
import { prepareReplay, type Replay, sendReplay } from "./replay.ts";
import type { SessionLimits } from "./session.ts";
import { countSlowReader } from "./slow_readers.ts";
import { type Outlet, Writer } from "./writer.ts";

/** How often a client receives something, so that no proxy takes the connection for a dead one. */
const HEARTBEAT_INTERVAL_MS = 15_000;

/** The events of one room for one client that only listens. It is not in the room. */
export class EventStream implements Receiver {
  readonly access: Access;
  readonly protocol = SERVER_SENT_EVENTS;
  /** Resolves when the stream has ended. */
  readonly closed: Promise<void>;

  readonly #hub: Hub;
  readonly #request: ListenRequest;
  readonly #reads: Semaphore;
  readonly #writer: Writer;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  readonly #onClosed: () => void;
  #isClosed = false;

  /**
   * @param outlet where to send
   * @param hub the rooms
   * @param request what the client asked for
   * @param limits what may wait for the client
   * @param reads how many reads of history the client's address may have at a time
   */
  constructor(
    outlet: Outlet,
    hub: Hub,
    request: ListenRequest,
    { maxBufferedBytes }: SessionLimits,
    reads: Semaphore,
  ) {
    this.access = request.access;
    this.#hub = hub;
    this.#request = request;
    this.#reads = reads;
    this.#writer = new Writer(outlet, this.protocol, maxBufferedBytes, (reason) => {
      countSlowReader();
      this.close(reason);
    });
    this.#writer.startQueue();
    this.#heartbeat = setInterval(() => this.deliver(HEARTBEAT), HEARTBEAT_INTERVAL_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#onClosed = resolve;
  }

  /**
   * Starts to send events: a welcome, the messages that the client asked for, and all later events.
   * Resolves before the first one is sent.
   *
   * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store does not answer
   */
  async start(): Promise<void> {
    const { room, since } = this.#request;
    const position = await this.#hub.listen(room, this, isId(since) ? since : undefined);
    const replay = await prepareReplay(this.#hub.history, this.#request, position, this.#reads);
    this.#send(position.last, replay).catch(() => this.close(CLOSE.tryLater));
  }

  deliver(frame: string): void {
    this.#writer.deliver(frame);
  }

  onExpelled(event: Kicked | Banned): void {
    if (this.access.canModerate) return;
    const { room, address } = this.#request;
    if (event.type === "banned" && event.address) this.#hub.banAddress(room, event.user, address);
    this.#writer.reply(errorReply.forbidden(`you were ${event.type} by ${event.by}`));
    this.close(CLOSE.forbidden);
  }

  /** Closes the stream if its client has stalled: see {@linkcode Writer.checkStall}. */
  checkStall(): void {
    this.#writer.checkStall();
  }

  /** Closes the stream if the client's token has expired. */
  checkExpiry(): void {
    if (Date.now() >= this.access.expiresAtMs) this.close(CLOSE.expired);
  }

  /** Sends nothing more. */
  close(reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#heartbeat);
    this.#hub.unlisten(this.#request.room, this);
    this.#writer.close(reason);
    this.#onClosed();
  }

  async #send(last: string, { recovered, error, pages }: Replay): Promise<void> {
    const welcome: ListenerWelcome = {
      type: "welcome",
      room: this.#request.room,
      last,
      recovered,
    };
    // If messages follow, the client has not reached the last one before it has received them.
    const position = Array.isArray(pages) && pages.flat().length === 0 ? last : undefined;
    await this.#writer.sendPaced([encodeLine(JSON.stringify(welcome), position)]);
    if (error) this.#writer.reply(error);
    await sendReplay(this.#writer, this.protocol, pages, () => this.#isClosed);
  }
}
