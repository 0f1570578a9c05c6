import { getLogger } from "@logtape/logtape";
import { type Access, KeysUnavailable, TokenRefused } from "../auth/access.ts";
import { countExcess } from "../limits/excess.ts";
import type { MessageRefusal, SessionBudget } from "../limits/session_budget.ts";
import { CLOSE, type CloseReason } from "../protocol/close_codes.ts";
import { type ErrorReply, errorReply } from "../protocol/errors.ts";
import type { Banned, Kicked } from "../protocol/events.ts";
import type { ClientMessage, Moderation } from "../protocol/from_client.ts";
import { BEFORE_FIRST_ID } from "../protocol/ids.ts";
import type { Decoded, Protocol } from "../protocol/protocol.ts";
import { exceedsBytes, exceedsJsonBytes } from "../protocol/utf8.ts";
import type { Hub } from "../rooms/hub.ts";
import type { Member, Position } from "../rooms/member.ts";
import {
  Muted,
  type NameLoss,
  type NameSecret,
  type Sender,
  StoreOutcomeUnknown,
  StoreUnavailable,
} from "../store/store.ts";
import { Inbound, type InboundHandler } from "./inbound.ts";
import type { JoinRequest } from "./join_request.ts";
import { prepareReplay, sendReplay } from "./replay.ts";
import { countSlowReader } from "./slow_readers.ts";
import { Writer } from "./writer.ts";

const logger = getLogger(["chat", "session"]);

/** What a session may take from the server. */
export interface SessionLimits {
  /** The most bytes that the text of a message can have, as JSON without the quotes, in UTF-8. */
  readonly maxMessageBytes: number;
  /** The most bytes that may wait for a client that reads slowly, or from one that sends fast. */
  readonly maxBufferedBytes: number;
  /** How many devices of one user may be in a room at once, with authentication. */
  readonly maxDevices: number;
}

/** What a user is told who is banned from the room. */
const BANNED = "you are banned from this room";

/** Added for each message in flight, so that empty messages count too. */
const MESSAGE_OVERHEAD_BYTES = 100;

/** A frame that is not read costs its address joins, each time that it is so long. */
const MAX_FREE_FRAME_CHARS = 1024 * 1024;

/** The most messages that were refused for good of which a session knows. */
const MAX_SETTLED_REFS = 256;

/** The connection of one user to one room, from the join to the leave. */
export class Session implements Member, InboundHandler {
  readonly id: string = crypto.randomUUID();
  readonly user: string;
  readonly secret?: NameSecret;
  readonly nameKeys?: readonly string[];
  readonly address: string;
  readonly maxDevices: number;
  readonly protocol: Protocol;
  /** Resolves when the socket is closed. If the peer does not read, the session ends earlier. */
  readonly closed: Promise<void>;

  readonly #request: JoinRequest;
  #access: Access;
  readonly #limits: SessionLimits;
  readonly #budget: SessionBudget;
  readonly #hub: Hub;
  readonly #writer: Writer;
  readonly #sender: Sender;
  #state: "joining" | "joined" | "left" = "joining";
  readonly #inbound: Inbound;
  /** Whether the room had no message when the session joined, and the session has sent none. */
  #isRoomNew = false;
  /** The refs of messages that may be in the log, although a repetition is refused. */
  #refsInDoubt: Set<string> | undefined;
  /** The refs of the last messages that were refused for good, and what each of them is after. */
  #settledRefs: Map<string, string | undefined> | undefined;
  /** The ref of the last message that was acknowledged. */
  #lastAckedRef: string | undefined;
  /** What the store was sent and has not answered, roughly in bytes. */
  #inFlightBytes = 0;
  /** Why the session was closed. The socket may not have been open then. */
  #closeReason: CloseReason | undefined;

