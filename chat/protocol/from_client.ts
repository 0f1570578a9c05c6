/**
 * What a client sends in the JSON protocol. The text protocol has messages alone.
 *
 * @module
 */
/** A client publishes a message in its room. */
export interface ClientMessage {
  /** Always `"message"`. */
  readonly type: "message";
  /** The text. */
  readonly text: string;
  /**
   * The client's own name for the message. It asks for an ack, and makes sending the message again
   * safe.
   */
  readonly ref?: string;
  /**
   * The `ref` of the message that the client sent before this one and has no answer to yet. The
   * server takes this one only if it has taken that one.
   */
  readonly after?: string;
}

/** A client asks whether the server is still there. */
export interface Ping {
  /** Always `"ping"`. */
  readonly type: "ping";
}

/** A client tells the room that its user is typing. */
export interface ClientTyping {
  /** Always `"typing"`. */
  readonly type: "typing";
}

/** A client asks the server to free its name, and to close the connection then. */
export interface Leave {
  /** Always `"leave"`. */
  readonly type: "leave";
}

/** A client shows a later token of its user, so that its session goes on. */
export interface ClientToken {
  /** Always `"token"`. */
  readonly type: "token";
  /** The token, a JWT. */
  readonly token: string;
}

/** What a moderator does. The sender of a message can remove it too. */
export type Moderation =
  & {
    /** The client's own name for it. It asks for an answer. */
    readonly ref?: string;
  }
  & ({
    /** Takes the text of a message away. */
    readonly type: "remove";
    /** The id of the message. */
    readonly id: string;
  } | {
    /** Closes all connections of a user in the room. */
    readonly type: "kick";
    /** The user's name. */
    readonly user: string;
  } | {
    /** Does the same, and lets the user not join again. */
    readonly type: "ban";
    /** The user's name. */
    readonly user: string;
    /** For how long, in seconds; 0 lifts the ban. */
    readonly seconds: number;
    /** Whether to ban the addresses of the user's connections too; by default not. */
    readonly address?: boolean;
  } | {
    /** Lets the user publish no messages. */
    readonly type: "mute";
    /** The user's name. */
    readonly user: string;
    /** For how long, in seconds; 0 lifts it. */
    readonly seconds: number;
  });

/** What a line of a client can be. */
export type FromClient = ClientMessage | ClientTyping | Ping | Leave | ClientToken | Moderation;
