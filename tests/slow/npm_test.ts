import { assertEquals } from "@std/assert";
import { startChromium } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { makeProject, runIn, WITHOUT_NPM_PROJECTS } from "../support/npm_project.ts";

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
  const closed = new Promise<ChatError>((resolve) =>
    chat.addEventListener("state", ({ detail: { error } }) => error && resolve(error))
  );
  const next = new ChatClient(url, user);
  const replaced = await closed;
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

Deno.test("the npm package runs in Node.js 22 and 24, and built by Vite in Chromium", {
  ignore: WITHOUT_NPM_PROJECTS,
}, async () => {
  await using project = await makeProject({
    "talk.ts": PROGRAM,
    "tsconfig.json": TSCONFIG,
    "index.html": `<!doctype html><script type="module">
      import { talk } from "./talk.ts";
      globalThis.talk = talk;
    </script>`,
  });
  const { path, file } = project;
  await runIn(path, file("node24/bin/node"), [file("typescript/bin/tsc")]);

  await using server = await startHttpServer();
  for (const node of ["node22", "node24"]) {
    const code = `import { talk } from "./talk.js";
      console.log(JSON.stringify(await talk("${server.origin}", "${node}")));`;
    const args = ["--input-type=module", "-e", code];
    assertEquals(JSON.parse(await runIn(path, file(`${node}/bin/node`), args)), expected(node));
  }

  await using built = await project.serveBuilt();
  await using browser = await startChromium();
  const page = await browser.newPage();
  await page.goto(built.url);
  assertEquals(await page.evaluate(`talk("${server.origin}", "vite")`), expected("vite"));
});
