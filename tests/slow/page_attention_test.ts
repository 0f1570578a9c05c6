import { assertEquals } from "@std/assert";
import { INSECURE_HOST, serveFiles, startChromium, untilTrue } from "../support/browser.ts";
import type { Browser, Context, Page } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import { en } from "../../web/texts/en.ts";

const MISSED = 50;

Deno.test("a page that nobody looks at", async (t) => {
  await using server = await startHttpServer();
  await using browser = await startChromium();
  await t.step("a sound and notifications, when they are asked for", () => notify(browser, server));
  for (const host of ["127.0.0.1", INSECURE_HOST]) {
    await t.step(`back from the cache of the browser, at ${host}`, async () => {
      await comeBack(browser, server.port, host);
    });
  }
  await t.step("timers that run once a minute", () => throttle(browser));
  await t.step("a connection that was lost meanwhile", () => wake(browser, server.port));
});

async function notify(
  browser: Browser,
  { port, origin }: { readonly port: number; readonly origin: string },
): Promise<void> {
  await using context = await browser.newContext();
  const ben = await JsonClient.join(port, "ben", { room: "team" });
  const page = await join(context, origin, "team");
  // Without a window, nobody hears a tone or clicks on a notification.
  await page.evaluate(`{
    Object.assign(globalThis, {
      tones: 0, shown: [], aheadMs: 0, isAway: false, isHidden: false,
      focusCount: 0, focus: () => focusCount++,
    });
    const { start } = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (when) {
      tones++;
      globalThis.audio = this.context;
      start.call(this, when);
    };
    globalThis.Notification = class {
      static permission = "granted";
      isOpen = true;
      constructor(title, options) {
        Object.assign(this, { title, ...options });
        shown.push(this);
      }
      close() {
        this.isOpen = false;
      }
    };
    const { now } = performance;
    performance.now = () => now.call(performance) + aheadMs;
    Object.defineProperty(document, "hasFocus", { value: () => !isAway });
    Object.defineProperty(document, "hidden", { get: () => isHidden });
  }`);
  async function say(text: string): Promise<void> {
    await ben.publish(text);
    await untilTrue(
      page,
      `[...document.querySelectorAll(".message-text")].at(-1)?.textContent
      === ${JSON.stringify(text)}`,
    );
  }
  const told = () => page.evaluate<number[]>("[tones, shown.length]");

  await page.evaluate("globalThis.isAway = true");
  await say("nothing was asked for");
  assertEquals(await told(), [0, 0]);
  await page.evaluate("isAway = false");
  await page.locator(".icon-settings").click();
  await page.locator(`label:text-is("${en.notifyAll}")`).click();
  assertEquals(await told(), [0, 0]);
  await page.locator(`label:has-text("${en.sound}")`).click();
  // The user hears what was switched on.
  await untilTrue(page, "tones === 2 && audio.state === 'running' && audio.currentTime > 0");
  await page.keyboard.press("Escape");
  await page.evaluate("aheadMs = 3_000");
  await say("anna looks at this");
  assertEquals(await told(), [2, 0]);
  await page.evaluate("isAway = true");
  await say("one");
  // Not another sound at once.
  await say("x".repeat(300));
  assertEquals(await told(), [4, 2]);
  assertEquals(
    await page.evaluate("shown.map(({ title, body, tag }) => [title, body, tag])"),
    [["ben in team", "one", "team"], ["ben in team", "x".repeat(200), "team"]],
  );
  await page.evaluate("aheadMs += 3_000");
  await say("two");
  assertEquals(await told(), [6, 3]);
  // After a loss of Redis, a message can come again.
  await page.evaluate(`{
    aheadMs += 3_000;
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
      const { id } = [...document.querySelectorAll("[data-id]")].at(-1).dataset;
      const message = { type: "message", id, prev: id, user: "ben", text: "two" };
      this.onmessage({ data: JSON.stringify(message) });
      send.call(this, data);
    };
    dispatchEvent(new Event("focus"));
    WebSocket.prototype.send = send;
  }`);
  assertEquals(await told(), [6, 3]);

  // Browsers let a page play nothing before the first click. Then one tone is enough.
  await page.evaluate(`{
    const { promise, resolve } = Promise.withResolvers();
    globalThis.unblock = resolve;
    Object.defineProperties(audio, {
      state: { value: "suspended", configurable: true },
      resume: { value: () => promise, configurable: true },
    });
  }`);
  for (const text of ["while blocked", "still blocked"]) {
    await page.evaluate("aheadMs += 3_000");
    await say(text);
  }
  assertEquals(await told(), [6, 5]);
  await page.evaluate("unblock()");
  await untilTrue(page, "tones === 8");
  await page.evaluate("delete audio.state; delete audio.resume");

  // A click on a notification leads to its room.
  await page.keyboard.press("Control+k");
  await page.keyboard.type("other");
  await page.keyboard.press("Enter");
  await untilTrue(page, "location.pathname === '/r/other'");
  await ben.publish("come here");
  await untilTrue(page, "shown.length === 6 && document.title === '(1) other · Chat'");
  await page.evaluate("shown[5].onclick()");
  await untilTrue(page, "location.pathname === '/r/team' && document.title === 'team · Chat'");
  assertEquals(await page.evaluate("[focusCount, shown[5].isOpen]"), [1, false]);

  // What comes while the tab is hidden is unread until the user is back.
  const show = (isHidden: boolean) =>
    page.evaluate(`isHidden = ${isHidden};
      document.dispatchEvent(new Event("visibilitychange"));`);
  await show(true);
  await say("three");
  await say("four");
  await untilTrue(page, "document.title === '(2) team · Chat'");
  await show(false);
  await untilTrue(page, "document.title === 'team · Chat'");
  assertEquals(
    await page.evaluate("document.querySelector('.row:has(.new-line) .message-text').textContent"),
    "three",
  );

  await page.locator(".icon-settings").click();
  await page.locator(`label:has-text("${en.notifyOff}")`).click();
  await page.locator(`label:has-text("${en.sound}")`).click();
  await page.keyboard.press("Escape");
  const before = await told();
  await page.evaluate("aheadMs += 3_000");
  await say("no more");
  assertEquals(await told(), before);
  await ben.leave();
}

