import { assert, assertEquals, assertRejects } from "@std/assert";
import { readConfig } from "../../chat/config/config.ts";
import { makePage, type Page } from "../../chat/http/make_page.ts";
import { loadPage } from "../../chat/http/page.ts";
import { PAGE_FILES } from "../../chat/http/page_files.ts";
import { pageRoutes } from "../../chat/http/page_routes.ts";
import { probeRoutes } from "../../chat/http/health.ts";
import { respond } from "../../chat/http/routes.ts";
import { AddressBudgets } from "../../chat/limits/address_budgets.ts";
import {
  type Browser,
  INSECURE_HOST,
  type Page as Tab,
  startChromium,
  untilTrue,
} from "../support/browser.ts";
import { until } from "../support/wait.ts";
import { freePort } from "../support/ports.ts";

/** The path of a page's file without its version. */
const withoutVersion = (path: string) => path.replace(/^\/web\/[^/]+/, "/web/…");

/** Makes a page whose title is the versions of its modules, of which it imports one when asked. */
function makeTestPage(version: number): Promise<Page> {
  return makePage({
    "index.html": '<!doctype html><script type="module" src="main.ts"></script>',
    "main.ts": `
      import { other } from "./other.ts";
      document.title = "${version} " + other;
      globalThis.importMore = async () => (await import("./more.ts")).more;
      const createScriptURL = () => "/sw.js";
      const policy = trustedTypes.createPolicy("service-worker", { createScriptURL });
      navigator.serviceWorker.register(policy.createScriptURL(""));`,
    "other.ts": `export const other = ${version};`,
    "more.ts": `export const more = ${version};`,
    "service_worker.ts": PAGE_FILES["service_worker.ts"],
  });
}

/** Makes the real page, in a version of its own. */
function makeVersion(version: number): Promise<Page> {
  const style = `${PAGE_FILES["style.css"]}\n:root {\n--version: ${version};\n}\n`;
  return makePage({ ...PAGE_FILES, "style.css": style });
}

/**
 * Serves a page as servers do, and nothing else of theirs but `/healthz`.
 *
 * @param others served in turn with it, as servers of several versions are behind a load balancer
 */
