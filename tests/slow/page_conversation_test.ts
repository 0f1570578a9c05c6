import { assert, assertEquals } from "@std/assert";
import { INSECURE_HOST, startChromium, untilTrue } from "../support/browser.ts";
import type { Browser, Context, Page } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient } from "../support/text_client.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { sleep, until } from "../support/wait.ts";
import { de } from "../../web/texts/de.ts";
import { en } from "../../web/texts/en.ts";

/** So high that all messages of a test are in the document. */
const VIEWPORT = { width: 1280, height: 6000 };

/**
 * How many messages of others pass while a page is cut off. They are more than the 50 that a page
 * reads when it joins; so are those after the first one of its own.
 */
const MISSED = 55;

/** How long a page is cut off, where the time matters. */
const CUT_MS = 10_000;

const OWN = ["own 1", "own 2", "own 3"];

Deno.test("people talk with the page", async (t) => {
  await using redis = await startRedis();
  const [one, two] = await Promise.all([1, 2].map(() => startInstance(redis.env)));
  await using browser = await startChromium();
  await t.step("two browsers on two instances, and a text client", () => talk(browser, one, two));
  await t.step("rooms side by side, and a reload keeps them", () => switchRooms(browser, one));
  await t.step("drawers on a phone", () => openDrawers(browser, one));
  await t.step("a reload without a network", () => reloadWithoutNetwork(browser, one));
  await t.step("a page without a secure context", () => talkInsecurely(browser, one));
  // They wait most of the time.
  const atOnce = { sanitizeExit: false, sanitizeOps: false, sanitizeResources: false };
  const steps: Record<string, () => Promise<void>> = {
    "a join that nobody was told of": () => missJoin(browser, redis, one),
    "ten seconds offline": () => goOffline(browser, one),
    "ten seconds without an answer": () => cutOff(browser, one),
    "ten seconds without the instance, which is killed": () =>
      killInstance(browser, two, redis.env),
    "a duplicated tab does not fight": () => duplicate(browser, one),
  };
  await Promise.all(Object.entries(steps).map(([name, fn]) => t.step({ name, fn, ...atOnce })));
  for (const instance of [one, two]) await instance[Symbol.asyncDispose]();
});

/** Most of the words for errors are needed below. */
const GERMAN = { locale: "de-DE" };

Deno.test("who may not talk is told why, in German", async (t) => {
  await using browser = await startChromium();
  await t.step("names and rooms that are refused", () => refuseNames(browser));
  await t.step("tokens, and what moderators do", () => moderate(browser));
  await t.step("a server that is full", () => seeFull(browser));
});

async function seeFull(browser: Browser): Promise<void> {
  await using server = await startHttpServer(undefined, { MAX_CONNECTIONS: "1" });
  await using context = await browser.newContext(GERMAN);
  const foo = await JsonClient.join(server.port, "foo");
  const page = await context.newPage();
  await page.goto(`${server.origin}/r/red`);
  await page.locator("#join-name").fill("anna");
  await page.keyboard.press("Enter");
  await untilState(page, de.full);
  await foo.leave();
  await page.locator(".state .link-button").click();
  await untilTrue(page, `${SHOWN}.querySelector(".state").hidden`);
}

