import { readConfig } from "../../chat/config/config.ts";
import type { ClientRates, SharedBudget } from "../../chat/limits/session_budget.ts";
import { Semaphore } from "../../chat/limits/semaphore.ts";
import { TokenBucket } from "../../chat/protocol/token_bucket.ts";

/** Rates of a client that may send as much as it likes. */
export const NO_RATES: ClientRates = readConfig({ LIMITS: "off" });

/** The budget of an address without limits. */
export const UNLIMITED_ADDRESS: SharedBudget = {
  bytes: new TokenBucket(0, 1),
  lines: new TokenBucket(0, 1),
  waitingBytes: 0,
  isTooMuchWaiting: false,
  reads: new Semaphore(4),
  takeNewRoom: () => 0,
  takeDelivery: () => 0,
  takeTokenCheck: () => true,
  chargeExcess: () => {},
  beStrict: () => {},
};
