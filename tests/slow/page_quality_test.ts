import { assert, assertEquals } from "@std/assert";
import { type Browser, type Page, startChromium, untilTrue } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { JsonClient } from "../support/json_client.ts";
import { installNpmPackages } from "../support/npm.ts";
import { visitAllStates } from "../support/page_states.ts";
import { makeToken, SECRET } from "../support/tokens.ts";
import { en } from "../../web/texts/en.ts";

Deno.test("everyone can use the page", async (t) => {
  await using browser = await startChromium();
  await t.step(
    "axe-core finds no violation in any state, in light and dark, narrow and wide",
    () => checkAllStates(browser),
  );
  await t.step("the keyboard alone suffices", () => walkByKeyboard(browser));
  await t.step("the box: input methods, drafts, typing, too long texts", () => checkBox(browser));
  await t.step("settings hold, and notifications are asked for", () => checkSettings(browser));
  for (const locale of ["en", "de"]) {
    await t.step(`a phone shows all of it, in ${locale}`, () => checkPhone(browser, locale));
  }
});

interface Violation {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

async function checkAllStates(browser: Browser): Promise<void> {
  const folder = await installNpmPackages("browser");
  const axe = await Deno.readTextFile(new URL("node_modules/axe-core/axe.min.js", folder));
  const found: string[] = [];
  const visited: string[] = [];
  await visitAllStates(browser, { reducedMotion: "reduce" }, async (state, page) => {
    visited.push(state);
    // Through the debugger, which the content security policy does not stop.
    if (await page.evaluate("globalThis.axe === undefined")) await page.evaluate(axe);
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        const violations = await page.evaluate<Violation[]>(
          "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)",
        );
        for (const { id, help, nodes } of violations) {
          for (const { html, failureSummary } of nodes) {
            const place = `${state}, ${width} px, ${colorScheme}`;
            found.push(`${place}: ${id}: ${help}\n${html}\n${failureSummary}`);
          }
        }
        const overflow = await page.evaluate<number>(
          "document.documentElement.scrollWidth - innerWidth",
        );
        if (overflow > 0) found.push(`${state}: ${overflow} px too wide at ${width} px`);
      }
    }
  });
  assertEquals(found, [], found.join("\n\n"));
  assert(visited.length > 15, `only ${visited}`);
}