async function talk(browser: Browser, one: Instance, two: Instance): Promise<void> {
  await using context = await browser.newContext({ viewport: VIEWPORT });
  await using otherContext = await browser.newContext({ viewport: VIEWPORT });
  const pi = await TextClient.join(one.port, "pi", { room: "red" });
  const anna = await join(context, one, "red", "anna");
  const ben = await join(otherContext, two, "red", "ben");
  await pi.until("ben: has joined the chat!");
  await untilTrue(anna, `${SHOWN}.querySelector(".presence")?.textContent === "ben joined"`);

  const typing = `${SHOWN}.querySelector(".typing").textContent`;
  await anna.clock.install();
  await anna.clock.pauseAt(Date.now() + 10_000);
  await ben.keyboard.type("hello <b>anna</b>, hi pi");
  await untilTrue(anna, `${typing} === "ben is typing …"`);
  await anna.clock.fastForward(4_500);
  assertEquals(await anna.evaluate(typing), "ben is typing …");
  // Without another event, ben has stopped.
  await anna.clock.fastForward(1_000);
  assertEquals(await anna.evaluate(typing), "");
  await anna.clock.resume();
  await ben.keyboard.press("Enter");
  await pi.until("ben: hello <b>anna</b>, hi pi");
  await untilCount(anna, 1);
  pi.send("hi both");
  const all = ["ben: hello <b>anna</b>, hi pi", "pi: hi both", "anna: two\nlines"];
  await untilCount(anna, 2);
  await anna.keyboard.type("two");
  await untilTrue(ben, `${typing} === "anna is typing …"`);
  await anna.keyboard.press("Shift+Enter");
  await anna.keyboard.type("lines");
  await anna.keyboard.press("Enter");
  await pi.until("anna: two\nanna: lines");
  await untilCount(ben, 3);
  assertEquals(await ben.evaluate(typing), "");
  for (const page of [anna, ben]) {
    await untilCount(page, 3);
    assertEquals(await messagesOf(page), all);
    assertEquals(await peopleOf(page), ["anna", "ben", "pi"]);
  }
  assertEquals(await anna.evaluate(`${SHOWN}.querySelectorAll(".mentions-me").length`), 1);

  await ben.close();
  await pi.until("ben: has left the chat!");
  await untilTrue(anna, "document.querySelectorAll('.person').length === 2");
  await pi.leave();
}

/** As after a moment in which the instance was cut off from Redis. */
async function missJoin(browser: Browser, redis: TestRedis, one: Instance): Promise<void> {
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, one, "missed", "anna");
  await untilTrue(page, "document.querySelectorAll('.person').length === 1");
  // Another instance, so that no sweep takes the name away.
  await redis.command("ZADD", "chat-leases", `${Date.now() + 10_000}`, "other-1");
  await redis.command("HSET", "{chat-users:missed}:owners", "ben", "other-1 1 s 0 -");
  await redis.command("SADD", "chat-users:missed", "ben");
  const pi = await TextClient.join(one.port, "pi", { room: "missed" });
  await untilTrue(page, "document.querySelectorAll('.person').length === 3");
  assertEquals(await peopleOf(page), ["anna", "ben", "pi"]);
  await pi.leave();
}

async function switchRooms(browser: Browser, { port, http }: Instance): Promise<void> {
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, { http }, "left", "anna");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("right");
  await page.keyboard.press("Enter");
  await untilTrue(page, "location.pathname === '/r/right'");
  await page.keyboard.type("a draft");
  const pi = await JsonClient.join(port, "pi", { room: "left" });
  await pi.publish("one");
  await pi.publish("two, anna");
  await untilTrue(page, "document.querySelector('.badge-mention')?.textContent === '2'");
  assertEquals(await page.evaluate("document.title"), "(2) right · Chat");

  await page.evaluate("history.back()");
  await untilTrue(page, "location.pathname === '/r/left' && document.title === 'left · Chat'");
  assertEquals(await messagesOf(page), ["pi: one", "pi: two, anna"]);
  await page.keyboard.press("Alt+ArrowDown");
  await untilTrue(page, "location.pathname === '/r/right'");

  await page.reload();
  await untilTrue(page, `${SHOWN}?.querySelector("textarea").value === "a draft"`);
  await untilTrue(page, "[...document.querySelectorAll('.state')].every(({ hidden }) => hidden)");
  await pi.publish("three");
  await untilTrue(page, "document.title === '(1) right · Chat'");
  await page.keyboard.press("Alt+ArrowUp");
  await untilCount(page, 3);
  const isBefore = new Set<unknown>(pi.all("left"));
  await page.locator("[aria-label='Leave left']").click();
  await untilTrue(page, "location.pathname === '/r/right'");
  await pi.find("left", (event) => event.user === "anna" && !isBefore.has(event));
  assertEquals(await page.evaluate("document.querySelectorAll('.room').length"), 1);
  await pi.leave();
}

