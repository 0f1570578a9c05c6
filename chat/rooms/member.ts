import type { Protocol } from "../protocol/protocol.ts";

/** What a room needs of a session. */
export interface Member {
  /** The name of the user. */
  readonly user: string;
  /** Names this connection, whoever else has the name before or after it. */
  readonly id: string;
  /** How it speaks with its client. */
  readonly protocol: Protocol;
  /**
   * Called once, when the room has heard that this member joined: from here on it hears what happens.
   *
   * @param last the id of the last message before
   * @param users how many are in the room now
   */
  onJoined(last: string, users: number): void;
  /** Gives the client one frame of what happens in the room. */
  deliver(frame: string): void;
  /** Called when someone else got the name in an outage: this session has to go. */
  onNameLost(): void;
}