  /**
   * Starts a session, which joins its room when the socket opens.
   *
   * @param socket the connection, not open yet
   * @param hub the rooms
   * @param request what the client asked for
   * @param limits what the session may take from the server
   * @param budget what its client may send
   */
  constructor(
    socket: WebSocket,
    hub: Hub,
    request: JoinRequest,
    limits: SessionLimits,
    budget: SessionBudget,
  ) {
    this.user = request.user;
    this.secret = request.secret;
    this.nameKeys = request.nameKeys;
    this.address = request.address;
    // Without authentication, nobody knows whether two connections are of the same person.
    this.maxDevices = request.access.user === undefined ? 1 : limits.maxDevices;
    this.protocol = request.protocol;
    // If the session does not receive what it sends, its room has to tell it from other devices,
    // and from what the user publishes over HTTP.
    const isNamed = request.access.user !== undefined && !this.protocol.echoes;
    this.#sender = { session: this.id, isNamed };
    this.#request = request;
    this.#access = request.access;
    this.#limits = limits;
    this.#budget = budget;
    this.#hub = hub;
    this.#writer = new Writer(
      socket,
      request.protocol,
      limits.maxBufferedBytes,
      (reason) => {
        countSlowReader();
        this.close(reason);
      },
    );
    this.#inbound = new Inbound(budget, request.protocol.canBatch, this);
    socket.binaryType = "arraybuffer";
    socket.addEventListener(
      "open",
      () => this.#closeReason ? this.close(this.#closeReason) : this.#join(),
      { once: true },
    );
    // Deno keeps 0.4 KiB more of each socket for `onmessage` and `onclose`.
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.closed = new Promise((resolve) =>
      socket.addEventListener("close", () => {
        this.#writer.discard();
        this.#inbound.finish(() => {
          this.#leave();
          resolve();
        });
      })
    );
  }

  onJoined(position: Position, users: number): void {
    if (this.#hasLeft) return this.#leave();
    this.#writer.startQueue();
    this.#replay(position, users).catch((error) => this.#fail(error));
  }

  deliver(frame: string): void {
    this.#writer.deliver(frame);
  }

  onNameLost(loss: NameLoss): void {
    switch (loss) {
      case "taken":
        return this.#refuse(errorReply.nameTaken(this.user), CLOSE.nameTaken);
      case "full":
        return this.#refuse(errorReply.tooManyDevices(this.maxDevices), CLOSE.tooManyDevices);
      case "banned":
        return this.#refuse(errorReply.forbidden(BANNED), CLOSE.forbidden);
      case "replaced":
        if (!this.#hasLeft) this.close(CLOSE.replaced);
        return;
      default:
        loss satisfies never;
    }
  }

  onExpelled(event: Kicked | Banned): void {
    if (this.access.canModerate) return;
    if (event.type === "banned" && event.address) {
      this.#hub.banAddress(this.#request.room, this.user, this.address);
    }
    this.#refuse(errorReply.forbidden(`you were ${event.type} by ${event.by}`), CLOSE.forbidden);
  }

  onLine(line: string, isLast: boolean): void {
    if (!isLast) this.#writer.holdReplies();
    const decoded = this.protocol.decode(line);
    if (decoded) this.#handle(decoded);
    if (isLast) this.#writer.releaseReplies();
  }

  onWait(isFirst: boolean): void {
    this.#writer.releaseReplies();
    if (!isFirst) return;
    countExcess(this.user, this.#request.room);
    const waitMs = this.#budget.msUntilHalfFull();
    const line = `too much at once: the rest is read later. please wait ${toSeconds(waitMs)} s`;
    this.#writer.reply(errorReply.tooMany(line, waitMs));
  }

  onExcess(): void {
    this.close(CLOSE.tooMany);
  }

  get access(): Access {
    return this.#access;
  }

  /** Closes the session if its client has stalled: see {@linkcode Writer.checkStall}. */
  checkStall(): void {
    this.#writer.checkStall();
  }

  /** Closes the session if its token has expired. */
  checkExpiry(): void {
    if (Date.now() >= this.#access.expiresAtMs) this.close(CLOSE.expired);
  }

  /** Leaves the room at once, and closes the socket as soon as the peer lets it. */
  close(reason: CloseReason): void {
    if (reason === CLOSE.tooMany && !this.#hasLeft) {
      this.#budget.address.chargeExcess();
      this.#budget.address.beStrict();
    }
    this.#closeReason = reason;
    this.#writer.close(reason);
    this.#leave();
  }

  get #hasLeft(): boolean {
    return this.#state === "left";
  }

  #leave(): void {
    this.#state = "left";
    this.#inbound.close();
    this.#writer.discard();
    this.#hub.leave(this.#request.room, this);
  }

  /** Leaves the room at once, and closes when the name is free. Replies are still sent. */
  async #closeWhenReleased(): Promise<void> {
    this.#state = "left";
    this.#inbound.close();
    await this.#hub.leave(this.#request.room, this);
    this.close(CLOSE.left);
  }

  async #join(): Promise<void> {
    try {
      const outcome = await this.#hub.join(this.#request.room, this);
      if (outcome !== "claimed") this.onNameLost(outcome);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends what the client asked to receive first, and then the events that have come meanwhile. */
  async #replay(position: Position, users: number): Promise<void> {
    const { history } = this.#hub;
    const { reads } = this.#budget.address;
    const [{ recovered, error, pages }, mutedUntil] = await Promise.all([
      prepareReplay(history, this.#request, position, reads),
      this.#hub.mutedUntil(this.#request.room, this.#access),
    ]);
    if (this.#hasLeft) return;
    this.#welcome(position.last, users, recovered, mutedUntil);
    if (error) this.#writer.reply(error);
    await sendReplay(this.#writer, this.protocol, pages, () => this.#hasLeft);
  }

  #welcome(last: string, users: number, recovered: boolean, mutedUntil: number): void {
    this.#state = "joined";
    const { user, room } = this.#request;
    const { maxMessageBytes, maxBufferedBytes: maxInFlightBytes } = this.#limits;
    const { renew, expiresAtMs, canPublish, canModerate } = this.#access;
    this.#writer.reply({
      ...{ type: "welcome", user, room, last, recovered, users },
      ...{ maxMessageBytes, maxInFlightBytes },
      ...renew
        ? { features: ["after", "leave", "typing", "token"], expires: expiresAtMs }
        : { features: ["after", "leave", "typing"] },
      ...!canPublish && { canPublish },
      ...renew && canModerate && { canModerate },
      ...mutedUntil > 0 && { mutedUntil },
      ...this.#budget.rates,
    });
    this.#isRoomNew = last === BEFORE_FIRST_ID;
    this.#inbound.start();
  }

  /** Ends a join that failed. */
  #fail(error: unknown): void {
    // An outage has its own line in the log, once and not once for each join.
    const isOutage = [StoreUnavailable, StoreOutcomeUnknown, Deno.errors.TimedOut]
      .some((ErrorType) => error instanceof ErrorType);
    if (!isOutage) logger.error`A join failed: ${error}`;
    this.#refuse(errorReply.unavailable(), CLOSE.tryLater);
  }

  #refuse(error: ErrorReply, reason: CloseReason): void {
    if (this.#hasLeft) return;
    this.#writer.reply(error);
    this.close(reason);
  }

  #receive(data: unknown): void {
    if (this.#hasLeft) return;
    const { maxBufferedBytes } = this.#limits;
    const isText = typeof data === "string";
    if (!isText || exceedsBytes(data, maxBufferedBytes)) {
      // Deno has copied all of it, which took a tenth of a second for 64 MiB.
      const length = isText ? data.length : (data as ArrayBuffer).byteLength;
      this.#budget.address.chargeExcess(Math.floor(length / MAX_FREE_FRAME_CHARS));
      return this.close(isText ? CLOSE.tooLarge : CLOSE.binary);
    }
    this.#inbound.receive(data);
    // What waits is the rest, after all that could be read now.
    if (this.#budget.isTooMuchWaiting) this.close(CLOSE.tooMany);
    else this.#checkInFlight();
  }

  #handle(decoded: Decoded): void {
    switch (decoded.type) {
      case "message":
        return this.#handleMessage(decoded);
      case "ping":
        return this.#writer.reply({ type: "pong" });
      case "typing":
        return this.#tellTyping();
      case "leave":
        return void this.#closeWhenReleased();
      case "token":
        return void this.#renew(decoded.token);
      case "remove":
      case "kick":
      case "ban":
      case "mute":
        return void this.#moderate(decoded);
      case "error": {
        const { after, ...reply } = decoded;
        return this.#refuseForGood(reply, after);
      }
      default:
        decoded satisfies never;
    }
  }

  #handleMessage(message: ClientMessage): void {
    const { maxMessageBytes } = this.#limits;
    if (!exceedsJsonBytes(message.text, maxMessageBytes)) return this.#charge(message);
    // A text client could not tell which message the error is about.
    if (this.protocol.name === "") return this.close(CLOSE.tooLarge);
    this.#refuseForGood(errorReply.tooLarge(maxMessageBytes, message.ref), message.after);
  }

  #charge(message: ClientMessage): void {
    const { room } = this.#request;
    const { canPublish } = this.#access;
    const opensRoom = canPublish && this.#isRoomNew && !this.#hub.hasMessages(room);
    const refusal = this.#budget.takeMessage(opensRoom, this.#hub.countReceivers(room));
    if (refusal) return this.#refuseForNow(refusal, message.ref);
    if (!canPublish) {
      const reply = errorReply.forbidden("message not delivered: you may only listen", message.ref);
      return this.#refuseForGood(reply, message.after);
    }
    this.#isRoomNew = false;
    this.#publish(message);
  }

  /** Tells the room that the user is typing, if it is not told too often. */
  #tellTyping(): void {
    const { room } = this.#request;
    if (!this.#access.canPublish) {
      return this.#writer.reply(errorReply.forbidden("you may only listen"));
    }
    if (!this.#budget.takeTyping(this.#hub.countReceivers(room))) return;
    // Nobody needs to learn later that someone was typing.
    this.#hub.publishUnlogged(room, { type: "typing", user: this.user }).catch(() => {});
  }

  /** Does what a moderator asks for. It is charged as a message is. */
  async #moderate(action: Moderation): Promise<void> {
    const { ref } = action;
    const { room } = this.#request;
    const receivers = this.#hub.countReceivers(room);
    const refusal = this.#budget.takeMessage(false, receivers, action.type === "remove");
    if (refusal) return this.#refuseForNow(refusal, ref);
    this.#inFlightBytes += MESSAGE_OVERHEAD_BYTES;
    this.#checkInFlight();
    try {
      const isAllowed = await this.#hub.moderate(room, this.access, action);
      if (!isAllowed) this.#writer.reply(errorReply.forbidden("you may not do this", ref));
      else if (ref !== undefined) this.#writer.reply({ type: "done", ref });
    } catch {
      const message = "it may not have been done. please try again";
      this.#writer.reply({ ...errorReply.unknown(ref), message });
    } finally {
      this.#inFlightBytes -= MESSAGE_OVERHEAD_BYTES;
    }
  }

  /** Refuses a message that can be repeated later. */
  #refuseForNow(
    { retryAfterMs, isFirst, isExcessive }: MessageRefusal,
    ref: string | undefined,
  ): void {
    if (isFirst) countExcess(this.user, this.#request.room);
    if (isExcessive) return this.close(CLOSE.tooMany);
    // For people, one line is enough.
    if (!isFirst && this.protocol.name === "") return;
    const line = `message not delivered: too many. please try again in ${
      toSeconds(retryAfterMs)
    } s`;
    this.#writer.reply(errorReply.tooMany(line, retryAfterMs, ref));
  }

  /** Refuses a message that no repetition can save, so that others need not wait for it. */
  #refuseForGood(reply: ErrorReply, after: string | undefined): void {
    if (reply.ref !== undefined) {
      const settledRefs = this.#settledRefs ??= new Map();
      settledRefs.set(reply.ref, this.#skipSettled(after));
      if (settledRefs.size > MAX_SETTLED_REFS) settledRefs.delete(settledRefs.keys().next().value!);
    }
    this.#writer.reply(reply);
  }

  /** Finds the message that the store must have taken before, where the client gives one. */
  #skipSettled(after: string | undefined): string | undefined {
    const ref = after !== undefined && this.#settledRefs?.has(after)
      ? this.#settledRefs.get(after)
      : after;
    return ref === this.#lastAckedRef ? undefined : ref;
  }

  /** Closes if the client has sent too much that has no reply yet. */
  #checkInFlight(): void {
    const bytes = this.#inFlightBytes + this.#budget.waitingBytes;
    if (bytes > this.#limits.maxBufferedBytes) this.close(CLOSE.tooMany);
  }

  #publish({ text, ref, after }: ClientMessage): void {
    this.#inFlightBytes += inFlightCost(text);
    this.#checkInFlight();
    if (this.#hasLeft) return;
    const { lineBytes } = this.#budget;
    this.#inbound.addInFlight(lineBytes);
    const settle = () => {
      this.#inFlightBytes -= inFlightCost(text);
      this.#inbound.addInFlight(-lineBytes);
    };
    const { room } = this.#request;
    this.#hub.publish(room, this.user, text, ref, this.#skipSettled(after), this.#sender).then(
      (id) => {
        settle();
        if (ref === undefined) return;
        this.#lastAckedRef = ref;
        const canWait = this.#hub.isFlushPendingFor(room, this);
        this.#writer.acknowledge({ type: "ack", ref, id }, canWait);
      },
      (error) => {
        settle();
        if (error instanceof Muted) {
          const reply = errorReply.forbidden("message not delivered: you are muted", ref);
          return this.#refuseForGood(reply, after);
        }
        const isInDoubt = !(error instanceof StoreUnavailable) ||
          ref !== undefined && this.#refsInDoubt?.has(ref) === true;
        if (isInDoubt && ref !== undefined) (this.#refsInDoubt ??= new Set()).add(ref);
        this.#writer.reply(isInDoubt ? errorReply.unknown(ref) : errorReply.notDelivered(ref));
      },
    );
  }

  /** Goes on with a later token of the same user. */
  async #renew(token: string): Promise<void> {
    try {
      this.#access = await this.#checkRenewal(token);
      // If the store is away, it is noted with what the moderator does next.
      this.#hub.noteModerator(this.#request.room, this.#access).catch(() => {});
      this.#writer.reply({ type: "token", expires: this.#access.expiresAtMs });
    } catch (error) {
      if (!(error instanceof TokenRefused || error instanceof KeysUnavailable)) throw error;
      this.#writer.reply(errorReply.badToken(error.message));
    }
  }

  async #checkRenewal(token: string): Promise<Access> {
    const { room, access: { renew } } = this.#request;
    if (!renew) throw new TokenRefused("this server asks for no tokens");
    if (!this.#budget.address.takeTokenCheck()) {
      throw new TokenRefused("too many requests a second from your address");
    }
    const access = await renew(token);
    if (access.user !== this.user) throw new TokenRefused("the token is of another user");
    if (access.allowsRoom(room)) return access;
    throw new TokenRefused(`the token does not allow the room ${room}`);
  }
}

function toSeconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

function inFlightCost(text: string): number {
  return text.length + MESSAGE_OVERHEAD_BYTES;
}
