import unhomoglyph from "unhomoglyph";
import { BadRequest } from "./bad_request.ts";
import { quote } from "./names.ts";

/** An emoji, which may be joined of several. */
const PICTURE = String.raw`\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\ufe0f)?`;
const EMOJI = new RegExp(
  String.raw`\p{RGI_Emoji_Tag_Sequence}|${PICTURE}(?:\u200d${PICTURE})*`,
  "gv",
);

/** The letters of the scripts in which letters join. */
const JOINING = String.raw`[${scriptClass("Adlm Arab Mong Nkoo Phag Rohg Syrc")}&&\p{L}]`;

/** Letters of Arabic and Syriac that do not join the next one. */
const NOT_JOINING_NEXT = String.raw`[\u0621-\u0625\u0627\u0629\u062f-\u0632\u0648\u0671-\u0677` +
  String.raw`\u0688-\u0699\u06c0\u06c3-\u06cb\u06cd\u06cf\u06d2-\u06d5\u06e5\u06e6\u06ee\u06ef` +
  String.raw`\u0710\u0715-\u0719\u071e\u0728\u072a\u072c\u072f\u074d\u0759-\u075b\u076b\u076c` +
  String.raw`\u0771\u0773\u0774\u0778\u0779\u0870-\u0882\u0887\u088e\u08aa-\u08ae\u08b1\u08b2` +
  String.raw`\u08b9\u08c9]`;

/** A non-joiner between two letters that would join: RFC 5892, A.1. */
const NON_JOINER = new RegExp(
  String.raw`(?<=[${JOINING}--${NOT_JOINING_NEXT}]\p{M}*)\u200c(?=\p{M}*${JOINING})`,
  "gv",
);

/** What no name has, and why. */
const RULES: readonly [refused: RegExp, reason: string][] = [
  [
    /[\u200c\u200d]/u,
    "joiners are allowed only where the script has them, and inside an emoji",
  ],
  [
    /[[\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Default_Ignorable_Code_Point}\u2800]--\p{VS}]/v,
    "characters that are invisible, private or unassigned are not allowed",
  ],
  [/(?<=^|\s)\p{M}/u, "a combining mark needs a letter before it"],
  [/(?<=\p{M}{4})\p{M}/u, "at most four combining marks in a row are allowed"],
];

/** The mixes of scripts that languages use, and the scripts of today that they do not contain. */
const SCRIPTS = [
  ...["Latn Hani Hira Kana", "Latn Hani Bopo", "Latn Hani Hang"],
  ...("Adlm Arab Armn Bali Bamu Batk Beng Cakm Cans Cham Cher Copt Cyrl Deva Ethi Geor Grek Gujr " +
    "Guru Hebr Hmnp Java Kali Khmr Knda Lana Laoo Lepc Limb Lisu Mand Mlym Mong Mtei Mymr Newa " +
    "Nkoo Olck Orya Osge Phag Plrd Rohg Saur Sinh Sund Sylo Syrc Tale Talu Taml Tavt Telu Tfng " +
    "Thaa Thai Tibt Vaii Wcho Yiii").split(" "),
];

/** Each matches the start of a name as far as it is of one script, or of one of the mixes. */
const STARTS = SCRIPTS
  .map((scripts) => new RegExp(`^${scriptClass(`${scripts} Zyyy Zinh`)}*`, "v"))
  // Scripts of the past count as one.
  .concat(new RegExp(`^${scriptClass(SCRIPTS.join(" ")).replace("[", "[^")}*`, "v"));

/** Letters and marks that names need, although some look like `:` or `/`: `ノ`, the visarga. */
const NEEDED = /[\p{Lo}\p{M}\p{scx=Lisu}]/u;

/**
 * Checks that a user's name can be read, and that it is not made to look like something else: it is
 * of one script, or of a usual mix (UTS #39, Highly Restrictive). Emoji, digits and punctuation
 * belong to every script.
 *
 * @param user a name as `parseUser` returns it
 * @throws {BadRequest} if it is anything else; the message has the first wrong character as `U+HEX`
 *
 * @example
 * ```ts
 * import { checkName } from "./name_rules.ts";
 * import { assertThrows } from "@std/assert";
 *
 * checkName("Zoë 😀");
 * assertThrows(() => checkName("\u0430dmin"), Error, "has U+0064: "); // a Cyrillic a
 * ```
 */
export function checkName(user: string): void {
  if (/^[ -~]*$/.test(user)) return;
  const name = user.replaceAll(EMOJI, "😀").replaceAll(NON_JOINER, "")
    .replaceAll(/(\p{M})[\u200c\u200d]/gu, (all, mark) => isVirama(mark) ? mark : all);
  for (const [refused, reason] of RULES) {
    const found = refused.exec(name);
    if (found) refuse(user, found[0], reason);
  }
  for (const { index, 0: character } of name.matchAll(/./gu)) {
    const sign = separatorLike(character);
    if (!sign) continue;
    const isNeeded = NEEDED.test(character);
    if (!isNeeded || sign === ":" && /\s/.test(name[index + character.length])) {
      refuse(user, character, `it looks like "${sign}"`);
    }
  }
  const end = Math.max(...STARTS.map((start) => start.exec(name)![0].length));
  if (end < name.length) {
    refuse(
      user,
      String.fromCodePoint(name.codePointAt(end)!),
      "letters of one script are allowed, or Latin ones with Japanese, Chinese or Korean",
    );
  }
}

function refuse(user: string, character: string, reason: string): never {
  const hex = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  throw new BadRequest(`the user name ${quote(user)} has U+${hex}: ${reason}`);
}

/** Returns which of the characters that no name may have another one looks like. */
function separatorLike(character: string): string | undefined {
  const compatible = character.normalize("NFKC");
  return /[:/]/.exec(compatible)?.[0] ?? /^[:/]/.exec(unhomoglyph(compatible))?.[0];
}

/**
 * Tells whether a mark has the combining class 9, which only normalization shows: it comes after
 * one of class 8 and before one of class 10.
 */
function isVirama(mark: string): boolean {
  const [before, after] = ["\u3099", "\u05b0"];
  return mark !== before && mark !== after &&
    (mark + before).normalize("NFD") === before + mark &&
    (after + mark).normalize("NFD") === mark + after;
}

/** A class of the characters that belong to at least one of these scripts. */
function scriptClass(scripts: string): string {
  return `[${scripts.split(" ").map((script) => String.raw`\p{scx=${script}}`).join("")}]`;
}
