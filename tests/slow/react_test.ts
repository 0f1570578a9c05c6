import { assertEquals } from "@std/assert";
import { type Page, startChromium } from "../support/browser.ts";
import { makeProject, WITHOUT_NPM_PROJECTS } from "../support/npm_project.ts";
import { startProxy } from "../support/proxy.ts";
import { startTwoInstances } from "../support/two_instances.ts";

const RELOADS = Number(Deno.env.get("RELOADS") ?? 20);

/** In development, React mounts each component of a `StrictMode` twice. */
const MAIN = `
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { ChatClient } from "@deno-redis-chat/client";

const servers = new URLSearchParams(location.search).getAll("server");
globalThis.clientCount = 0;

function Chat({ mount }: { mount: number }) {
  const [state, setState] = useState("connecting");
  useEffect(() => {
    globalThis.clientCount++;
    const chat = new ChatClient(servers, "foo", { storage: sessionStorage });
    chat.addEventListener("state", ({ detail: { state, error } }) => {
      setState(error?.code ?? state);
    });
    return () => void chat.close();
  }, []);
  return <output id={"chat-" + mount}>{state}</output>;
}

function App() {
  const [mount, setMount] = useState(1);
  return <>
    <button onClick={() => setMount(mount + 1)}>Mount again</button>
    <Chat key={mount} mount={mount} />
  </>;
}

createRoot(document.querySelector("main")!).render(<StrictMode><App /></StrictMode>);
`;

/** Waits until the client of a mount is in or refused. */
async function outcome(page: Page, mount: number): Promise<string> {
  const text = `document.querySelector("#chat-${mount}")?.textContent`;
  await page.waitForFunction(`/^(connected|name_taken|replaced|refused)$/.test(${text})`);
  return await page.evaluate(text);
}

Deno.test(`a React page that mounts its chat twice is in after each of ${RELOADS} reloads`, {
  ignore: WITHOUT_NPM_PROJECTS,
}, async () => {
  await using project = await makeProject({
    "index.html": '<!doctype html><main></main><script type="module" src="main.tsx"></script>',
    "main.tsx": MAIN,
  });
  await using built = await project.serveBuilt("development");
  await using chat = await startTwoInstances();
  await using browser = await startChromium();
  await using proxyOne = await startProxy(chat.one);
  await using proxyTwo = await startProxy(chat.two);
  const proxies = [proxyOne, proxyTwo];
  const [one, two] = proxies.map(({ port }) => `server=http://127.0.0.1:${port}`);
  const outcomes = new Map<string, number>();
  for (const servers of [one, `${one}&${two}`]) {
    // A page of other servers has another secret. In the browser's cache it would hold the name.
    const page = await browser.newPage();
    await page.goto(`${built.url}?${servers}`);
    for (let i = 0; i < RELOADS / 2; i++) {
      // Every second time, no server learns that the page is gone.
      if (i % 2 === 1) { for (const proxy of proxies) proxy.freeze("/chat/foo"); }
      await page.reload();
      const first = await outcome(page, 1);
      // Now there is an open connection when the next client is made.
      await page.evaluate('document.querySelector("button").click()');
      const both = `${first}, ${await outcome(page, 2)}`;
      outcomes.set(both, (outcomes.get(both) ?? 0) + 1);
      assertEquals(await page.evaluate("clientCount"), 4);
    }
    await page.close();
  }
  assertEquals([...outcomes], [["connected, connected", RELOADS]]);
});