async function walkByKeyboard(browser: Browser): Promise<void> {
  await using server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  await using context = await browser.newContext({ reducedMotion: "reduce" });
  const ben = await JsonClient.join(server.port, "ben", {
    room: "team",
    token: await makeToken({ sub: "ben" }),
  });
  const page = await context.newPage();
  const token = await makeToken({ sub: "anna", moderate: true });
  await page.goto(`${server.origin}/r/team#token=${token}`);
  await page.locator(".composer-box:visible").waitFor();
  await untilTrue(page, "document.activeElement.matches('.composer-box')");

  // Two lines are one message.
  await page.keyboard.type("first line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  await page.keyboard.press("Enter");
  await ben.receivedMessages(1);
  assertEquals(ben.texts, ["first line\nsecond line"]);
  await ben.publish("hello anna");
  await page.locator(".message >> text=hello").waitFor();

  // From the box back into the log, and to the menus of its messages.
  await tabTo(page, "document.activeElement.matches('.log')", "Shift+Tab");
  await page.keyboard.press("ArrowUp");
  await tabTo(page, "document.activeElement.matches('.message-name')");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.activeElement.matches('.menu-item')");
  await page.keyboard.press("Escape");
  await untilTrue(page, "!document.querySelector('.menu')");
  await untilTrue(page, "document.activeElement.matches('.message-name')");
  await tabTo(page, "document.activeElement.matches('.message-menu')");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.activeElement.matches('.menu-item')");
  await page.keyboard.press("Enter");
  await tabTo(page, "document.activeElement.matches('dialog .button-danger')");
  await page.keyboard.press("Enter");
  await ben.find("removed");

  // Mute ben from the list of people, with the arrow keys.
  await tabTo(page, "document.activeElement.matches('.people-search')");
  await page.keyboard.type("be");
  await page.keyboard.press("ArrowDown");
  await untilTrue(page, "document.activeElement.matches('.person')");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.activeElement.matches('.menu-item')");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await ben.find("muted");

  // Lift that, and a ban, in their list.
  const response = await fetch(`${server.origin}/rooms/team/bans/cleo`, {
    method: "PUT",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: '{"seconds":600}',
  });
  assertEquals(response.status, 204, await response.text());
  await tabTo(page, "document.activeElement.matches('.person')");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.activeElement.matches('.menu-item')");
  await tabTo(page, `document.activeElement.textContent === "${en.restrictions}"`, "ArrowDown");
  await page.keyboard.press("Enter");
  await page.locator(".restrictions >> nth=1").waitFor();
  for (
    const words of [en.didUnban.replace("{user}", "cleo"), en.didUnmute.replace("{user}", "ben")]
  ) {
    await tabTo(page, `document.activeElement.textContent === "${en.lift}"`);
    await page.keyboard.press("Enter");
    await page.locator(`.restrictions >> text=${words}`).waitFor();
  }
  await page.keyboard.press("Escape");
  await ben.find("muted", ({ until }) => until === 0);
  await ben.publish("I can write again");
  const cleo = await JsonClient.join(server.port, "cleo", {
    room: "team",
    token: await makeToken({ sub: "cleo" }),
  });
  await cleo.leave();

  // Other rooms.
  await page.keyboard.press("Control+k");
  await page.keyboard.type("design");
  await page.keyboard.press("Enter");
  await page.locator("h1:visible >> text=design").waitFor();
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("h1:visible >> text=team").waitFor();
  await page.keyboard.press("Alt+ArrowDown");
  await page.locator("h1:visible >> text=design").waitFor();

  // Settings and help.
  await tabTo(page, "document.activeElement.ariaLabel === 'Settings'");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  await tabTo(page, "document.activeElement.name === 'theme'");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await untilTrue(page, "document.documentElement.dataset.theme === 'dark'");
  await page.keyboard.press("Escape");
  await untilTrue(page, "document.activeElement.ariaLabel === 'Settings'");
  await page.keyboard.press("?");
  await page.locator("dialog[open] >> text=Keyboard").waitFor();
  await page.keyboard.press("Escape");
  await untilTrue(page, "!document.querySelector('dialog')");

  // Leave a room. The other one is shown, and the focus is in its box.
  await tabTo(page, "document.activeElement.ariaLabel === 'Leave design'");
  await page.keyboard.press("Enter");
  await page.locator("h1:visible >> text=team").waitFor();
  await untilTrue(page, "document.activeElement.matches('.composer-box')");
  await ben.leave();
}

async function checkBox(browser: Browser): Promise<void> {
  await using server = await startHttpServer();
  await using context = await browser.newContext();
  const ben = await JsonClient.join(server.port, "ben", { room: "team" });
  const page = await context.newPage();
  await page.goto(`${server.origin}/r/team`);
  await page.locator("#join-name").fill("anna");
  await page.keyboard.press("Enter");
  await page.locator(".composer-box:visible").waitFor();
  await untilTrue(page, "document.activeElement.matches('.composer-box')");

  // What is typed while the focus is in the log is written in the box.
  await page.evaluate("document.querySelector('.log').focus()");
  await page.keyboard.type("draft");
  // An Enter that ends the composition of an input method sends nothing.
  for (const init of ["isComposing: true", "keyCode: 229"]) {
    await page.evaluate(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
      { key: "Enter", bubbles: true, cancelable: true, ${init} }))`);
  }
  // So does one with nothing but white space.
  assertEquals(await page.evaluate("document.activeElement.value"), "draft");

  // The draft is there again after a reload, and is sent once.
  await page.reload();
  await untilTrue(page, "document.activeElement.matches('.composer-box')");
  assertEquals(await page.evaluate("document.activeElement.value"), "draft");
  await page.keyboard.press("Enter");
  await page.keyboard.type(" ");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Backspace");
  await page.keyboard.type("second");
  await page.keyboard.press("Enter");
  await ben.receivedMessages(2);
  assertEquals(ben.texts, ["draft", "second"]);
  // Not one for each key: one for each message, unless that was within three seconds.
  const typed = ben.all("typing").map(({ user }) => user);
  assert(typed.length === 1 || typed.length === 2, `${typed}`);

  // A text that is too long is not sent, and the user learns by how much.
  await page.locator(".composer-box").fill("x".repeat(65_536 + 7));
  await page.keyboard.press("Enter");
  await page.locator(".composer-hint >> text=7 characters too long").waitFor();
  await page.locator(".composer-box").fill("x".repeat(65_536));
  await page.keyboard.press("Enter");
  await ben.receivedMessages(3);
  assertEquals(ben.texts[2].length, 65_536);
  await ben.leave();
}

async function checkSettings(browser: Browser): Promise<void> {
  await using server = await startHttpServer();
  await using context = await browser.newContext({ locale: "de-DE" });
  const ben = await JsonClient.join(server.port, "ben", { room: "team" });
  const page = await context.newPage();
  await page.goto(`${server.origin}/r/team`);
  await page.locator("#join-name").fill("anna");
  await page.evaluate("document.querySelector('.skip-link').focus()");
  await page.keyboard.press("Enter");
  await untilTrue(page, "document.activeElement.id === 'main'");
  assertEquals(await page.evaluate("document.querySelector('#join-name').value"), "anna");
  await page.locator("text=Beitreten").click();
  await page.locator(".composer-box:visible").waitFor();
  assertEquals(await page.evaluate("document.documentElement.lang"), "de");
  // The permission of a real browser cannot be asked for without a window.
  await page.evaluate(`{
    globalThis.shown = [];
    globalThis.Notification = class {
      static permission = "default";
      static requestPermission() {
        return Promise.resolve(this.permission = globalThis.answer);
      }
      constructor(title, { body }) {
        shown.push(title + ": " + body);
      }
    };
    Object.defineProperty(document, "hasFocus", { value: () => !globalThis.isAway });
  }`);
  const notificationsAre = (value: string) =>
    untilTrue(page, `JSON.parse(localStorage.settings).notifications === "${value}"`);
  await page.locator(".icon-settings").click();
  await page.evaluate("globalThis.answer = 'denied'");
  await page.locator('label:text-is("Alle")').click();
  await page.locator("text=Dein Browser blockiert sie").waitFor();
  await notificationsAre("off");
  await page.keyboard.press("Escape");
  await page.evaluate("answer = 'granted'; Notification.permission = 'default'");
  await page.locator(".icon-settings").click();
  await page.locator('label:text-is("Erwähnungen")').click();
  await page.locator('label:has-text("Dunkel")').click();
  await notificationsAre("mentions");
  await page.keyboard.press("Escape");

  // Only mentions, and only while the user looks at something else.
  await ben.publish("anna, you see this");
  await page.locator(".message >> text=you see this").waitFor();
  await page.evaluate("globalThis.isAway = true");
  await ben.publish("not for her");
  await ben.publish("@anna are you there?");
  await untilTrue(page, "shown.length > 0");
  assertEquals(await page.evaluate("shown"), ["ben in team: @anna are you there?"]);

  // What was chosen outlives the page.
  await page.reload();
  await untilTrue(page, "document.documentElement.dataset.theme === 'dark'");
  await notificationsAre("mentions");
  await ben.leave();
}

/** Presses a key until an expression is true. */
async function tabTo(page: Page, expression: string, key = "Tab"): Promise<void> {
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press(key);
    if (await page.evaluate(expression)) return;
  }
  throw new Error(`no ${key} leads to where this is true: ${expression}`);
}

async function checkPhone(browser: Browser, locale: string): Promise<void> {
  await using server = await startHttpServer(undefined, { AUTH_SECRET: SECRET });
  const viewport = { width: 360, height: 740 };
  await using context = await browser.newContext({
    ...{ viewport, locale, isMobile: true, hasTouch: true, reducedMotion: "reduce" },
  });
  const page = await context.newPage();
  const token = await makeToken({ sub: "anna", moderate: true });
  await page.goto(`${server.origin}/r/team#token=${token}`);
  // Nobody is here, and nothing was said: that is told where it is seen.
  await page.locator(".older:not(:empty):visible").waitFor();

  await page.locator(".open-rooms:visible").click();
  await page.locator("#rooms .icon-settings").click();
  await page.locator("dialog[open]").waitFor();
  const lines = await page.evaluate<number[]>(
    `[...document.querySelectorAll("fieldset")].map((group) =>
      new Set([...group.querySelectorAll("label")].map((label) => label.offsetTop)).size)`,
  );
  assertEquals(lines, [1, 1, 1, 1], "each choice is in one line");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");

  for (let i = 0; i < 20; i++) {
    const user = i % 2 ? "ben" : "cleo";
    const one = await JsonClient.join(server.port, user, {
      room: "team",
      token: await makeToken({ sub: user }),
    });
    await one.publish(`message ${i}`);
    if (i < 18) await one.leave();
  }
  await untilTrue(page, "document.querySelector('.log').textContent.includes('message 19')");
  await page.locator(".message-name >> nth=-1").click();
  await page.locator(".menu").waitFor();
  await page.setViewportSize({ ...viewport, height: 420 });
  await untilTrue(page, "document.querySelector('.menu').getBoundingClientRect().bottom <= 420");
  await page.setViewportSize(viewport);
  await page.keyboard.press("Escape");

  await page.locator(".open-people:visible").click();
  await page.locator("#people .person >> text=ben").click();
  await page.locator(".menu-item >> nth=1").click();
  await page.locator("#status:not(:empty)").waitFor();
  const isCovered = await page.evaluate<boolean>(`
    const field = document.querySelector(".people-search");
    const { x, y, width, height } = field.getBoundingClientRect();
    document.elementFromPoint(x + width / 2, y + height / 2) !== field
  `);
  assert(!isCovered, "a notice covers the search field");
}
