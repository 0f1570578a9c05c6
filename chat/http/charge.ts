import { BudgetMap } from "../limits/budget_map.ts";
import { countExcess } from "../limits/excess.ts";
import { type ClientRates, SessionBudget } from "../limits/session_budget.ts";
import type { Hub } from "../rooms/hub.ts";
import { refuseTooMany } from "./responses.ts";
import type { RoomRequest } from "./route.ts";

/**
 * Charges what a client does in a room: a user of an address may do as much over HTTP as over one
 * connection.
 *
 * @param bytes how long the body is; a UTF-16 code unit counts as one, as on a connection
 * @param isRemoval whether it removes a message
 * @throws {Refused} with 429 if it is too much
 */
export type Charge = (request: RoomRequest, bytes: number, isRemoval?: boolean) => void;

/**
 * Makes what charges clients.
 *
 * @param rates what a session may take
 */
export function makeCharge(hub: Hub, rates: ClientRates): Charge {
  const budgets = new BudgetMap<SessionBudget>();
  return ({ room, access: { user }, client }, bytes, isRemoval) => {
    const budget = budgets.of(`${client.name} ${user}`, () => new SessionBudget(rates, client));
    const waitMs = budget.takeLine(bytes) ||
      budget.takeMessage(false, hub.countReceivers(room), isRemoval)?.retryAfterMs;
    if (!waitMs) return;
    countExcess(user ?? client.name, room);
    throw refuseTooMany(waitMs);
  };
}
