import { RENEW_INTERVAL_MS } from "./instances.ts";
import type { NameClaims } from "./name_claims.ts";
import type { Subscriber } from "./subscriber.ts";

/**
 * The time between two looks at the subscriber, in milliseconds. It is asked at every fifth one at least: so a silent
 * connection is noticed within eight seconds.
 */
const LOOK_EVERY = 1_000;

/** The time between the sweeps of two rooms, in milliseconds. */
const SWEEP_EVERY = 20_000;

/**
 * Starts everything that goes on by itself: renewing the lease, looking after the next instance, sweeping, pinging. It
 * costs Redis less than one command a second, however many users there are.
 *
 * @returns a function that stops it
 */
export function startMaintenance(presence: NameClaims, subscriber: Subscriber): () => void {
  // Whatever fails here fails because Redis is away, and is tried again.
  const timers = [
    setInterval(() => presence.renew().catch(() => {}), RENEW_INTERVAL_MS),
    setInterval(() => presence.sweepNext().catch(() => {}), SWEEP_EVERY),
    setInterval(() => subscriber.look().catch(() => {}), LOOK_EVERY),
  ];
  let next: ReturnType<typeof setTimeout>;
  let stopped = false;
  async function watch(): Promise<void> {
    const lookAgainIn = await presence.watch().catch(() => 1_000);
    // A little later than the lease ends, and not in step with others.
    if (!stopped) next = setTimeout(watch, lookAgainIn + 20 + Math.random() * 80);
  }
  watch();

  return () => {
    stopped = true;
    clearTimeout(next);
    timers.forEach(clearInterval);
  };
}
