/**
 * What the errors of a connection to Redis mean, and its error replies.
 *
 * @module
 */
import { StoreOutcomeUnknown, StoreUnavailable } from "../store.ts";

/** What a command is told that cannot be sent. */
export const CONNECTION_DOWN = "the Redis connection is down";

/** Error replies after which another attempt to connect may succeed. */
const TRANSIENT_ERROR = /^(LOADING|BUSY|MASTERDOWN|TRYAGAIN|READONLY)/;

/**
 * Error replies of a server that is of no use for any command. Its host name may already lead to
 * another one, such as the new primary after a failover.
 */
export const UNUSABLE_SERVER = /\b(READONLY|LOADING|MASTERDOWN|MOVED|CLUSTERDOWN)\b/;

/** Error replies that tell of a key of another type, or of a log without further ids. */
export const USELESS_KEY = /WRONGTYPE|exhausted/;

/** Whether Redis itself has replied with an error. */
export function isReply(error: unknown): error is Error & { name: "ReplyError" } {
  return (error as Error | undefined)?.name === "ReplyError";
}

/** Whether an error says why a server refuses a client, or that none can be reached. */
export function isExplained(error: Error): boolean {
  const { syscall } = error as { syscall?: string };
  return isReply(error) || error instanceof StoreUnavailable ||
    syscall === "connect" || syscall === "getaddrinfo";
}

/** Whether no other attempt to connect would succeed. */
export function isFinal(error: Error): boolean {
  if (isReply(error.cause)) return isFinal(error.cause);
  return isReply(error) ? !TRANSIENT_ERROR.test(error.message) : error instanceof StoreUnavailable;
}

/**
 * One line, the same for the same cause. An `AggregateError`, as for a host name with several
 * addresses, has no message of its own.
 */
export function describe(error: Error): string {
  const message = error instanceof AggregateError
    ? error.errors.map(String).join(", ")
    : error.message;
  return cleanWords(message).replace(/^Unknown RESP type.*/, "it is no Redis");
}

/**
 * An error reply, and a command that was never written, did not take effect. All else is unknown.
 */
export function toStoreError(error: unknown): StoreUnavailable | StoreOutcomeUnknown {
  const message = describe(error as Error);
  if (message.startsWith("Stream isn't writeable")) return new StoreUnavailable(CONNECTION_DOWN);
  // A script could not undo what it had done.
  const isInDoubt = /\bINDOUBT\b/.test((error as Error).message);
  return isReply(error) && !isInDoubt
    ? new StoreUnavailable(message, { cause: error })
    : new StoreOutcomeUnknown(message, { cause: error });
}

/** Makes one line of what Redis says, the same in each script. */
export function cleanWords(message: string): string {
  return message.replace(/\s+/g, " ").trim()
    // The place in a script comes first in Redis 6, and last in Redis 7.
    .replace(/^.*@user_script: ?\d+: -?/, "")
    .replace(/ script: \w+, on @user_script.*/, "")
    // What follows may contain a user's text.
    .replace(/,? with args beginning with.*/, "");
}
