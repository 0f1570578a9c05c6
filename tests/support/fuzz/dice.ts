import { Buffer } from "node:buffer";
import { makeRandom } from "../random.ts";

/** Strings that programs tend to handle badly. */
const ODD_TEXTS = [
  ...["", " ", "\t", "\n", "\r\n", "\0", "\x1e", "\x1b[2J", "\x7f", "\x9b2J", "\u2028", "\ufeff"],
  ...["\ud800", "\udc00\ud800", "😀", "e\u0301".repeat(40), "\u202eabc", "\uffff", "："],
  ...["👩‍👩‍👧", "ﬃ", "аdmin", "\u200b"],
  ...["0", "-1", "1e9", "0x10", "NaN", "Infinity", "9".repeat(20), "1".repeat(400), "null", "true"],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "type", "{}", "[]", '"', "\\", "'"],
  ...["%", "%00", "%ff", "%2f", "%3A", "%0d%0a", "..", "../..", "//", "?", "#", "@", ":", "&", ";"],
  ...["a".repeat(64), "a".repeat(65), "é".repeat(64), "x".repeat(5_000), "\0".repeat(3_000)],
  ...["0-0", "1-0", "999999999999999-0", "18446744073709551615-18446744073709551615", "1-", "-1"],
];

/** What JSON can have as a value, and what it cannot. */
const ODD_VALUES = [
  ...[
    "null",
    "true",
    "0",
    "-0",
    "1e999",
    "-1",
    "0.1",
    "9007199254740993",
    '""',
    "[]",
    "{}",
    "[{}]",
  ],
  ...['"\\u0000"', '"\\ud800"', '"\\u001e"', '"\\n"', '{"__proto__":null}', '{"length":-1}'],
  ...["NaN", "undefined", "01", "'a'", "", ",", "}", "[", "\t", "/**/1", '"', '"\\x"', "\u00a0"],
  ...["[".repeat(9_000), `${"[".repeat(5_000)}${"]".repeat(5_000)}`, `"${"x".repeat(70_000)}"`],
  ...[`"${"\\u0000".repeat(11_000)}"`, `"${"\\u2028".repeat(300)}"`, `"${"😀".repeat(65)}"`],
];

/** The fields of a JSON object, with their values as JSON. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** Makes the parts of the fuzzer's inputs: the same ones for the same seed. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = makeRandom(seed);
  }

  /** A whole number below a limit. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** Whether something that happens so often, 0 to 1, happens now. */
  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  /** Up to so many things. */
  some<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, make);
  }

  /** A text: mostly a usual one, else an odd one, or a usual one that has been damaged. */
  text(...usual: string[]): string {
    if (this.chance(0.85)) return this.pick(usual);
    return this.chance(0.5) ? this.pick(ODD_TEXTS) : this.damage(this.pick(usual));
  }

  /** Bytes, each as one character. */
  bytes(max: number): string {
    return this.some(max, () => String.fromCharCode(this.below(256))).join("");
  }

  /** Deletes, repeats, replaces or inserts something in a text, once or a few times. */
  damage(text: string): string {
    for (let times = 1 + this.below(3); times > 0; times--) {
      const start = this.below(text.length + 1);
      const end = start + this.below(this.chance(0.8) ? 4 : text.length - start + 1);
      const cut = text.slice(start, end);
      const put = this.pick([
        () => "",
        () => cut.repeat(1 + this.below(5)),
        () => this.pick(ODD_TEXTS),
        () => String.fromCharCode(this.below(256)),
        () => cut.toUpperCase(),
        () => String.fromCharCode(cut.charCodeAt(0) ^ 1 << this.below(8)),
      ])();
      text = text.slice(0, start) + put + text.slice(end);
    }
    return text;
  }

  /** A JSON object that has lost, gained or changed fields; sometimes it is no JSON any more. */
  object(fields: Fields): string {
    const odd = () => this.chance(0.7) ? this.pick(ODD_VALUES) : JSON.stringify(this.text("a"));
    const changed = [...fields];
    for (let times = this.below(4); times > 0; times--) {
      const at = this.below(changed.length);
      const [name = "text"] = changed[at] ?? [];
      this.pick([
        () => changed.splice(at, 1),
        () => changed.splice(at, 1, [name, odd()]),
        () => changed.push([name, odd()]),
        () => changed.push([this.text("ref", "after", "id", "extra"), odd()]),
        () => changed.reverse(),
      ])();
    }
    const text = `{${changed.map(([name, value]) => `${JSON.stringify(name)}:${value}`)}}`;
    if (this.chance(0.05)) return odd();
    return this.chance(0.15) ? this.damage(text) : text;
  }
}

/** Returns the bytes of a text in UTF-8, each as one character. */
export function utf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}
