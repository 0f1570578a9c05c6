/**
 * A name that is in the room, one that looks like it, and how that one is refused: as taken, or
 * because no user can have it, at the character `U+HEX`.
 */
export const IMITATIONS: readonly [name: string, imitation: string, refusal: string][] = [
  ["admin", "ADMIN", "taken"],
  ["admin", "\u0430dmin", "U+0064"], // a Cyrillic a
  ["admin", "ａｄｍｉｎ", "taken"], // fullwidth
  ["admin", "𝐚𝐝𝐦𝐢𝐧", "taken"], // mathematical
  ["admin", "ᴀᴅᴍɪɴ", "taken"], // small capitals
  ["admin", "ⓐⓓⓜⓘⓝ", "taken"],
  ["admin", "admın", "taken"], // a dotless i
  ["admin", "adm\u0131\u0307n", "taken"],
  ["ADMIN", "ADMİN", "taken"],
  ["admin", "adrnin", "taken"],
  ["admin", "ad\u200amin", "taken"], // a hair space
  ["admin", "ad min", "taken"],
  ["admin", "admin\u200b", "U+200B"],
  ["admin", "ad\u00admin", "U+00AD"],
  ["admin", "ad\u200dmin", "U+200D"],
  ["admin", "ad\u200cmin", "U+200C"],
  ["admin", "admin\u034f", "U+034F"],
  ["admin", "admin\ufe0f", "taken"], // a variation selector
  ["admin", "\u202enimda", "U+202E"],
  ["admin", "admin\u3164", "U+3164"], // a Hangul filler
  ["admin", "admin\u2800", "U+2800"], // an empty Braille pattern
  ["admin", "admin\u{e0020}", "U+E0020"], // a tag
  ["admin", "admin： hi", "U+FF1A"],
  ["admin", "admin∶ hi", "U+2236"],
  ["admin", "adminː", "U+02D0"],
  ["राम", "रामः hi", "U+0903"],
  ["admin", "admin⁄", "U+2044"],
  ["admin", "a\u2028dmin", "U+2028"],
  ["admin", "\ue000admin", "U+E000"],
  ["admin", "admin\u0378", "U+0378"],
  ["admin", "a\u0335\u0336\u0337\u0338\u0339dmin", "U+0339"],
  ["admin", "\u0332admin", "U+0332"],
  ["paypal", "PaypaI", "taken"],
  ["paypal", "paypa1", "taken"],
  ["paypal", "раураӏ", "taken"], // all Cyrillic
  ["google", "g00gle", "taken"],
  ["google", "goоgle", "U+043E"],
  ["TOM", "ТОМ", "taken"], // all Cyrillic
  ["ТОМ", "том", "taken"],
  ["NINA", "ΝΙΝΑ", "taken"], // all Greek
  ["νινα", "ΝΙΝΑ", "taken"],
  ["Weiß", "weiss", "taken"],
  ["ace", "асе", "taken"], // all Cyrillic
  ["علی‌رضا", "علیرضا", "taken"], // without the non-joiner
  ["Ann Lee", "Ann\u2003Lee", "taken"],
  ["エロ", "工口", "taken"], // Han
];

/** Two names that are both free to use, in one room. */
export const HONEST: readonly [name: string, other: string][] = [
  ["Zoë 😀", "Zoe"], // Latin
  ["علی‌رضا", "محمد"], // Arabic
  ["ශ්‍රී", "කසුන්"], // Sinhala
  ["မျိုး", "အောင်ဆန်း"], // Burmese
  ["Александр", "Юлия"], // Cyrillic
  ["Ελένη", "Γιώργος"], // Greek
  ["שָׁלוֹם", "דוד"], // Hebrew
  ["राम", "रामः"], // Devanagari
  ["தமிழ்", "கவிதா"], // Tamil
  ["ไทย", "สมชาย"], // Thai
  ["გიორგი", "ნინო"], // Georgian
  ["Հայկ", "Անի"], // Armenian
  ["አበበ", "ሰላም"], // Ethiopic
  ["김철수", "Kim 철수"], // Hangul
  ["田中さん", "ヒロノ 花子"], // Japanese
  ["李小龍", "Bruce 李"], // Chinese
  ["葛\u{e0100}城", "葛飾"], // with a variation sequence
  ["ខ្មែរ", "សុខា"], // Khmer
  ["བོད", "བསྒྲུབས"], // Tibetan
  ["👨‍👩‍👧", "❤️‍🔥"],
  ["🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", "🇩🇪"], // England, Germany
  ["Nguyễn Văn", "O'Brien-Łukasz Jr. (50%)"],
];