/** A browser keeps a page that the user has left, frozen, until the user goes back to it. */
async function comeBack(browser: Browser, port: number, host: string): Promise<void> {
  await using context = await browser.newContext({ viewport: { width: 1280, height: 4000 } });
  await using elsewhere = serveFiles({ "/index.html": "<!doctype html><title>elsewhere</title>" });
  const ben = await JsonClient.join(port, "ben", { room: host });
  const page = await join(context, `http://${host}:${port}`, host);
  await page.evaluate("globalThis.isOriginal = true");
  await page.keyboard.type("a draft");
  await page.goto(elsewhere.url);
  // Nobody else has to wait for the name.
  await ben.find("left", ({ user }) => user === "anna");
  const missed = Array.from({ length: MISSED }, (_, i) => `missed ${i}`);
  for (const text of missed) await ben.publish(text);
  await page.goBack({ waitUntil: "commit" });
  await untilTrue(page, `[...document.querySelectorAll(".message-text")].length === ${MISSED}`);
  await untilTrue(page, "document.querySelector('.state').hidden");
  const texts = "[...document.querySelectorAll('.message-text')].map((text) => text.textContent)";
  assertEquals(await page.evaluate(texts), missed);
  assertEquals(await page.evaluate("document.querySelectorAll('.gap').length"), 0);
  assertEquals(await page.evaluate("isOriginal"), true, "it was not loaded again");
  await page.locator(".composer-box").click();
  await page.keyboard.type(" is kept");
  await page.keyboard.press("Enter");
  await ben.find("message", ({ user, text }) => user === "anna" && text === "a draft is kept");

  // The page that is kept does not hold the name against a new one.
  await page.goto(elsewhere.url);
  await page.goto(`http://${host}:${port}/r/${host}`);
  await untilTrue(page, "document.querySelector('.header-note')?.textContent === '2 people here'");
  assertEquals(await page.evaluate("[globalThis.isOriginal, document.title]"), [
    undefined,
    `${host} · Chat`,
  ]);
  await ben.leave();
}