async function openDrawers(browser: Browser, { http }: Instance): Promise<void> {
  await using context = await browser.newContext({
    ...{ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true },
  });
  const page = await join(context, { http }, "phone", "anna");
  await page.locator(".open-people").click();
  await untilTrue(page, "document.activeElement.closest('#people')");
  assertEquals(await page.evaluate("document.getElementById('main').inert"), true);
  await page.keyboard.press("Escape");
  await untilTrue(page, "document.activeElement.matches('.open-people[aria-expanded=false]')");
  // Escape closes a menu alone, and a mention leads to the box.
  await page.locator(".open-people").click();
  await page.locator(".person").click();
  await page.locator(".menu-item").waitFor();
  await page.keyboard.press("Escape");
  await untilTrue(page, "!document.querySelector('.menu')");
  assertEquals(await page.evaluate("document.querySelectorAll('.drawer-open').length"), 1);
  await page.locator(".person").click();
  await page.locator(".menu-item").click();
  await untilTrue(page, "document.activeElement.value === '@anna '");
  assertEquals(await page.evaluate("document.querySelectorAll('.drawer-open').length"), 0);

  await page.keyboard.press("Control+k");
  await untilTrue(page, "document.activeElement.matches('#rooms.drawer-open input')");
  const longName = "x".repeat(64);
  await page.keyboard.type(longName);
  await page.keyboard.press("Enter");
  await untilTrue(page, `location.pathname === '/r/${longName}'`);
  const right = `${SHOWN}.querySelector(".open-people").getBoundingClientRect().right`;
  await untilTrue(page, `${SHOWN}.querySelector(".header-note").textContent && ${right} <= 360`);
  await page.locator(".open-rooms:visible").click();
  // Nobody presses what is not to be seen.
  const shown = "[...document.querySelectorAll('#rooms li .icon-button')]";
  const opacities = `${shown}.map((button) => getComputedStyle(button).opacity)`;
  assertEquals(await page.evaluate(opacities), ["1", "1"]);
  await page.setViewportSize(VIEWPORT);
  await untilTrue(page, "!document.querySelector('.drawer-open, [inert]')");
}

/** Without a service worker, a clipboard, Web Locks and `randomUUID`, the rest works. */
async function talkInsecurely(browser: Browser, { port }: Instance): Promise<void> {
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, { http: `http://${INSECURE_HOST}:${port}` }, "plain", "anna");
  assertEquals(await page.evaluate("isSecureContext"), false);
  assertEquals(await page.evaluate(`${SHOWN}.querySelectorAll(".icon-link").length`), 0);
  await page.keyboard.type("hello");
  await page.keyboard.press("Enter");
  await untilTrue(page, `${LAST} === "hello"`);
  const opened = page.waitForEvent("popup");
  await page.evaluate("void open(location.href)");
  const copy = await opened;
  await untilState(copy, en.taken);
  await copy.locator(`.state .link-button >> text=${en.useHere}`).click();
  await untilState(page, en.taken);
  await copy.reload();
  await untilTrue(copy, `${LAST} === "hello" && ${STATE} === ""`);
}

/** The browser knows that it is offline, and connections are cut. */
async function goOffline(browser: Browser, instance: Instance): Promise<void> {
  await using proxy = await startProxy(instance.port);
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, { http: `http://127.0.0.1:${proxy.port}` }, "offline", "anna");
  await checkCut(page, instance, "offline", async (pass) => {
    await context.setOffline(true);
    proxy.block();
    await untilState(page, en.offline);
    await pass(CUT_MS);
    await untilTrue(page, `${SHOWN}.querySelectorAll(".message-pending").length === 3`);
    proxy.unblock();
    await context.setOffline(false);
  });
}

/** Nothing tells the page that its connection is gone: it finds out by itself. */
async function cutOff(browser: Browser, instance: Instance): Promise<void> {
  await using proxy = await startProxy(instance.port);
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, { http: `http://127.0.0.1:${proxy.port}` }, "cut", "anna");
  await checkCut(page, instance, "cut", async (pass) => {
    assertEquals(proxy.freeze("GET /chat/anna", "replies"), 1);
    const passed = pass(CUT_MS);
    await untilFirstArrived(instance, "cut");
    assertEquals(proxy.freeze("GET /chat/anna"), 1);
    await passed;
  });
}

