/**
 * Makes the npm package of the client: its module as a server serves it, and its types.
 *
 * @module
 */
import { minify } from "terser";
import { makeClientModule } from "../chat/http/client_module.ts";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("..", import.meta.url).pathname;

const README = `# @deno-redis-chat/client

The client of deno-redis-chat, for browsers and Node.js 22 or later (Node.js 20 has no WebSocket).

\`\`\`js
import { ChatClient } from "@deno-redis-chat/client";

const chat = new ChatClient("ws://localhost:8080", "robot", { room: "red" });
chat.send("hello");
for await (const { user, text } of chat) console.log(\`\${user}: \${text}\`);
\`\`\`
`;

/** What npm reads of the package. */
const PACKAGE = {
  name: "@deno-redis-chat/client",
  version: config.version,
  description: "The client of deno-redis-chat",
  license: config.license,
  type: "module",
  sideEffects: false,
  exports: { ".": { types: "./client/client.d.ts", default: "./client.js" } },
  engines: { node: ">=22" },
};

/**
 * Writes the package.
 *
 * @param folder where to; it must be empty or not exist
 */
export async function writePackage(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(PACKAGE, null, 2) + "\n");
  await Deno.writeTextFile(`${folder}/README.md`, README);
  await Deno.copyFile(`${ROOT}/LICENSE`, `${folder}/LICENSE`);
  const readable = { compress: false, mangle: false, format: { beautify: true } } as const;
  const { code } = await minify(makeClientModule(), { module: true, ...readable });
  await Deno.writeTextFile(`${folder}/client.js`, code!);
  for (const [path, types] of await makeTypes("client/client.d.ts")) {
    await write(`${folder}/${path}`, types);
  }
}

/** Makes the types of a module, and of all that they import. */
async function makeTypes(entry: string): Promise<Map<string, string>> {
  const sources = ["chat/client", "chat/protocol"].flatMap((folder) =>
    [...Deno.readDirSync(ROOT + folder)].map(({ name }) => `${folder}/${name}`)
  );
  const temporary = await Deno.makeTempDir();
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["transpile", "--declaration", `--outdir=${temporary}`, ...sources],
      cwd: ROOT,
    }).output();
    if (!success) throw new Error(`deno transpile failed: ${new TextDecoder().decode(stderr)}`);
    const types = new Map<string, string>();
    const wanted = [entry];
    for (const path of wanted) {
      if (types.has(path)) continue;
      const text = await Deno.readTextFile(`${temporary}/chat/${path}`);
      // The compiler puts the path of this checkout into the first line.
      const own = text.replace(/^\/\/\/ <amd-module .*\n/, "");
      types.set(path, own.replaceAll(/(from ".*)\.ts";/g, '$1.js";'));
      for (const [, target] of text.matchAll(/from "(.*)\.ts";/g)) {
        wanted.push(new URL(`${target}.d.ts`, `file:///${path}`).pathname.slice(1));
      }
    }
    return types;
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}

if (import.meta.main) {
  const folder = `${ROOT}.npm`;
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await writePackage(folder);
  console.log(`${PACKAGE.name} ${PACKAGE.version} is in .npm/: publish it with npm publish ./.npm`);
}
