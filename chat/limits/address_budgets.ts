import { getLogger } from "@logtape/logtape";
import { BudgetMap } from "./budget_map.ts";
import { Episode } from "./episode.ts";
import { Semaphore } from "./semaphore.ts";
import { TokenBucket } from "../protocol/token_bucket.ts";

const logger = getLogger(["chat", "limits"]);

/** What one address may take; 0 for no limit. Each rate has a burst of some seconds. */
export interface AddressLimits {
  /** The most chat connections and responses that are open at once. */
  readonly maxConnectionsPerAddress: number;
  /** Chat connections a second, after five times as many at once. */
  readonly maxJoinsPerSecond: number;
  /** Other HTTP requests a second, after five times as many at once. */
  readonly maxRequestsPerSecond: number;
  /** First messages of rooms a second, after 20 times as many at once. */
  readonly maxNewRoomsPerSecond: number;
  /** Bytes a second that its clients may send, after eight times as many at once. */
  readonly maxAddressBytesPerSecond: number;
  /** Lines a second that its clients may send, after twice as many at once. */
  readonly maxAddressLinesPerSecond: number;
  /** Bytes a second that its clients may cause to be delivered, after as many at once. */
  readonly maxDeliveredBytesPerSecond: number;
}

/** Why a request is refused. */
export interface Refusal {
  /** One line for the client. */
  readonly line: string;
  /** After this time the request may succeed. */
  readonly retryAfterSeconds: number;
}

/** When a connection of an address ends is unknown, so this is a guess. */
const RETRY_CONNECTION_SECONDS = 10;

/** A client that was disconnected because it sent too much costs as much as so many joins. */
const EXCESS_JOINS = 5;

/** So many seconds' worth of bytes may wait to be read from the clients of an address. */
const MAX_WAITING_SECONDS = 4;

/** So long after a client was disconnected because it sent too much, less may wait. */
const STRICT_MS = 10_000;

/** How many pages of history are read for an address at a time. */
const MAX_READS = 4;

/**
 * What each client in a room costs when somebody joins there: a line for that and one for the end,
 * as {@linkcode SessionBudget} counts them.
 */
const JOIN_BYTES = 1_200;

/** The budgets of all addresses, on this instance. */
export class AddressBudgets {
  readonly #limits: AddressLimits;
  readonly #now: () => number;
  readonly #budgets = new BudgetMap<AddressBudget>();
  #lastRefused = "";
  readonly #refusals = new Episode((count) => {
    const last = `the last one from ${this.#lastRefused}`;
    logger
      .info`No address exceeded a limit in the last 10 s; ${count} requests did before, ${last}`;
  });

  /** @param now a monotonic clock, in milliseconds */
  constructor(limits: AddressLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many addresses are known. */
  get size(): number {
    return this.#budgets.size;
  }

  /** Returns the budget of an address. It is forgotten when it is as new. */
  of(address: string): AddressBudget {
    return this.#budgets.of(address, () =>
      new AddressBudget(
        ...[address, this.#limits, this.#now] as const,
        (limit) => this.#onRefused(address, limit),
      ));
  }

  #onRefused(address: string, limit: string): void {
    this.#lastRefused = address;
    if (this.#refusals.record()) {
      logger.warn`${address} exceeds ${limit}: the server refuses the rest`;
    }
  }
}

/** What the clients of one address may take together. It outlives their sessions. */
export class AddressBudget {
  /** The address as text. */
  readonly name: string;
  /** The bytes that they may send. */
  readonly bytes: TokenBucket;
  /** The lines that they may send. */
  readonly lines: TokenBucket;
  /** The bytes that wait to be read from them. */
  waitingBytes = 0;
  /** The reads of history that are made for them at a time. */
  readonly reads: Semaphore = new Semaphore(MAX_READS);
  readonly #maxOpen: number;
  readonly #maxWaitingBytes: number;
  readonly #joins: TokenBucket;
  readonly #requests: TokenBucket;
  readonly #newRooms: TokenBucket;
  readonly #bodyBytes: TokenBucket;
  readonly #deliveredBytes: TokenBucket;
  readonly #now: () => number;
  readonly #onRefused: (limit: string) => void;
  #openCount = 0;
  #strictUntilMs = -Infinity;

  /**
   * @param now a monotonic clock, in milliseconds
   * @param onRefused called with the name of the limit that is exceeded
   */
  constructor(
    name: string,
    limits: AddressLimits,
    now: () => number,
    onRefused: (limit: string) => void,
  ) {
    this.name = name;
    this.#maxOpen = limits.maxConnectionsPerAddress || Infinity;
    this.#joins = new TokenBucket(limits.maxJoinsPerSecond, 5);
    this.#requests = new TokenBucket(limits.maxRequestsPerSecond, 5);
    this.#newRooms = new TokenBucket(limits.maxNewRoomsPerSecond, 20);
    this.#deliveredBytes = new TokenBucket(limits.maxDeliveredBytesPerSecond, 1);
    this.bytes = new TokenBucket(limits.maxAddressBytesPerSecond, 8);
    this.#bodyBytes = new TokenBucket(limits.maxAddressBytesPerSecond, 8);
    this.lines = new TokenBucket(limits.maxAddressLinesPerSecond, 2);
    this.#maxWaitingBytes = MAX_WAITING_SECONDS * limits.maxAddressBytesPerSecond || Infinity;
    this.#now = now;
    this.#onRefused = onRefused;
  }

