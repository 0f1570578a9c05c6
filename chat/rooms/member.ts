import type { Protocol } from "../protocol/protocol.ts";

/** What a room needs to know of a session. */
export interface Member {
  /** The user's name. */
  readonly user: string;
  /** The id of the session. A name can pass to another session; an id cannot. */
  readonly id: string;
  /** The protocol that the client speaks. */
  readonly protocol: Protocol;
  /**
   * Called once, when the room receives this member's `joined` event. From here on the room
   * delivers every event to the member.
   *
   * @param last the id of the last message before
   * @param users how many users are in the room now
   */
  onJoined(last: string, users: number): void;
  /** Sends one frame of the room's events to the client. */
  deliver(frame: string): void;
  /** Called when another session took the name during an outage. This session must end. */
  onNameLost(): void;
}
