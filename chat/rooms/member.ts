import type { Access } from "../auth/access.ts";
import type { Banned, Kicked } from "../protocol/events.ts";
import type { Encoding, Protocol } from "../protocol/protocol.ts";
import type { NameLoss, NameSecret } from "../store/store.ts";

/** Where a room is when somebody begins to receive its events. */
export interface Position {
  /** The id of the last message before. */
  readonly last: string;
  /** Whether messages may be missing after that one, as the room was told. */
  readonly hasGap: boolean;
}

/** Whoever receives the events of a room. */
export interface Receiver {
  /** What the client may do. */
  readonly access: Access;
  /** How events are encoded for it. */
  readonly protocol: Encoding;
  /** Sends one frame of the room's events to the client. */
  deliver(frame: string): void;
  /** Called when the user was kicked or banned. Must end, unless the user is a moderator. */
  onExpelled(event: Kicked | Banned): void;
}

/** What a room needs to know of a session. */
export interface Member extends Receiver {
  /** The user's name. */
  readonly user: string;
  /** The id of the session. A name can pass to another session; an id cannot. */
  readonly id: string;
  /** Shows which other sessions are of the same device; `undefined` if it has no secret. */
  readonly secret?: NameSecret;
  /** How many sessions of the user may be in the room at once. */
  readonly maxDevices: number;
  /** What the name has in common with names that look like it: see {@linkcode Store.claim}. */
  readonly nameKeys?: readonly string[];
  /** The client's address. */
  readonly address: string;
  /** The protocol that the client speaks. */
  readonly protocol: Protocol;
  /**
   * Called once, when the room receives the event by which this member joins. From here on the room
   * delivers every event to the member.
   *
   * @param position where the room is now
   * @param users how many users are in the room now
   */
  onJoined(position: Position, users: number): void;
  /** Called when another session has the name. This session must end. */
  onNameLost(loss: NameLoss): void;
}
