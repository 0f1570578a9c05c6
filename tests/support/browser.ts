import { createRequire } from "node:module";
import { installNpmPackages } from "./npm.ts";
import { until } from "./wait.ts";

/** Where Debian's package has it. */
const CHROMIUM = "/usr/bin/chromium";

/** What the tests use of playwright-core's `Page`: https://playwright.dev/docs/api/class-page */
export interface Page {
  goto(url: string): Promise<unknown>;
  goBack(options: { readonly waitUntil: "commit" }): Promise<unknown>;
  /** Evaluates an expression in the page, and waits for its promise. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  waitForFunction(expression: string): Promise<unknown>;
  reload(): Promise<unknown>;
  close(): Promise<void>;
  /** Waits until the page opens another one. */
  waitForEvent(event: "popup"): Promise<Page>;
  on(event: "websocket", listener: (socket: PageSocket) => void): void;
  /** Finds elements by a selector: CSS, or those of playwright, such as `text=Join`. */
  locator(selector: string): Locator;
  readonly keyboard: {
    press(key: string): Promise<void>;
    type(text: string): Promise<void>;
  };
  readonly mouse: {
    move(x: number, y: number): Promise<void>;
    wheel(deltaX: number, deltaY: number): Promise<void>;
  };
  /** What the page has instead of the clock and of timers, once it is installed. */
  readonly clock: {
    install(): Promise<void>;
    pauseAt(time: number): Promise<void>;
    /** Goes forward in time. Each timer runs at most once, at the end. */
    fastForward(ms: number): Promise<void>;
    resume(): Promise<void>;
  };
  setViewportSize(size: Size): Promise<void>;
  emulateMedia(media: Pick<ContextOptions, "colorScheme">): Promise<void>;
  screenshot(options?: { readonly path?: string }): Promise<unknown>;
}

/** A WebSocket of a page. */
export interface PageSocket {
  on(
    event: "framesent" | "framereceived",
    listener: (frame: { readonly payload: string }) => void,
  ): void;
}

/** One or several elements of a page. */
export interface Locator {
  click(): Promise<void>;
  fill(text: string): Promise<void>;
  hover(): Promise<void>;
  first(): Locator;
  /** Waits until the element is there and visible. */
  waitFor(): Promise<void>;
}

/** A size in CSS pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How a browser is to look to its pages. */
export interface ContextOptions {
  readonly viewport?: Size;
  readonly colorScheme?: "light" | "dark";
  readonly locale?: string;
  readonly hasTouch?: boolean;
  readonly isMobile?: boolean;
  readonly reducedMotion?: "reduce";
}

/** Pages that share their storage, and nothing with the pages of another context. */
export interface Context extends AsyncDisposable {
  newPage(): Promise<Page>;
  /** Tells the pages that there is no network, and connects no more. Open connections stay. */
  setOffline(isOffline: boolean): Promise<void>;
}

/** What the tests use of playwright-core's `Browser`. */
export interface Browser extends AsyncDisposable {
  newPage(): Promise<Page>;
  newContext(options?: ContextOptions): Promise<Context>;
}

/** A host whose pages have no secure context, as that of a development server in a home network. */
export const INSECURE_HOST = "insecure.test";

/** Starts Debian's Chromium, without a window, and with the cache of pages that users have. */
export async function startChromium(): Promise<Browser> {
  await Deno.stat(CHROMIUM).catch(() => {
    throw new Error("Chromium is not installed: apt-get install -y chromium");
  });
  const { chromium } = createRequire(await installNpmPackages("browser"))("playwright-core");
  const args = ["--no-sandbox", `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`];
  const ignoreDefaultArgs = ["--disable-back-forward-cache"];
  return await chromium.launch({ executablePath: CHROMIUM, args, ignoreDefaultArgs });
}

/**
 * Waits until an expression is true in a page. The content security policy of ours does not let
 * `waitForFunction` evaluate anything.
 */
export async function untilTrue(page: Page, expression: string): Promise<void> {
  await until(() => page.evaluate<boolean>(`!!(${expression})`), 20);
}

/** Serves files on a free port of 127.0.0.1. */
export function serveFiles(
  files: Readonly<Record<string, string>>,
): AsyncDisposable & { readonly url: string } {
  const types = { html: "text/html", js: "text/javascript" };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
    const { pathname } = new URL(url);
    const type = types[pathname.split(".").at(-1) as keyof typeof types];
    if (!(pathname in files)) return new Response("not here", { status: 404 });
    return new Response(files[pathname], { headers: { "content-type": `${type}; charset=utf-8` } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/index.html`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