/** A tab in the background does not take its connection for lost because its timers run late. */
async function throttle(browser: Browser): Promise<void> {
  await using server = await startInstance({}, { mayBeStopped: true });
  await using context = await browser.newContext();
  const page = await context.newPage();
  const frames = recordFrames(page);
  await page.clock.install();
  await joinIn(page, server.http, "slept");
  await page.clock.pauseAt(Date.now() + 10_000);
  for (let minute = 0; minute < 3; minute++) {
    // The timers run again before the answer comes.
    server.signal("SIGSTOP");
    const [sent, received] = [frames.sent.length, frames.received.length];
    await until(async () => {
      await page.clock.fastForward(60_000);
      return frames.sent.length >= sent + 2;
    }, 10);
    assertEquals(new Set(frames.sent.slice(sent)), new Set(['{"type":"ping"}']));
    server.signal("SIGCONT");
    await until(() => frames.received.length > received, 10);
    await page.clock.fastForward(60_000);
  }
  const ben = await JsonClient.join(server.port, "ben", { room: "slept" });
  await ben.publish("hello");
  await page.clock.resume();
  await page.locator(".message-text >> text=hello").waitFor();
  await until(() => frames.received.some((frame) => frame.includes("hello")), 10);
  assertEquals(frames.sockets, 1);
  assertEquals(await page.evaluate("document.querySelector('.state').hidden"), true);
  await ben.leave();
}

/** A page asks at once whether its connection has outlived its sleep: no timer has to run. */
async function wake(browser: Browser, port: number): Promise<void> {
  await using proxy = await startProxy(port);
  await using context = await browser.newContext();
  const page = await context.newPage();
  const frames = recordFrames(page);
  await page.clock.install();
  await joinIn(page, `http://127.0.0.1:${proxy.port}`, "woken");
  await page.clock.pauseAt(Date.now() + 10_000);
  const ben = await JsonClient.join(port, "ben", { room: "woken" });
  assertEquals(proxy.freeze("GET /chat/anna"), 1);
  await ben.publish("missed");
  for (const event of ["pageshow", "visibilitychange", "focus", "online"]) {
    const sent = frames.sent.length;
    await page.evaluate(`{
      const target = ${event === "visibilitychange" ? "document" : "globalThis"};
      target.dispatchEvent(new Event("${event}"));
    }`);
    await until(() => frames.sent.length > sent, 10);
    assertEquals(frames.sent.slice(sent), ['{"type":"ping"}'], event);
  }
  assertEquals(frames.sockets, 1);
  await page.clock.fastForward(5_000);
  await page.clock.resume();
  await page.locator(".message-text >> text=missed").waitFor();
  await ben.leave();
}

/** What the WebSockets of a page have sent and received. */
interface Frames {
  sockets: number;
  readonly sent: string[];
  readonly received: string[];
}

function recordFrames(page: Page): Frames {
  const frames: Frames = { sockets: 0, sent: [], received: [] };
  page.on("websocket", (socket) => {
    frames.sockets++;
    socket.on("framesent", ({ payload }) => frames.sent.push(payload));
    socket.on("framereceived", ({ payload }) => frames.received.push(payload));
  });
  return frames;
}

async function join(context: Context, origin: string, room: string): Promise<Page> {
  const page = await context.newPage();
  await joinIn(page, origin, room);
  return page;
}

/** Joins a room as anna, and waits until the page knows who is there. */
async function joinIn(page: Page, origin: string, room: string): Promise<void> {
  await page.goto(`${origin}/r/${room}`);
  await page.locator("#join-name").fill("anna");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.querySelector('.header-note')?.textContent");
}
