/** What one client of a simulation sent and received, in order: what the checker knows. */
export interface Transcript {
  readonly user: string;
  readonly kind: ClientKind;
  readonly entries: Entry[];
}

/**
 * A JSON client that compares each `prev` with its position, one that trusts `recovered` and
 * `resync`, and one of the text protocol.
 */
export type ClientKind = "comparing" | "trusting" | "text";

/** One line of a transcript, with its time: a `performance.now()`. */
export type Entry =
  & { readonly at: number }
  & (
    | { readonly type: "opened"; readonly instance: number; readonly since?: string }
    | { readonly type: "closed"; readonly code: number }
    | {
      readonly type: "sent";
      readonly text: string;
      readonly ref?: string;
      readonly after?: string;
    }
    /** The client will not send the message again: it was refused, and was never in doubt. */
    | { readonly type: "gaveUp"; readonly text: string }
    // deno-lint-ignore no-explicit-any -- what a server sends is checked, not trusted
    | { readonly type: "received"; readonly event: any }
    | { readonly type: "receivedText"; readonly line: string }
  );

/** A message that Redis appended to the log, as an observer of Redis saw it. */
export interface Appended {
  readonly id: string;
  readonly prev: string;
  readonly user: string;
  readonly text: string;
  /** When it was seen: a `performance.now()`. */
  readonly at: number;
  /** Its place among all messages of the simulation. */
  readonly index: number;
  /** The messages before it in its log, without those that had been lost from the log's end. */
  readonly before: readonly Appended[];
}

/** What happened in Redis. */
export interface History {
  /** Every message that was ever appended, in order. */
  readonly appended: readonly Appended[];
  /** What the log should have at the end, except for what was trimmed at its head. */
  readonly final: readonly Appended[];
  /** The ids of the simulation's messages that the log has at the end. */
  readonly finalIds: readonly string[];
  /** Messages that Redis lost, and may have got back from a snapshot or a former primary. */
  readonly lost: ReadonlySet<Appended>;
  /** Since when messages may seem to be missing: a `performance.now()`, or `Infinity`. */
  readonly lossAt: number;
  /** What was wrong with the log itself. */
  readonly violations: readonly string[];
}

/** Marks a message of the simulation. Whoever forges a message gives it another text. */
export const REAL = /^real (\S+) (ref|plain) (\d+)\b/;

/** Returns the parts of a real message's text: its number counts what its user sent that way. */
export function parseText(text: string): { user: string; way: string; n: number } | undefined {
  const match = REAL.exec(text);
  return match ? { user: match[1], way: match[2], n: Number(match[3]) } : undefined;
}
