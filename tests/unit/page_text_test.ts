import { stripTypeScriptTypes } from "node:module";
import { assert, assertEquals } from "@std/assert";

/** What is tested of `web/message_view.ts`. */
interface MessageView {
  hueOf(name: string): number;
  mentions(text: string, name: string): boolean;
  parseText(text: string, name?: string): { kind: string; text: string; href?: string }[];
}

// Nothing is tested that needs what the module imports, and all modules of web/ need a page.
const source = await Deno.readTextFile(new URL("../../web/message_view.ts", import.meta.url));
const javaScript = stripTypeScriptTypes(source).replaceAll(/^import .*$/gm, "");
const { hueOf, mentions, parseText }: MessageView = await import(
  `data:text/javascript,${encodeURIComponent(javaScript)}`
);

/** The addresses of the links in a text. */
function linksOf(text: string): string[] {
  return parseText(text).flatMap((part) => part.kind === "link" ? [part.text] : []);
}

Deno.test("a link ends before punctuation, and has brackets in pairs", () => {
  const cases: Record<string, string[]> = {
    "see https://example.org.": ["https://example.org"],
    "(https://example.org/a)": ["https://example.org/a"],
    "https://example.org/a_(b)": ["https://example.org/a_(b)"],
    "(see https://example.org/a_(b)).": ["https://example.org/a_(b)"],
    "[https://example.org/?q[]=1]!": ["https://example.org/?q[]=1"],
    "<https://example.org/>": ["https://example.org/"],
    "“https://example.org/”, 'http://example.org/'": [
      "https://example.org/",
      "http://example.org/",
    ],
    "https://example.org/a,b;c?": ["https://example.org/a,b;c"],
    "*https://example.org/a*": ["https://example.org/a"],
    "`https://example.org/a`": ["https://example.org/a"],
    "‚https://example.org/a‘ ›https://example.org/b‹": [
      "https://example.org/a",
      "https://example.org/b",
    ],
    "HTTPS://EXAMPLE.ORG/": ["HTTPS://EXAMPLE.ORG/"],
    "看https://example.org/路。": [],
    "看 https://example.org/路。": ["https://example.org/路"],
    "https://a.example\nhttps://b.example\thttps://c.example": [
      "https://a.example",
      "https://b.example",
      "https://c.example",
    ],
    "mailto:anna@example.org, or mailto:anna": ["mailto:anna@example.org"],
    "https://[::1]:8080/a": ["https://[::1]:8080/a"],
  };
  for (const [text, links] of Object.entries(cases)) assertEquals(linksOf(text), links, text);
});

Deno.test("nothing is a link that leads elsewhere than it seems, or nowhere", () => {
  const texts = [
    "javascript:alert(1)",
    "javascript://example.org/%0aalert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://example.org/",
    "https://example.org@evil.example/",
    "https://user:password@example.org/",
    "https://",
    "https://.",
    "http:///",
    "https://exa mple",
    "xhttps://example.org/",
    "ähttps://example.org/",
    "_https://example.org/",
    "mailto:",
    "mailto:@",
    "https://\u202egro.elpmaxe",
    "https://example.org:99999/",
  ];
  for (const text of texts) {
    assertEquals(linksOf(text).filter((link) => link !== "https://exa"), [], text);
  }
  // An invisible character ends a link.
  assertEquals(linksOf("https://example.org/\u202eexe.png"), ["https://example.org/"]);
  assertEquals(linksOf("https://example.org/\u200b/a"), ["https://example.org/"]);
});

Deno.test("the parts of a text are the whole text", () => {
  const texts = [
    "",
    "plain",
    "https://example.org/",
    "anna, see https://example.org/anna. @Anna",
    "https://".repeat(2_000),
    ")".repeat(8_000) + "https://a.example" + ")".repeat(8_000),
    "anna ".repeat(3_000),
    "\u{1f600}\ud800 https://a.example/\ud800",
  ];
  for (const text of texts) {
    const parts = parseText(text, "anna");
    assertEquals(parts.map((part) => part.text).join(""), text);
    assert(parts.every((part) => part.text !== ""));
  }
  assertEquals(parseText(texts[3], "anna"), [
    { kind: "mention", text: "anna" },
    { kind: "plain", text: ", see " },
    { kind: "link", text: "https://example.org/anna", href: "https://example.org/anna" },
    { kind: "plain", text: ". " },
    { kind: "mention", text: "@Anna" },
  ]);
});

Deno.test("a mention is a name as a word of its own", () => {
  const cases: readonly [text: string, name: string, isMention: boolean][] = [
    ["hello anna", "anna", true],
    ["@anna hello", "anna", true],
    ["ANNA!", "anna", true],
    ["(anna)", "anna", true],
    ["annabel, joanna, anna2, _anna, anna_b", "anna", false],
    ["mail bob@anna.example", "anna", false],
    ["https://example.org/anna", "anna", false],
    ["ÜNAL: hallo", "ünal", true],
    ["grünal", "ünal", false],
    ["anna\u0301", "anna", false],
    ["اهلا محمد", "محمد", true],
    ["a+b? yes", "a+b?", true],
    ["aab", "a+b", false],
    ["hello .*", ".*", true],
    ["hello you", ".*", false],
    ["(c) by me", "(c)", true],
    ["hi \\ there", "\\", true],
    ["hi foo bar there", "foo bar", true],
    ["hi 😀 there", "😀", true],
    ["a-b", "a-b", true],
    ["", "anna", false],
  ];
  for (const [text, name, isMention] of cases) {
    assertEquals(mentions(text, name), isMention, `${name} in ${text}`);
  }
});

Deno.test("names have one of twelve colours, about equally often", () => {
  const counts = new Map<number, number>();
  for (let i = 0; i < 12_000; i++) {
    const hue = hueOf(`user-${i}`);
    counts.set(hue, (counts.get(hue) ?? 0) + 1);
  }
  const hues = [...counts.keys()].sort((a, b) => a - b);
  assertEquals(hues, Array.from({ length: 12 }, (_, i) => 25 + 30 * i));
  assert(counts.values().every((count) => count > 800 && count < 1_200), `${[...counts]}`);
  assertEquals(hueOf("anna"), hueOf("anna"));
});
