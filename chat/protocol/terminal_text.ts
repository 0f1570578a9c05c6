import { nameKeys } from "./name_keys.ts";

/** A line break other than `\n`: a terminal may begin a new line at each of them. */
const OTHER_LINE_BREAK = /\r\n?|[\v\f\x85\u2028\u2029]/g;

/**
 * Each character but `\n` that a terminal may take for a command, or that changes the order in
 * which it shows others: control characters but tab, the other line breaks, bidi controls,
 * interlinear annotations. Surrogates without a partner are not here: that would be slow.
 */
const UNSAFE =
  // deno-lint-ignore no-control-regex -- they are what it looks for
  /[\0-\x08\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/g;

/** The prefixes of further lines may take as many characters as the text, and these. */
const EXTRA_PREFIX_CHARS = 8_192;

/** A character that a line shows. */
const VISIBLE = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{Default_Ignorable_Code_Point}\u2800]]/gv;

/** A line that shows more characters than this is not taken for one of the server's own. */
const MAX_SEEN_CHARS = 100;

/** The results of {@linkcode lettersOf}, which take several microseconds each. */
const LETTERS = new Map<string, readonly string[]>();
const MAX_LETTERS = 10_000;

/** What the server says of users, as {@linkcode lettersOf} has it. */
const SERVER_LINES = ["has joined the chat!", "has left the chat!"].map((line) =>
  [...line].map((char) => lettersOf(char)[0] ?? "").join("")
);

/** A shorter line cannot read like one of them: no character looks like more than two of theirs. */
const MIN_LINE_CHARS = Math.min(...SERVER_LINES.map(({ length }) => length)) / 2;

/** The start of a line that cannot read like one of them. */
const OTHER_FIRST_LETTER = /^[a-gi-z0-9]/i;

/**
 * Makes a text safe to show in a terminal.
 *
 * @returns the text; line breaks of every kind are `\n`, the ones at its end are gone, and U+FFFD
 * stands for each character that a terminal may take for a command
 *
 * @example
 * ```ts
 * import { toTerminalText } from "./terminal_text.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(toTerminalText("a\r\nb\x1b[2J\n"), "a\nb\ufffd[2J");
 * ```
 */
export function toTerminalText(text: string): string {
  return isPlain(text) ? text : toLines(text).join("\n");
}

/**
 * Formats a message for a terminal.
 *
 * @param user the sender's name
 * @param text the message's text
 * @returns one or more lines, each of which begins with `{user}: `; a line that reads like one of
 * the server's own is in quotation marks
 */
export function formatMessage(user: string, text: string): string {
  const prefix = `${toTerminalName(user)}: `;
  if (isPlain(text)) return prefix + quoteServerLine(text);
  const lines = toLines(text);
  // A short text of many lines must not become a frame that readers cannot take.
  const maxLines = 1 + Math.floor((text.length + EXTRA_PREFIX_CHARS) / prefix.length);
  if (lines.length > maxLines) lines.push(lines.splice(maxLines - 1).join(" "));
  return lines.map((line) => prefix + quoteServerLine(line)).join("\n");
}

/** Makes a user's name safe to show in a terminal: always one line. */
export function toTerminalName(user: string): string {
  return isPlain(user) ? user : makeSafe(user).replaceAll("\n", "\ufffd");
}

/** Whether a text is one line of which a terminal shows each character. */
function isPlain(text: string): boolean {
  return text.search(UNSAFE) === -1 && !text.includes("\n") && text.isWellFormed();
}

/** Makes all lines safe at once: a text may have very many of them. */
function makeSafe(text: string): string {
  return text.replace(OTHER_LINE_BREAK, "\n").replace(UNSAFE, "\ufffd").toWellFormed();
}

function toLines(text: string): string[] {
  const lines = makeSafe(text).split("\n");
  while (lines.length > 1 && lines.at(-1) === "") lines.pop();
  return lines;
}

function quoteServerLine(line: string): string {
  if (line.length < MIN_LINE_CHARS || OTHER_FIRST_LETTER.test(line)) return line;
  return SERVER_LINES.some((serverLine) => looksLike(line, serverLine)) ? `“${line}”` : line;
}

/**
 * Whether a line has the letters of another one, or letters that look like them. Whatever it has
 * that nobody sees is skipped in native code: 21,845 such characters fit into a message.
 */
function looksLike(line: string, letters: string): boolean {
  let matched = 0, seen = 0;
  for (const [char] of line.matchAll(VISIBLE)) {
    if (++seen > MAX_SEEN_CHARS) return false;
    const candidates = lettersOf(char);
    if (candidates.length === 0) continue;
    const found = candidates.find((candidate) => letters.startsWith(candidate, matched));
    if (found === undefined) return false;
    matched += found.length;
  }
  return matched === letters.length;
}

/** Returns the letters that a visible character looks like; none if it is like no letter. */
function lettersOf(char: string): readonly string[] {
  const known = LETTERS.get(char);
  if (known) return known;
  const letters = nameKeys(char).map((key) => key.replace(/[^\p{L}\p{N}]/gu, "")).filter(Boolean);
  if (LETTERS.size === MAX_LETTERS) LETTERS.clear();
  LETTERS.set(char, letters);
  return letters;
}