async function reloadWithoutNetwork(browser: Browser, instance: Instance): Promise<void> {
  await using proxy = await startProxy(instance.port);
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const page = await join(context, { http: `http://127.0.0.1:${proxy.port}` }, "reload", "anna");
  await untilTrue(page, "navigator.serviceWorker.controller");
  await checkCut(page, instance, "reload", async (pass) => {
    assertEquals(proxy.freeze("GET /chat/anna", "replies"), 1);
    const passed = pass();
    await untilFirstArrived(instance, "reload");
    proxy.block();
    await passed;
    await page.reload();
    await untilTrue(page, `${SHOWN}?.querySelectorAll(".message-pending").length === 3`);
    await untilTrue(page, `${SHOWN}.querySelector(".state").textContent !== ""`);
    proxy.unblock();
  });
}

async function killInstance(
  browser: Browser,
  other: Instance,
  env: Record<string, string>,
): Promise<void> {
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const instance = await startInstance(env);
  const page = await join(context, instance, "kill", "anna");
  let restarted: Instance | undefined;
  await checkCut(page, other, "kill", async (pass) => {
    instance.signal("SIGKILL");
    await instance.exit;
    await untilTrue(page, `!${SHOWN}.querySelector(".state").hidden`);
    await pass(CUT_MS);
    restarted = await startInstance({ ...env, PORT: `${instance.port}` });
  });
  await restarted![Symbol.asyncDispose]();
}

async function duplicate(browser: Browser, instance: Instance): Promise<void> {
  await using proxy = await startProxy(instance.port);
  await using context = await browser.newContext({ viewport: VIEWPORT });
  const server = { http: `http://127.0.0.1:${proxy.port}` };
  const ben = await join(context, server, "tabs", "ben");
  const anna = await join(context, server, "tabs", "anna");
  const opened = anna.waitForEvent("popup");
  await anna.evaluate("void open(location.href)");
  const copy = await opened;
  await untilState(copy, en.taken);

  await checkCut(anna, instance, "tabs", async (pass) => {
    proxy.block();
    await pass();
    proxy.unblock();
  });
  await untilTrue(ben, `${LAST} === "after"`);
  assertEquals(await messagesOf(ben), await messagesOf(anna));
  assertEquals(await stateOf(copy), en.taken);

  await copy.locator(`.state .link-button >> text=${en.useHere}`).click();
  await untilState(anna, en.taken);
  await untilTrue(copy, `${LAST} === "after"`);
  await copy.keyboard.type("from here");
  await copy.keyboard.press("Enter");
  await untilTrue(ben, `${LAST} === "from here"`);
  await anna.locator(`.state .link-button >> text=${en.useHere}`).click();
  await untilTrue(anna, `${LAST} === "from here"`);
  await untilState(copy, en.taken);

  // What a tab had not sent when another one took over, it can send later.
  proxy.block();
  await anna.keyboard.type("sent later");
  await anna.keyboard.press("Enter");
  await copy.locator(`.state .link-button >> text=${en.useHere}`).click();
  await untilState(anna, en.taken);
  proxy.unblock();
  const failed = `${SHOWN}?.querySelector(".message-failed .message-text")?.textContent`;
  await untilTrue(anna, `${failed} === "sent later"`);
  await untilState(copy, "");
  await anna.reload();
  await untilState(anna, en.taken);
  await untilTrue(anna, `${failed} === "sent later"`);
  await anna.locator(`.state .link-button >> text=${en.useHere}`).click();
  await untilTrue(anna, `${STATE} === ""`);
  await anna.locator(`.message-failed >> text=${en.retry}`).click();
  await untilTrue(ben, `${LAST} === "sent later"`);
  await untilTrue(anna, `!${failed} && ${LAST} === "sent later"`);
  assertEquals(await anna.evaluate("Object.keys(sessionStorage).includes('failed tabs')"), false);
}

