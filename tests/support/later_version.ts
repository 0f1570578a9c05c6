/** What a later version has that this one does not: in each file, a text and what replaces it. */
const CHANGES: readonly (readonly [file: string, before: string, after: string])[] = [
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

/** Makes a later version of the project in a folder that is removed with the result. */
export async function makeLaterVersion(): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await Deno.makeTempDir();
  const project = new URL("../..", import.meta.url).pathname;
  const copied = ["chat", "main.ts", "deno.json", "deno.lock", "vendor", "web"];
  const { success } = await new Deno.Command("cp", {
    args: ["-r", ...copied.map((name) => `${project}${name}`), folder],
  }).output();
  if (!success) throw new Error("cp failed");
  for (const [file, before, after] of CHANGES) {
    const path = `${folder}/${file}`;
    const source = await Deno.readTextFile(path);
    if (!source.includes(before)) throw new Error(`${file} has no ${before} any more`);
    await Deno.writeTextFile(path, source.replace(before, after));
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
