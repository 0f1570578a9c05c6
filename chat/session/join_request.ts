import type { Access } from "../auth/access.ts";
import type { Protocol } from "../protocol/protocol.ts";
import type { NameSecret } from "../store/store.ts";

/** What a client that only listens asked for. */
export type ListenRequest = Pick<
  JoinRequest,
  "room" | "access" | "address" | "since" | "history"
>;

/** What a client asked for when it connected. */
export interface JoinRequest {
  /** The user's name. */
  readonly user: string;
  /** The room's name. */
  readonly room: string;
  /** What shows that the user's connections are of the same user, if the client gave a secret. */
  readonly secret?: NameSecret;
  /** What the name has in common with names that look like it. */
  readonly nameKeys?: readonly string[];
  /** The client's address. */
  readonly address: string;
  /** What the client may do. */
  readonly access: Access;
  /** The protocol to speak. */
  readonly protocol: Protocol;
  /** What the client gave as the id of its last message; `undefined` if it does not resume. */
  readonly since?: string;
  /** How many of the room's last messages to send first. */
  readonly history: number;
}
