/**
 * The JSON protocol, for programs: a frame holds one JSON object a line, one or more lines, in both directions.
 * `docs/protocol.md` describes every one.
 *
 * @module
 */
import * as v from "valibot";
import { errorReply } from "./errors.ts";
import type { ClientMessage, ErrorReply, Ping, Protocol } from "./protocol.ts";

const Ref = v.pipe(v.string(), v.check(isRef, "not 1 to 64 characters long"));

const FromClient = v.variant("type", [
  v.strictObject({ type: v.literal("message"), text: v.string(), ref: v.optional(Ref) }),
  v.strictObject({ type: v.literal("ping") }),
]);

/** The protocol of clients that ask for `chat.json.v1`. */
export const JSON_LINES: Protocol = {
  name: "chat.json.v1",
  echoes: true,
  encodeEvent: (_, line) => line,
  canBatch: true,
  batch,
  encodeReply: (answer) => JSON.stringify(answer),
  decode,
};

/** More lines than this in one frame would keep the server from everyone else for too long. */
const MOST_LINES = 1_000;

function decode(frame: string): (ClientMessage | Ping | ErrorReply)[] {
  if (!frame.includes("\n")) return isBlank(frame) ? [] : [readLine(frame)];
  const lines = frame.split("\n");
  if (lines.length > MOST_LINES) {
    return [
      errorReply.badMessage(`a frame has ${lines.length} lines: at most ${MOST_LINES} are read`),
    ];
  }
  return lines.filter((line) => !isBlank(line)).map(readLine);
}

function isBlank(line: string): boolean {
  return line.trim() === "";
}

/** Joins lines to frames of about this many characters, unless one line is longer. */
const JOINED_LENGTH = 64 * 1024;

function batch(lines: string[]): string[] {
  const frames: string[] = [];
  let joined: string[] = [];
  let length = 0;
  for (const line of lines) {
    if (length > 0 && length + line.length > JOINED_LENGTH) {
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

/** So much of what is wrong is said back. */
const MOST_SAID = 100;

function readLine(line: string): ClientMessage | Ping | ErrorReply {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return errorReply.badMessage(`${JSON.stringify(line.slice(0, MOST_SAID))} is not JSON`);
  }
  if (isSay(value)) return value;
  const result = v.safeParse(FromClient, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  const ref = v.safeParse(v.object({ ref: Ref }), value);
  return errorReply.badMessage(
    `${path === null ? "" : `${path}: `}${issue.message}`.slice(0, MOST_SAID),
    ref.success ? ref.output.ref : undefined,
  );
}

/** Whether the schema takes this for a message: nearly every line is one, and the schema takes its time. */
// deno-lint-ignore no-explicit-any -- the answer of JSON.parse
function isSay(value: any): value is ClientMessage {
  if (value?.type !== "message" || typeof value.text !== "string") return false;
  const { ref } = value;
  const fields = Object.keys(value).length;
  return ref === undefined ? fields === 2 : fields === 3 && typeof ref === "string" && isRef(ref);
}

function isRef(ref: string): boolean {
  return ref.isWellFormed() && /^.{1,64}$/su.test(ref);
}
