import { getLogger } from "@logtape/logtape";
import type { Access } from "../auth/access.ts";
import type { Moderation } from "../protocol/from_client.ts";
import type { Store } from "../store/store.ts";

const logger = getLogger(["chat", "moderation"]);

/**
 * Does what a moderator asks for in a room, or the sender of a message that is to be removed. If it
 * is done already, nothing happens.
 *
 * @param access what the client may do
 * @returns whether it was done: not against another moderator, nor if too many users are banned or
 * muted already
 * @throws {StoreUnavailable} or {@linkcode StoreOutcomeUnknown} if the store does not answer
 */
export async function moderate(
  store: Store,
  room: string,
  { user: by, canModerate, expiresAtMs }: Access,
  action: Moderation,
): Promise<boolean> {
  const { moderation } = store;
  if (by === undefined || !canModerate && action.type !== "remove") return false;
  if (canModerate) await moderation.noteModerator(room, by, expiresAtMs);
  if (action.type === "remove") {
    if (!await store.remove(room, action.id, by, canModerate)) return false;
    // Senders may ask for what was never there, as often as they like.
    if (canModerate) logger.info`Room ${room}: ${by} has removed the message ${action.id}`;
    return true;
  }
  const { user } = action;
  const isLifted = action.type !== "kick" && action.seconds === 0;
  if (!isLifted && await moderation.isModerator(room, user)) return false;
  switch (action.type) {
    case "kick":
      // Nobody knows where the user listens without being in the room.
      await store.publishUnlogged(room, { type: "kicked", user, by });
      logger.info`Room ${room}: ${by} has kicked ${user}`;
      return true;
    case "ban":
      if (!await moderation.restrict("banned", room, user, by, action.seconds, action.address)) {
        return false;
      }
      logger.info`Room ${room}: ${by} has banned ${user} for ${action.seconds} s`;
      return true;
    case "mute":
      if (!await moderation.restrict("muted", room, user, by, action.seconds)) return false;
      logger.info`Room ${room}: ${by} has muted ${user} for ${action.seconds} s`;
      return true;
    default:
      return action satisfies never;
  }
}
