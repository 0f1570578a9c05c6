import { assert, assertEquals } from "@std/assert";
import { writePackage } from "../../tools/npm.ts";
import { serveFiles, startChromium } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { installNpmPackages } from "../support/npm.ts";

/** Uses all of the client, with types. */
const PROGRAM = `
import { ChatClient, ChatError, type ChatState } from "@deno-redis-chat/client";

export async function talk(url: string, user: string): Promise<string[]> {
  const chat: ChatClient = new ChatClient([url], user, { token: async () => "a.b.c" });
  const states: ChatState[] = [];
  chat.addEventListener("state", ({ detail }) => states.push(detail.state));
  await chat.ready;
  const sent: Promise<string> = chat.send("hello");
  const texts: string[] = [];
  for await (const { text } of chat) {
    texts.push(text);
    break;
  }
  await sent;
  texts.push(...await chat.users(), (await chat.history({ limit: 1 })).messages[0].text);
  const next = new ChatClient(url, user);
  await next.ready;
  const replaced: ChatError = await chat.send("too late").catch((error) => error);
  const wrong: ChatError = await new ChatClient(url, "x", { history: 201 }).ready.catch((e) => e);
  await next.close();
  return [...texts, replaced.code, wrong.message, ...states];
}
`;

/** What the program returns for a user. */
function expected(user: string): string[] {
  const wrong = 'history is "201": give a whole number from 0 to 200';
  return ["hello", user, "hello", "replaced", wrong, "connected", "closed"];
}

const TSCONFIG = JSON.stringify({
  compilerOptions: {
    ...{
      target: "esnext",
      module: "nodenext",
      strict: true,
      rewriteRelativeImportExtensions: true,
    },
    ...{ lib: ["esnext", "dom"], types: [] },
  },
  files: ["talk.ts"],
});

async function run(program: string, args: string[], cwd: string): Promise<string> {
  const output = await new Deno.Command(program, { args, cwd }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((b) => new TextDecoder().decode(b));
  assert(output.success, `${program} ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

Deno.test("the npm package runs in Node.js 22 and 24, and built by Vite in Chromium", {
  // It downloads 440 MB, and its packages with Node.js are for one kind of machine.
  ignore: !Deno.env.get("CI") || Deno.build.os !== "linux" || Deno.build.arch !== "x86_64",
}, async () => {
  const folder = await installNpmPackages("client");
  const bin = (path: string) => new URL(`node_modules/${path}`, folder).pathname;
  const project = await Deno.makeTempDir();
  await writePackage(`${project}/package`);
  const tarball = (await run("npm", ["pack", "--silent", "./package"], project)).trim();
  const manifest = JSON.stringify({ type: "module" });
  await Deno.writeTextFile(`${project}/package.json`, manifest);
  await run("npm", ["install", "--offline", "--no-audit", `./${tarball}`], project);

  await Deno.writeTextFile(`${project}/talk.ts`, PROGRAM);
  await Deno.writeTextFile(`${project}/tsconfig.json`, TSCONFIG);
  await run(bin("node24/bin/node"), [bin("typescript/bin/tsc")], project);

  await using server = await startHttpServer();
  for (const node of ["node22", "node24"]) {
    const code = `import { talk } from "./talk.js";
      console.log(JSON.stringify(await talk("${server.origin}", "${node}")));`;
    const said = await run(bin(`${node}/bin/node`), ["--input-type=module", "-e", code], project);
    assertEquals(JSON.parse(said), expected(node));
  }

  await Deno.writeTextFile(
    `${project}/index.html`,
    `<!doctype html><script type="module">
      import { talk } from "./talk.ts";
      globalThis.talk = talk;
    </script>`,
  );
  await run(bin("node24/bin/node"), [bin("vite/bin/vite.js"), "build"], project);
  const assets = [...Deno.readDirSync(`${project}/dist/assets`)].map(({ name }) =>
    `/assets/${name}`
  );
  const files = ["/index.html", ...assets].map((path) =>
    [path, Deno.readTextFileSync(`${project}/dist${path}`)] as const
  );
  await using built = serveFiles(Object.fromEntries(files));
  await using browser = await startChromium();
  const page = await browser.newPage();
  await page.goto(built.url);
  assertEquals(await page.evaluate(`talk("${server.origin}", "vite")`), expected("vite"));
  await Deno.remove(project, { recursive: true });
});
