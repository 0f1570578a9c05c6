import unhomoglyph from "unhomoglyph";

/** What a key has none of: white space, and what shows nothing. */
const UNSEEN = /[\s\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** Latin small capitals, which Unicode does not say to look like letters, and these letters. */
const SMALL_CAPITALS = "ᴀʙᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴘʀᴛʏ";
const SMALL_CAPITAL = new RegExp(`[${SMALL_CAPITALS}]`, "g");
const LETTERS = "abdefghijklmnprty";

/**
 * Makes the keys of a user's name. Two names that look alike, or differ only in case, have a key in
 * common.
 *
 * @param user a name that `checkName` does not refuse
 * @returns one or two keys without white space; two for a name such as Cyrillic `ТОМ`, which
 * looks like Latin `TOM` and means `том`
 *
 * @example
 * ```ts
 * import { nameKeys } from "./name_keys.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nameKeys("PaypaI"), nameKeys("paypal"));
 * ```
 */
export function nameKeys(user: string): readonly string[] {
  const plain = user.replaceAll(SMALL_CAPITAL, (c) => LETTERS[SMALL_CAPITALS.indexOf(c)])
    .normalize("NFKC");
  const byMeaning = likeness(likeness(plain));
  // In lower case, letters no longer look like what they look like in upper case.
  const byLook = likeness(likeness(unhomoglyph(plain.normalize("NFD"))));
  return byLook === byMeaning ? [byLook] : [byMeaning, byLook];
}

/** The skeleton of a name without case: see https://www.unicode.org/reports/tr39/ */
function likeness(name: string): string {
  // Upper case first, because that folds `ß` and `ſ`, too. The skeleton takes 1 for l and 0 for O.
  const folded = name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFD");
  return unhomoglyph(folded)
    .toLowerCase()
    .replaceAll(UNSEEN, "")
    .replaceAll(/[il]\u0307?/g, "l");
}