  /** Whether nothing is open, and all that was taken has come back. */
  isUnused(): boolean {
    const now = this.#now();
    return this.#openCount === 0 && [
      ...[this.#joins, this.#requests, this.#newRooms],
      ...[this.#deliveredBytes, this.bytes, this.#bodyBytes, this.lines],
    ].every((bucket) => bucket.msUntil(bucket.burst, now) === 0);
  }

  /**
   * Charges a request.
   *
   * @returns why it is refused; `undefined` if it is not
   */
  admit(kind: "join" | "request"): Refusal | undefined {
    const bucket = kind === "join" ? this.#joins : this.#requests;
    if (this.#openCount >= this.#maxOpen) {
      this.#onRefused("MAX_CONNECTIONS_PER_ADDRESS");
      const line = "too many connections are open from your address";
      return { line, retryAfterSeconds: RETRY_CONNECTION_SECONDS };
    }
    if (bucket.take(1, this.#now())) return undefined;
    this.#onRefused(`MAX_${kind.toUpperCase()}S_PER_SECOND`);
    return refuseRate(kind, bucket.msUntil(1, this.#now()));
  }

  /**
   * Charges a join that was admitted, and has waited, for what its room is told.
   *
   * @param receivers how many sessions of this instance the room has
   * @returns why the join is refused; `undefined` if it is not
   */
  admitTo(receivers: number): Refusal | undefined {
    const now = this.#now();
    // A client of the address may have been disconnected since the request came.
    if (this.#joins.msUntil(0, now) > 0) {
      this.#onRefused("MAX_JOINS_PER_SECOND");
      return refuseRate("join", this.#joins.msUntil(1, now));
    }
    const waitMs = this.takeDelivery(JOIN_BYTES * receivers, now);
    return waitMs > 0 ? refuseRate("join", waitMs) : undefined;
  }

  /**
   * Tells why a join would be refused; `undefined` if it would not be. Charges nothing. A request
   * that has been admitted has shown that not too many connections are open.
   *
   * @param receivers how many sessions of this instance the room has
   */
  refusalOfJoin(receivers: number): Refusal | undefined {
    const now = this.#now();
    const waitMs = Math.max(
      this.#joins.msUntil(1, now),
      this.#deliveredBytes.msUntil(JOIN_BYTES * receivers, now),
    );
    return waitMs > 0 ? refuseRate("join", waitMs) : undefined;
  }

  /** Counts a response as open until a promise settles. */
  countUntil(end: Promise<unknown>): void {
    this.addOpen(1);
    const close = () => this.addOpen(-1);
    end.then(close, close);
  }

  /** Counts more connections as open, or, if negative, fewer. */
  addOpen(count: number): void {
    this.#openCount += count;
  }

  /**
   * Takes the first message of a room from what the address may send.
   *
   * @returns 0 if it was taken, else in how many milliseconds it can be
   */
  takeNewRoom(): number {
    const now = this.#now();
    if (this.#newRooms.take(1, now)) return 0;
    this.#onRefused("MAX_NEW_ROOMS_PER_SECOND");
    return this.#newRooms.msUntil(1, now);
  }

  /**
   * Takes what the delivery of a message costs from what the address may cause.
   *
   * @param nowMs the monotonic clock, in milliseconds
   * @returns 0 if it was taken, else in how many milliseconds it can be
   */
  takeDelivery(bytes: number, nowMs: number): number {
    const bucket = this.#deliveredBytes;
    if (bucket.take(bytes, nowMs)) return 0;
    this.#onRefused("MAX_DELIVERED_BYTES_PER_SECOND");
    return Math.max(bucket.msUntil(bytes, nowMs), bucket.msUntil(bucket.burst / 2, nowMs));
  }

  /**
   * Takes a piece of a request's body, before it is known whether the body is worth anything.
   *
   * @returns 0 if it was taken, else in how many milliseconds the request can be made again
   */
  takeBody(bytes: number): number {
    const now = this.#now();
    const bucket = this.#bodyBytes;
    if (bucket.msUntil(1, now) === 0) {
      bucket.charge(bytes, now);
      return 0;
    }
    this.#onRefused("MAX_ADDRESS_BYTES_PER_SECOND");
    return bucket.msUntil(bucket.burst / 2, now);
  }

  /** Takes the check of a later token, which costs as much as a request; returns whether it may. */
  takeTokenCheck(): boolean {
    const isTaken = this.#requests.take(1, this.#now());
    if (!isTaken) this.#onRefused("MAX_REQUESTS_PER_SECOND");
    return isTaken;
  }

  /**
   * Charges a client that was disconnected because it sent too much: it may come back later.
   *
   * @param times how much it was; 1 by default
   */
  chargeExcess(times = 1): void {
    this.#joins.charge(times * EXCESS_JOINS, this.#now());
  }

  /** Lets less wait for some seconds. Those whom this disconnects do not prolong it. */
  beStrict(): void {
    const now = this.#now();
    if (now >= this.#strictUntilMs) this.#strictUntilMs = now + STRICT_MS;
  }

  /**
   * Whether each client may only have its fair part waiting. After too much has waited of one, the
   * next one would else take its place: of 100 clients, the server read 26,000 frames.
   */
  get isTooMuchWaiting(): boolean {
    return this.waitingBytes > this.#maxWaitingBytes ||
      this.#maxWaitingBytes < Infinity && this.#now() < this.#strictUntilMs;
  }
}

function refuseRate(kind: "join" | "request", waitMs: number): Refusal {
  const line = `too many ${kind}s a second from your address`;
  return { line, retryAfterSeconds: Math.ceil(waitMs / 1000) };
}
