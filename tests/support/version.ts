/** In a file, a text and what replaces it. */
type Change = readonly [file: string, before: string, after: string];

/** What a later version has that this one does not. */
const LATER: readonly Change[] = [
  // A type of events.
  [
    "chat/protocol/events.ts",
    "  left: hasUser,",
    "  reacted: hasUser,\n  left: hasUser,",
  ],
  [
    "chat/protocol/text.ts",
    '    case "unknown":',
    '    case "reacted":\n      return `${event.user} has reacted`;\n    case "unknown":',
  ],
  ["chat/rooms/room.ts", '      case "unknown":', '      case "reacted":\n      case "unknown":'],
  [
    "chat/store/redis/scripts/publish.lua",
    "local receivers =",
    `events[#events + 1] = '{"type":"reacted","user":"zoe"}'\nlocal receivers =`,
  ],
  // A field of messages.
  [
    "chat/store/redis/log.ts",
    "JSON.stringify({ user, text, ref, session }",
    'JSON.stringify({ user, text, ref, session, mood: "fine" }',
  ],
  // A field of the entries of a log.
  ["chat/store/redis/scripts/publish.lua", "'rest', rest,", "'device', 'phone', 'rest', rest,"],
];

/** The folder of another version of the project, which is removed with this. */
type Version = AsyncDisposable & { readonly folder: string };

/** Makes a later version of the project. */
export function makeLaterVersion(): Promise<Version> {
  return makeVersion(LATER);
}

/** Makes another version of the project. */
export async function makeVersion(changes: readonly Change[]): Promise<Version> {
  const folder = await Deno.makeTempDir();
  const project = new URL("../..", import.meta.url).pathname;
  const copied = ["chat", "main.ts", "deno.json", "deno.lock", "vendor", "web"];
  const { success } = await new Deno.Command("cp", {
    args: ["-r", ...copied.map((name) => `${project}${name}`), folder],
  }).output();
  if (!success) throw new Error("cp failed");
  for (const [file, before, after] of changes) {
    const path = `${folder}/${file}`;
    const source = await Deno.readTextFile(path);
    if (!source.includes(before)) throw new Error(`${file} has no ${before} any more`);
    await Deno.writeTextFile(path, source.replace(before, after));
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
