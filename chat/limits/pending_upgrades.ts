import { getLogger } from "@logtape/logtape";

const logger = getLogger(["chat", "limits"]);

/** The default limits of {@linkcode PendingUpgrades}. */
const LIMITS = {
  /** How many upgrades of one address may be pending. */
  maxPending: 20,
  /** Further ones wait until one of them ends, and are refused if none does for this time. */
  maxWaitMs: 1_000,
  /** How many upgrades of one address may leak in a minute. */
  maxLeaked: 20,
  /** How long an address that exceeds this is refused. */
  refuseSeconds: 600,
};

const MINUTE_MS = 60_000;

const LEAKS_AT_ONCE = "it reset too many connections during their upgrade, which leak in Deno";

interface Address {
  pending: number;
  readonly waiting: ((mayUpgrade: boolean) => void)[];
  stuckTimer?: ReturnType<typeof setTimeout>;
  leakedAt: number[];
  refusedUntil: number;
}

/**
 * Bounds what one address can leak. If a peer resets its connection while Deno upgrades it, Deno
 * never frees the descriptor: see docs/deno-descriptor-leak.md.
 */
export class PendingUpgrades {
  readonly #limits: typeof LIMITS;
  readonly #addresses = new Map<string, Address>();

  /** @param limits the limits that differ from the defaults */
  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** How many seconds an address is refused for; 0 if it is not. */
  secondsRefused(address: string): number {
    const until = this.#addresses.get(address)?.refusedUntil ?? 0;
    return Math.max(0, Math.ceil((until - performance.now()) / 1000));
  }

  /**
   * Waits until one more upgrade of an address may be pending.
   *
   * @returns whether it may; `true` must be followed by {@linkcode PendingUpgrades.end}
   */
  async begin(name: string): Promise<boolean> {
    const address = this.#addresses.get(name) ??
      { pending: 0, waiting: [], leakedAt: [], refusedUntil: 0 };
    this.#addresses.set(name, address);
    if (address.pending < this.#limits.maxPending) {
      address.pending++;
      return true;
    }
    return await new Promise((resolve) => {
      address.waiting.push(resolve);
      if (address.waiting.length === 1) this.#watch(address);
    });
  }

  /**
   * Ends an upgrade that was pending.
   *
   * @param hasLeaked whether its socket will never open, so that its descriptor is lost
   */
  end(name: string, hasLeaked: boolean): void {
    const address = this.#addresses.get(name)!;
    if (hasLeaked) this.#countLeaked(name, address);
    clearTimeout(address.stuckTimer);
    const next = address.waiting.shift();
    if (!next) address.pending--;
    next?.(true);
    if (address.waiting.length > 0) this.#watch(address);
    if (address.pending === 0 && address.leakedAt.length === 0) this.#addresses.delete(name);
  }

  /** Refuses those that wait, unless a pending upgrade ends in time. */
  #watch(address: Address): void {
    address.stuckTimer = setTimeout(() => {
      for (const refuse of address.waiting.splice(0)) refuse(false);
    }, this.#limits.maxWaitMs);
  }

  #countLeaked(name: string, address: Address): void {
    const now = performance.now();
    address.leakedAt = [...address.leakedAt.filter((at) => at > now - MINUTE_MS), now];
    const { maxLeaked, refuseSeconds } = this.#limits;
    // Not before the address is neither refused nor counted any more.
    Deno.unrefTimer(setTimeout(() => this.#forget(name), refuseSeconds * 1000 + MINUTE_MS));
    if (address.leakedAt.length <= maxLeaked || address.refusedUntil > now) return;
    address.refusedUntil = now + refuseSeconds * 1000;
    logger.warn`${name} is refused with 429 for ${refuseSeconds} s: ${LEAKS_AT_ONCE}`;
  }

  /** Forgets an address that has leaked nothing for a minute. */
  #forget(name: string): void {
    const address = this.#addresses.get(name);
    const hasLeaked = (address?.leakedAt.at(-1) ?? 0) > performance.now() - MINUTE_MS;
    if (address?.pending === 0 && !hasLeaked) this.#addresses.delete(name);
  }
}
