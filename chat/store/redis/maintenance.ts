import { ignoreOutage } from "./ignore_outage.ts";
import { RENEWAL_INTERVAL_MS } from "./instances.ts";
import type { Reaper } from "./reaper.ts";
import type { NameRecovery } from "./name_recovery.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Sweeper } from "./sweeper.ts";

/**
 * The time between two proofs that the subscriber hears, in milliseconds. A proof fails after two
 * seconds: so a deaf subscriber is noticed within twelve seconds.
 */
const PROOF_INTERVAL_MS = 10_000;

/** When to try again after the subscriber could not prove that it hears, in milliseconds. */
const PROOF_RETRY_DELAY_MS = 1_000;

/** When to watch the next instance again after Redis could not be reached, in milliseconds. */
const WATCH_RETRY_DELAY_MS = 1_000;

/**
 * Starts the timers of a store: they renew the lease, watch the next instance, sweep rooms, and let
 * the subscriber prove that it hears. An idle instance with a few rooms sends Redis about one
 * command a second, however many users it has.
 *
 * @returns a function that stops them
 */
export function startMaintenance(
  recovery: NameRecovery,
  reaper: Reaper,
  sweeper: Sweeper,
  subscriber: Subscriber,
): () => void {
  // Everything here fails only while Redis is unavailable, and is repeated.
  const renewal = setInterval(
    () => recovery.renewLease().catch(ignoreOutage),
    RENEWAL_INTERVAL_MS,
  );
  let isStopped = false;
  const timeouts = new Set<ReturnType<typeof setTimeout>>();
  function after(delayMs: number, next: () => void): void {
    if (isStopped) return;
    const timeout = setTimeout(() => {
      timeouts.delete(timeout);
      next();
    }, delayMs);
    timeouts.add(timeout);
  }
  async function watch(): Promise<void> {
    const delayMs = await reaper.watchNext().catch(() => WATCH_RETRY_DELAY_MS);
    // A little after the lease ends, with jitter so that instances do not watch in step.
    after(delayMs + 20 + Math.random() * 80, watch);
  }
  async function sweep(): Promise<void> {
    const startedAtMs = performance.now();
    await sweeper.sweepNext().catch(ignoreOutage);
    after(sweeper.pauseMs - (performance.now() - startedAtMs), sweep);
  }
  async function prove(): Promise<void> {
    await subscriber.prove().catch(ignoreOutage);
    after(subscriber.isHearing ? PROOF_INTERVAL_MS : PROOF_RETRY_DELAY_MS, prove);
  }
  watch();
  sweep();
  prove();

  return () => {
    isStopped = true;
    timeouts.forEach(clearTimeout);
    clearInterval(renewal);
  };
}
