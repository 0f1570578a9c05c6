/**
 * The JSON protocol, for programs: a frame has one or more lines, each of them one JSON object, in
 * both directions. `docs/protocol.md` describes all of them.
 *
 * @module
 */
import * as v from "valibot";
import { errorReply } from "./errors.ts";
import type { FromClient } from "./from_client.ts";
import { FromClientSchema, isClientMessage, Ref } from "./from_client_schema.ts";
import { hasFewFields } from "./json_shape.ts";
import type { BadLine, Decoded, Protocol } from "./protocol.ts";

/** The protocol of clients that ask for `chat.json.v1`. */
export const JSON_LINES: Protocol = {
  name: "chat.json.v1",
  echoes: true,
  canBatch: true,
  encodeEvent: (_, line) => line,
  encodeReply: (reply) => JSON.stringify(reply),
  batch,
  decode,
};

/** What can be read of a line that is no valid message. */
const ValidRef = v.fallback(v.optional(Ref), undefined);
const Refs = v.fallback(v.object({ ref: ValidRef, after: ValidRef }), {});

/** A batched frame ends after about this many characters, unless a single line is longer. */
const BATCHED_FRAME_CHARS = 64 * 1024;

/** The shortest line that is published. */
const EXAMPLE = '{"type":"message","text":"hi"}';

/** How much of an issue an error tells. */
const MAX_ISSUE_CHARS = 100;

function batch(lines: string[]): string[] {
  const frames: string[] = [];
  let joined: string[] = [];
  let length = 0;
  for (const line of lines) {
    if (length > 0 && length + line.length > BATCHED_FRAME_CHARS) {
      frames.push(joined.join("\n"));
      joined = [];
      length = 0;
    }
    joined.push(line);
    length += line.length + 1;
  }
  if (joined.length > 0) frames.push(joined.join("\n"));
  return frames;
}

function decode(line: string): Decoded | undefined {
  if (line.trim() === "") return;
  if (!hasFewFields(line)) return errorReply.badMessage("the line has too many fields");
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    // The line may have a token in it, so nothing of it is quoted.
    const [place] =
      / at position \d+(?= \(line \d+ column \d+\)$)/.exec((error as Error).message) ?? [""];
    return errorReply.badMessage(`the line is not JSON${place}: send lines such as ${EXAMPLE}`);
  }
  return validate(value);
}

/** Checks a value that was given as JSON. */
export function validate(value: unknown): FromClient | BadLine {
  if (isClientMessage(value)) return value;
  const result = v.safeParse(FromClientSchema, value);
  return result.success ? result.output : explain(result.issues[0], value);
}

function explain(issue: v.BaseIssue<unknown>, value: unknown): BadLine {
  const path = v.getDotPath(issue);
  const words = path === null ? issue.message : `${path}: ${describe(issue)}`;
  const { ref, after } = v.parse(Refs, value);
  return { ...errorReply.badMessage(words.slice(0, MAX_ISSUE_CHARS), ref), after };
}

function describe({ type, expected, received, message }: v.BaseIssue<unknown>): string {
  // The schema has variants by `type` alone. A list of all types would be too long.
  if (type === "variant") {
    const problem = received === "undefined" ? "this field is missing" : "there is no such type";
    return `${problem}: send lines such as ${EXAMPLE}`;
  }
  if (type !== "strict_object") return message;
  return expected === "never" ? "there is no such field here" : "this field is missing";
}