/**
 * Cuts a page off while messages pass and three of its own are sent, and checks that it then
 * has what the server has: all of them, once and in order.
 *
 * @param cut calls its parameter while the page is cut off; that takes so many milliseconds
 */
async function checkCut(
  page: Page,
  instance: Instance,
  room: string,
  cut: (pass: (durationMs?: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  const pi = await JsonClient.join(instance.port, "pi", { room });
  await pi.publish("before");
  await untilTrue(page, `${LAST} === "before"`);
  const missed = Array.from({ length: MISSED }, (_, i) => `missed ${i}`);
  await cut(async (durationMs) => {
    for (const [i, text] of missed.entries()) {
      await pi.publish(text);
      if (durationMs !== undefined) await sleep(durationMs / MISSED);
      if (i % 20 !== 2) continue;
      await page.keyboard.type(OWN[(i - 2) / 20]);
      await page.keyboard.press("Enter");
    }
  });
  await pi.find("message", ({ text }) => text === OWN[2]);
  await untilTrue(page, `!${SHOWN}.querySelector(".message-pending")`);
  await pi.publish("after");
  await untilTrue(page, `${LAST} === "after"`);
  const logged = await readLog(instance, room);
  // After a reload, the older ones come one page later.
  await untilCount(page, logged.length);
  const shown = await messagesOf(page);
  assertEquals(shown, logged);
  const pis = ["before", ...missed, "after"].map((text) => `pi: ${text}`);
  assertEquals(shown.filter((line) => line.startsWith("pi: ")), pis);
  const own = OWN.map((text) => `anna: ${text}`);
  assertEquals(shown.filter((line) => line.startsWith("anna: ")), own);
  assertEquals(await page.evaluate(`${SHOWN}.querySelectorAll(".gap").length`), 0);
  await pi.leave();
}

/** Waits until the server has the first message of a page's own, whose ack may be lost. */
async function untilFirstArrived(instance: Instance, room: string): Promise<void> {
  await until(async () => (await readLog(instance, room)).includes(`anna: ${OWN[0]}`), 20);
}

/** Reads all messages of a room, as the text protocol would show them. */
async function readLog({ http }: Instance, room: string): Promise<string[]> {
  const response = await fetch(`${http}/rooms/${room}/messages?limit=200`);
  const { messages } = await response.json();
  return messages.map(({ user, text }: Record<string, string>) => `${user}: ${text}`);
}

async function refuseNames(browser: Browser): Promise<void> {
  await using server = await startHttpServer();
  await using context = await browser.newContext(GERMAN);
  const taken = await TextClient.join(server.port, "Anna");
  const page = await context.newPage();
  await page.goto(server.origin);
  await page.locator("#join-name").waitFor();
  assert(/^[a-z]+-[a-z]+-\d\d$/.test(await page.evaluate("document.activeElement.value")));
  async function untilRefused(user: string, room: string, field: string, words: string) {
    await page.locator("#join-name").fill(user);
    await page.locator("#join-room").fill(room);
    await page.keyboard.press("Enter");
    await untilTrue(page, `document.querySelector(".join-error:not(:empty)")`);
    assertEquals(
      await page.evaluate(`(() => {
        const field = document.activeElement;
        const error = document.getElementById(field.getAttribute("aria-describedby"));
        return [field.id, field.ariaInvalid, error.textContent];
      })()`),
      [field, "true", words],
    );
  }
  // An old browser lacks what the client needs.
  await page.evaluate("({ withResolvers: globalThis.kept } = Promise)");
  await page.evaluate("delete Promise.withResolvers");
  await untilRefused("x", "chat", "join-name", "Promise.withResolvers is not a function");
  await page.evaluate("Promise.withResolvers = kept");
  await untilRefused("anna", "chat", "join-name", de.nameTaken);
  await untilRefused(" ", "chat", "join-name", de.nameMissing);
  await untilRefused("x".repeat(65), "chat", "join-name", de.nameTooLong);
  await untilRefused("anna", "a b", "join-room", de.roomInvalid);
  // The letter is Cyrillic, and only the server knows the rules for that.
  const mixed = "\u0430nna";
  const response = await fetch(`${server.origin}/chat/${encodeURIComponent(mixed)}`);
  await untilRefused(mixed, "chat", "join-name", (await response.text()).trim());
  assertEquals(response.status, 400);

  await page.locator("#join-name").fill("ben");
  await page.keyboard.press("Enter");
  await page.locator(".composer-box:visible").waitFor();
  assertEquals(await page.evaluate("document.activeElement.className"), "composer-box");
  const another = await context.newPage();
  await another.goto(server.origin);
  await another.locator("#join-name").waitFor();
  assertEquals(await another.evaluate("document.activeElement.value"), "ben");

  const note = `${SHOWN}.querySelector(".header-note").textContent`;
  await untilTrue(page, `${note} === "2 Leute hier"`);
  await taken.leave();
  await untilTrue(page, `${note} === "1 Person hier"`);
  await untilTrue(page, `${SHOWN}.querySelector(".presence")?.textContent === "Anna ist gegangen"`);
  const namesake = await TextClient.join(server.port, "ben", { room: "blue" });
  await page.keyboard.press("Control+k");
  await page.keyboard.type("blue");
  await page.keyboard.press("Enter");
  await untilState(page, de.takenByOther.replace("{user}", "ben"));
  await namesake.leave();
}

async function moderate(browser: Browser): Promise<void> {
  const env = { AUTH_SECRET: SECRET, MAX_DEVICES: "2" };
  await using server = await startHttpServer(undefined, env);
  await using context = await browser.newContext(GERMAN);
  const token = await makeToken({ sub: "anna" });
  const page = await context.newPage();
  await page.goto(`${server.origin}/r/red`);
  await page.locator("#join-name").waitFor();
  await page.keyboard.press("Enter");
  await page.locator(`.join-error >> text=${de.tokenNeeded}`).waitFor();

  await page.goto("about:blank");
  await page.goto(`${server.origin}/r/red#token=no.valid.token`);
  await page.locator("#join-name").waitFor();
  assertEquals(await page.evaluate("location.href"), `${server.origin}/r/red`);
  await page.keyboard.press("Enter");
  await page.locator(`.join-error >> text=${de.tokenNeeded}`).waitFor();
  // The end of a link was lost.
  const other = await context.newPage();
  await other.goto(`${server.origin}/r/red#token=${token.slice(0, -5)}`);
  await untilState(other, de.tokenNeeded);
  await other.goto(`${server.origin}/r/red#token=${token}`);
  await other.locator(".composer-box:not(:disabled):visible").waitFor();
  await other.close();

  // The link of the invitation, in a tab that is here already.
  await page.goto(`${server.origin}/r/red#token=${token}`);
  await page.locator(".composer-box:visible").waitFor();
  assertEquals(await page.evaluate("location.href"), `${server.origin}/r/red`);
  assertEquals(
    await page.evaluate("JSON.stringify({ ...localStorage }).includes(sessionStorage.token)"),
    false,
  );
  await untilTrue(page, `${SHOWN}.querySelector(".header-note").textContent !== ""`);

  const moderator = await makeToken({ sub: "mod", moderate: true });
  async function act(method: string, path: string): Promise<void> {
    const response = await fetch(`${server.origin}/rooms/red/${path}`, {
      method,
      headers: { authorization: `Bearer ${moderator}`, "content-type": "application/json" },
      body: method === "PUT" ? '{"seconds":600}' : undefined,
    });
    assertEquals(response.status, 204, await response.text());
  }
  await act("PUT", "mutes/anna");
  for (const again of [false, true]) {
    if (again) await page.reload();
    await untilTrue(page, `/${new Date().getFullYear()}.*nicht schreiben/.test(${STATE})`);
    await untilTrue(page, `${SHOWN}.querySelector("textarea").disabled`);
  }
  await act("DELETE", "mutes/anna");
  await untilTrue(page, `!${SHOWN}.querySelector("textarea").disabled`);
  await checkMissedUnmute(context, server.port, act);
  await act("DELETE", "users/anna");
  await untilState(page, de.kicked.replace("{by}", "mod"));
  await page.locator(`.state .link-button >> text=${de.comeBack}`).click();
  await untilTrue(page, `${SHOWN}.querySelector(".state").hidden`);
  await act("PUT", "bans/anna");
  await untilState(page, de.banned.replace("{by}", "mod"));
  await page.reload();
  await untilState(page, de.stopped.replace("{reason}", de.bannedHere));

  const reader = await makeToken({ sub: "ida", publish: false });
  await page.goto(`${server.origin}/r/blue#token=${reader}`);
  await page.locator(`textarea[placeholder='${de.listenOnly}']:visible`).waitFor();

  const room = { room: "green", token: await makeToken({ sub: "dora" }) };
  const devices = [1, 2].map(() => JsonClient.join(server.port, "dora", room));
  const others = await Promise.all(devices);
  await page.goto(`${server.origin}/r/green#token=${room.token}`);
  await untilState(page, de.tooManyDevices);
  for (const other of others) await other.leave();
}

/** A page lets its user write again that has missed that a moderator lifted the mute. */
async function checkMissedUnmute(
  context: Context,
  port: number,
  act: (method: string, path: string) => Promise<void>,
): Promise<void> {
  await using proxy = await startProxy(port);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${proxy.port}/r/red#token=${await makeToken({ sub: "eve" })}`);
  await untilTrue(page, `${SHOWN}?.querySelector(".header-note").textContent`);
  await act("PUT", "mutes/eve");
  await untilTrue(page, `${SHOWN}.querySelector("textarea").disabled`);
  proxy.block();
  await untilTrue(page, `${STATE}.startsWith(${JSON.stringify(de.reconnectingNow)})`);
  await act("DELETE", "mutes/eve");
  proxy.unblock();
  await untilTrue(page, `${STATE} === "" && !${SHOWN}.querySelector("textarea").disabled`);
  await page.locator(".composer-box:visible").fill("again");
  await page.keyboard.press("Enter");
  await untilTrue(page, `${LAST} === "again" && !${SHOWN}.querySelector(".message-pending")`);
  await page.close();
}

/** The conversation that is shown. */
const SHOWN = "document.querySelector('.conversation:not([hidden])')";

/** The text of its last message. */
const LAST = `[...${SHOWN}.querySelectorAll(".message-text")].at(-1)?.textContent`;

/** Opens the page in a new tab, joins a room, and waits until it knows who is there. */
async function join(
  context: Context,
  { http }: Pick<Instance, "http">,
  room: string,
  user: string,
): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${http}/r/${room}`);
  await page.locator("#join-name").fill(user);
  await page.keyboard.press("Enter");
  await untilTrue(page, `${SHOWN}?.querySelector(".header-note").textContent`);
  return page;
}

/** Returns the messages that a page shows, as the text protocol would. */
function messagesOf(page: Page): Promise<string[]> {
  return page.evaluate(`(() => {
    let user;
    return [...${SHOWN}.querySelectorAll(".message")].map((message) => {
      user = message.querySelector(".message-name")?.textContent ?? user;
      return user + ": " + message.querySelector(".message-text").textContent;
    });
  })()`);
}

async function untilCount(page: Page, count: number): Promise<void> {
  await untilTrue(page, `${SHOWN}?.querySelectorAll(".message").length >= ${count}`);
}

function peopleOf(page: Page): Promise<string[]> {
  return page.evaluate(
    "[...document.querySelectorAll('.person-name')].map((name) => name.textContent).sort()",
  );
}

const STATE = `${SHOWN}?.querySelector(".state [role=status]").textContent`;

function stateOf(page: Page): Promise<string> {
  return page.evaluate(STATE);
}

async function untilState(page: Page, words: string): Promise<void> {
  await untilTrue(page, `${STATE} === ${JSON.stringify(words)}`).catch(async () => {
    throw new Error(`the state line is not ${words}, but ${await stateOf(page)}`);
  });
}