function servePage(page: Page, port = 0, ...others: Page[]) {
  const requests: string[] = [];
  const open = () => Promise.resolve();
  const routers = [page, ...others].map((page) => ({
    routes: [...pageRoutes(() => Promise.resolve(page)), ...probeRoutes(() => false, open)],
    admit: () => Promise.reject(),
  }));
  const client = new AddressBudgets(readConfig({ LIMITS: "off" })).of("192.0.2.1");
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, (request) => {
    const count = requests.push(new URL(request.url).pathname);
    const router = routers[count % routers.length];
    return respond(router, request, "192.0.2.1:50000", client, () => undefined);
  });
  return {
    port: server.addr.port,
    /** The paths that were asked for. */
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Opens a page, and waits until its service worker has taken over. */
async function open(browser: Browser, port: number) {
  const tab = await browser.newPage();
  await tab.goto(`http://localhost:${port}/`);
  await untilTrue(tab, "navigator.serviceWorker.controller");
  return tab;
}

/** Waits until an expression is true in a page that is perhaps loaded again meanwhile. */
async function untilTrueAtLast(tab: Tab, expression: string): Promise<void> {
  await until(() => tab.evaluate<boolean>(`!!(${expression})`).catch(() => false), 20);
}

/** Leaves the page nothing but what its service worker keeps. */
async function clearHttpCache(tab: Tab): Promise<void> {
  const { context } = tab as unknown as { context(): { newCDPSession(tab: Tab): Promise<Cdp> } };
  const session = await context.call(tab).newCDPSession(tab);
  await session.send("Network.clearBrowserCache");
}

/** Collects what goes wrong in a page: errors, and what its Content-Security-Policy refuses. */
function collectErrors(tab: Tab): string[] {
  const errors: string[] = [];
  const { on } = tab as unknown as { on(event: string, listener: (event: Problem) => void): void };
  on.call(tab, "pageerror", (error) => errors.push(`${error}`));
  on.call(tab, "console", (line) => {
    if (line.type() === "error") errors.push(line.text());
  });
  return errors;
}

/** An error, or a line of the console. */
interface Problem {
  type(): string;
  text(): string;
}

/** The protocol of Chromium's developer tools. */
interface Cdp {
  send(command: string): Promise<unknown>;
}

/** Waits until the files of a version are kept, and those of no other. */
async function untilKept(tab: Tab, { hash, files }: Page): Promise<void> {
  const folder = `/web/${hash}/`;
  // Nothing is opened before it is the only one: `open` would make a deleted cache anew.
  await until(async () => `${await tab.evaluate("caches.keys()")}` === folder, 20);
  const count = `caches.open("${folder}").then(async (cache) => (await cache.keys()).length)`;
  await until(async () => await tab.evaluate(count) === files.size, 20);
}

Deno.test("the page opens without a network, and a new one is there at once", async (t) => {
  await using browser = await startChromium();
  const [one, two] = [await makeTestPage(1), await makeTestPage(2)];

  await t.step("without a network, every address of the page opens it, and no other", async () => {
    const server = servePage(one);
    const tab = await open(browser, server.port);
    await server[Symbol.asyncDispose]();
    await clearHttpCache(tab);
    for (const path of ["/", "/r/red", "/chat/foo?room=red", "/r/red#token=x"]) {
      await tab.goto(`http://localhost:${server.port}${path}`);
      await untilTrue(tab, 'document.title === "1 1"');
    }
    assertEquals(await tab.evaluate("importMore()"), 1);
    assertEquals(await tab.evaluate('fetch("/").catch(() => "not here")'), "not here");
    await assertRejects(() => tab.goto(`http://localhost:${server.port}/healthz`));
    await tab.close();
  });

  await t.step("what is not of the page goes to the server", async () => {
    await using server = servePage(one);
    const tab = await open(browser, server.port);
    server.requests.length = 0;
    const paths = ["/healthz", "/client.js", "/sw.js", "/", "/rooms/red/users", "/web/0/main.js"];
    for (const path of paths) await tab.evaluate(`fetch("${path}").then((r) => r.text())`);
    assertEquals(server.requests.toSorted(), paths.toSorted());
    await tab.close();
  });

  await t.step("a new version is there at the next load, and only its files are kept", async () => {
    const old = servePage(one, freePort());
    const tab = await open(browser, old.port);
    await old[Symbol.asyncDispose]();
    await using server = servePage(two, old.port);
    // What was open goes on with its own files.
    assertEquals(await tab.evaluate("importMore()"), 1);
    await tab.reload();
    await untilTrue(tab, 'document.title === "2 2"');
    await untilKept(tab, two);
    assertEquals(await tab.evaluate("importMore()"), 2);
    await server[Symbol.asyncDispose]();
    await tab.goto(`http://localhost:${old.port}/r/blue`);
    await untilTrue(tab, 'document.title === "2 2"');
    await tab.close();
  });

  await t.step("while a proxy answers for a server that is away, the page opens", async () => {
    const server = servePage(one);
    const tab = await open(browser, server.port);
    await server[Symbol.asyncDispose]();
    let status = 502;
    await using _proxy = Deno.serve(
      { hostname: "127.0.0.1", port: server.port, onListen() {} },
      () =>
        new Response("<title>of the proxy</title>", {
          status,
          headers: { "content-type": "text/html" },
        }),
    );
    for (status of [502, 503, 504]) {
      await tab.goto(`http://localhost:${server.port}/`);
      await untilTrue(tab, 'document.title === "1 1"');
    }
    for (status of [403, 429, 500]) {
      await tab.goto(`http://localhost:${server.port}/`);
      await untilTrue(tab, 'document.title === "of the proxy"');
    }
    await tab.close();
  });

  for (const host of ["localhost", INSECURE_HOST]) {
    await t.step(`at ${host}, a page opens although servers of two versions answer`, async () => {
      await using server = servePage(await makeVersion(1), 0, await makeVersion(2));
      await using context = await browser.newContext();
      const tab = await context.newPage();
      await tab.goto(`http://${host}:${server.port}/`);
      // What is run and shown, and all of it.
      const folders = `[...document.querySelectorAll("script[type], link[rel=stylesheet]")]
        .map(({ src, href }) => (src ?? href).split("/")[4])`;
      const isWhole = 'document.querySelector("form") && document.styleSheets.length === 1';
      await untilTrueAtLast(tab, `${isWhole} && new Set(${folders}).size === 1`);
      const loads = server.requests.filter((path) => path === "/").length;
      assert(loads > 1 && loads <= 3, `${loads} loads`);
    });
  }

  await t.step("a page whose file never comes is loaded again once", async () => {
    const page = await makeVersion(1);
    const { "style.css": _, ...files } = Object.fromEntries(page.files);
    await using server = servePage({ ...page, files: new Map(Object.entries(files)) });
    const tab = await browser.newPage();
    await tab.goto(`http://${INSECURE_HOST}:${server.port}/`);
    const countLoads = () => server.requests.filter((path) => path === "/").length;
    await until(() => countLoads() === 2);
    await untilTrueAtLast(tab, 'document.readyState === "complete"');
    // What the page asks for after it is loaded would be there before this.
    const style = `/web/${page.hash}/style.css`;
    const countTries = () => server.requests.filter((path) => path === style).length;
    const tries = countTries();
    await tab.evaluate('fetch("/healthz").then((response) => response.text())');
    assertEquals([tries, countTries(), countLoads()], [10, 10, 2]);
    await tab.close();
  });

  await t.step("at another host without TLS, the page does without a service worker", async () => {
    await using server = servePage(await loadPage());
    const tab = await browser.newPage();
    const errors = collectErrors(tab);
    await tab.goto(`http://${INSECURE_HOST}:${server.port}/`);
    await untilTrue(tab, 'document.querySelector("form")');
    assertEquals(await tab.evaluate("navigator.serviceWorker === undefined"), true);
    assert(!server.requests.includes("/sw.js"));
    assertEquals(errors.filter((error) => !error.includes("Cross-Origin-Opener-Policy")), []);
    await tab.close();
  });

  await t.step("of the page no file is asked for twice, and it can be used after few", async () => {
    await using server = servePage(await loadPage());
    const tab = await browser.newPage();
    const errors = collectErrors(tab);
    await tab.goto(`http://localhost:${server.port}/`);
    await untilTrue(tab, 'document.querySelector("form")');
    await untilKept(tab, await loadPage());
    const counts = Map.groupBy(server.requests, withoutVersion);
    const twice = [...counts].filter(([, { length }]) => length > 1).map(([path]) => path);
    assertEquals(twice, []);
    assertEquals(errors, []);
    await tab.close();
  });
});
