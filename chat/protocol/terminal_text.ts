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
const VISIBLE = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v;

/** A line that shows more characters than this is not taken for one of the server's own. */
const MAX_SEEN_CHARS = 100;

/** What the server says of users, as {@linkcode lettersOf} has it. */
const SERVER_LINES = ["has joined the chat!", "has left the chat!"].map((line) =>
  [...line].map((char) => lettersOf(char)[0] ?? "").join("")
);

/** What a character can be to {@linkcode readLetters}. */
const UNSEEN = 1, NO_LETTER = 2, OTHER_LETTER = 3, ALIKE = 4;

/** What each code point is; 0 before it is known, because to find out takes microseconds. */
const KINDS = new Uint8Array(0x110000);

/** What those look like that are alike. */
const LETTERS = new Map<number, readonly string[]>();

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
  const letters = readLetters(line);
  return SERVER_LINES.some((serverLine) => canSpell(letters, serverLine)) ? `“${line}”` : line;
}

/**
 * Reads the letters of a line: what each of them looks like. There are none if the line cannot read
 * like one of the server's own.
 */
function readLetters(line: string): readonly (readonly string[])[] {
  const letters: (readonly string[])[] = [];
  let seen = 0;
  for (let i = 0; i < line.length; i++) {
    const code = line.codePointAt(i)!;
    if (code > 0xffff) i++;
    const kind = KINDS[code] ||= kindOf(code);
    if (kind === UNSEEN) continue;
    if (kind === OTHER_LETTER || ++seen > MAX_SEEN_CHARS) return [];
    if (kind === ALIKE) letters.push(LETTERS.get(code)!);
  }
  return letters;
}

/** Whether letters, each of which looks like one of several, can be those of a line. */
function canSpell(letters: readonly (readonly string[])[], line: string): boolean {
  let matched = 0;
  for (const candidates of letters) {
    const found = candidates.find((candidate) => line.startsWith(candidate, matched));
    if (found === undefined) return false;
    matched += found.length;
  }
  return matched === line.length;
}

function kindOf(code: number): number {
  const char = String.fromCodePoint(code);
  if (!VISIBLE.test(char)) return UNSEEN;
  const letters = lettersOf(char);
  if (letters.length === 0) return NO_LETTER;
  const alike = letters.filter((letter) => SERVER_LINES.some((line) => line.includes(letter)));
  if (alike.length === 0) return OTHER_LETTER;
  LETTERS.set(code, alike);
  return ALIKE;
}

/** Returns the letters that a visible character looks like; none if it is like no letter. */
function lettersOf(char: string): readonly string[] {
  return nameKeys(char).map((key) => key.replace(/[^\p{L}\p{N}]/gu, "")).filter(Boolean);
}
