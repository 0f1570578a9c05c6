import { type Browser, type ContextOptions, type Page, untilTrue } from "./browser.ts";
import { startHttpServer } from "./http_server.ts";
import { JsonClient } from "./json_client.ts";
import { startProxy } from "./proxy.ts";
import { makeToken, SECRET } from "./tokens.ts";

/** Called for each state of the page, with a page that is in it. */
export type Visit = (state: string, page: Page) => Promise<void>;

/** Panels are drawers on a phone. */
const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };

const LONG_WORD = "Donaudampfschifffahrtsgesellschaft".repeat(6);

/** What others say, and what `anna` says in the page. */
const CONVERSATION: readonly (readonly [user: string, text: string])[] = [
  ["ben", "Morning! The new build is up: https://example.org/builds/412?arch=arm64"],
  ["ben", "Can somebody try it on a phone?"],
  ["Chloé", "On it."],
  ["anna", "Thanks, Chloé. I’ll look at the logs meanwhile."],
  ["李雷", "早上好！我这里一切正常 👍"],
  ["سارة", "صباح الخير، كل شيء يعمل عندي"],
  ["ben", "@anna one thing:\n- the clock is off by an hour\n- and the icon is missing"],
  ["anna", "I see it too. Fixing."],
  ["anna", "Done, see https://example.org/commits/9f2c41d"],
  ["Chloé", LONG_WORD],
  ["Chloé", "Works on my phone 🎉 <b>not bold</b>"],
];

/**
 * Brings pages into every state that users see, one after the other. The visitor may resize them.
 */
export async function visitAllStates(
  browser: Browser,
  contextOptions: ContextOptions,
  visit: Visit,
): Promise<void> {
  async function visitAndRestore(state: string, page: Page): Promise<void> {
    await visit(state, page);
    await page.setViewportSize(state.endsWith("drawer") ? PHONE : DESKTOP);
  }
  await visitOpenServer(browser, contextOptions, visitAndRestore);
  await visitServerWithTokens(browser, contextOptions, visitAndRestore);
}

/** The states of a server without authentication. */
async function visitOpenServer(
  browser: Browser,
  contextOptions: ContextOptions,
  visit: Visit,
): Promise<void> {
  await using server = await startHttpServer();
  await using context = await browser.newContext(contextOptions);
  const url = `http://127.0.0.1:${server.port}/r/lobby`;
  const ben = await JsonClient.join(server.port, "ben", { room: "lobby" });
  const page = await context.newPage();
  await page.goto(url);
  await page.locator(".join").waitFor();
  await page.locator("#join-name").fill("anna");
  await visit("join", page);
  await page.locator("#join-name").fill("ben");
  await page.keyboard.press("Enter");
  await page.locator(".join-error:not(:empty)").waitFor();
  await visit("join-error", page);
  await ben.leave();
  await page.locator("#join-name").fill("anna");
  await page.keyboard.press("Enter");
  await page.locator(".composer-box:visible").waitFor();
  await page.locator(".older:not(:empty):visible").waitFor();
  await visit("alone", page);

  const other = await context.newPage();
  await other.goto(url);
  await other.locator("#join-name, .composer-box:visible").first().waitFor();
  await other.locator("#join-name").fill("anna");
  await other.keyboard.press("Enter");
  await other.locator(".state .link-button").first().waitFor();
  await visit("taken", other);
}

/** The states of a server with tokens: a conversation, a lost connection, and moderation. */
async function visitServerWithTokens(
  browser: Browser,
  contextOptions: ContextOptions,
  visit: Visit,
): Promise<void> {
  await using server = await startHttpServer(undefined, {
    AUTH_SECRET: SECRET,
    HISTORY_LIMIT: "30",
  });
  await using proxy = await startProxy(server.port);
  await using context = await browser.newContext(contextOptions);
  const origin = `http://127.0.0.1:${proxy.port}`;
  const join = async (user: string, room = "team") =>
    await JsonClient.join(server.port, user, { room, token: await makeToken({ sub: user }) });
  const others = new Map<string, JsonClient>();
  for (const user of ["ben", "Chloé", "李雷", "سارة"]) others.set(user, await join(user));
  async function say(user: string, text: string): Promise<void> {
    await others.get(user)!.publish(text);
  }

  const page = await context.newPage();
  const anna = await makeToken({ sub: "anna", moderate: true });
  await page.goto(`${origin}/r/team#token=${anna}`);
  await page.locator(".composer-box:visible").waitFor();
  await untilTrue(page, "document.querySelector('.header-note')?.textContent");
  for (const [user, text] of CONVERSATION) {
    if (user !== "anna") {
      await say(user, text);
      await seeText(page, text.split("\n")[0]);
    } else {
      await send(page, text);
      await untilTrue(page, "!document.querySelector('.message-pending')");
    }
  }
  for (const user of ["dora", "emil", "fay", "grit"]) others.set(user, await join(user));
  others.get("ben")!.send({ type: "typing" });
  await page.locator(".typing:not(:empty):visible").waitFor();
  await visit("conversation", page);

  const menuOfLast = page.locator(".message-menu >> nth=-1");
  await page.locator(".message >> nth=-1").hover();
  await menuOfLast.click();
  await page.locator(".menu").waitFor();
  await visit("message-menu", page);
  await page.locator(".menu-item").first().click();
  await page.locator("dialog[open]").waitFor();
  await visit("remove", page);
  await page.locator("dialog .button-danger").click();
  await page.locator(".message-removed").waitFor();

  await page.locator(".message-name:visible >> text=ben").first().click();
  await page.locator(".menu").waitFor();
  await visit("user-menu", page);
  await page.locator(".menu-item >> nth=-1").click();
  await page.locator("dialog[open]").waitFor();
  await visit("ban", page);
  await page.keyboard.press("Escape");
  const put = async (path: string, body: unknown) => {
    const response = await fetch(`${server.origin}/rooms/team/${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${anna}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(await response.text());
  };
  await put("bans/grit", { seconds: 315_360_000 });
  await put("mutes/fay", { seconds: 600 });
  await page.locator(".message-name:visible >> text=ben").first().click();
  await page.locator(".menu-item >> nth=4").click();
  await page.locator(".restrictions").first().waitFor();
  await visit("restrictions", page);
  await page.keyboard.press("Escape");

  await page.setViewportSize(DESKTOP);
  await page.locator("#rooms input").fill("design");
  await page.keyboard.press("Enter");
  await page.locator("h1:visible >> text=design").waitFor();
  await say("Chloé", "anna, are you there?");
  await page.locator("#rooms .badge:visible").waitFor();
  await visit("unread", page);
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("h1:visible >> text=team").waitFor();

  await page.locator("#rooms .icon-settings").click();
  await page.locator("dialog[open]").waitFor();
  await visit("settings", page);
  await page.keyboard.press("Escape");
  await page.locator("#rooms .icon-help").click();
  await page.locator("dialog[open]").waitFor();
  await visit("help", page);
  await page.keyboard.press("Escape");

  await page.setViewportSize(PHONE);
  await page.locator(".open-rooms:visible").click();
  await page.locator("#rooms.drawer-open").waitFor();
  await visit("rooms-drawer", page);
  await page.keyboard.press("Escape");
  await page.locator(".open-people:visible").click();
  await page.locator("#people.drawer-open").waitFor();
  await visit("people-drawer", page);
  await page.keyboard.press("Escape");
  await page.setViewportSize(DESKTOP);

  await page.locator(".composer-box:visible").fill("far too long ".repeat(9_000));
  await page.locator(".composer-hint:not(:empty):visible").waitFor();
  await visit("too-long", page);
  await page.locator(".composer-box:visible").fill("");

  // The menus above may have scrolled the log.
  await page.evaluate("document.querySelector('.conversation:not([hidden]) .jump').click()");
  for (let i = 1; i <= 12; i++) await say("ben", `Step ${i} is done, ${"and ".repeat(i)}so on.`);
  await seeText(page, "Step 12 is done");
  await page.evaluate("document.querySelector('.conversation:not([hidden]) .log').scrollTop = 0");
  await say("ben", "You are up there, and this is down here.");
  await page.locator(".jump:visible").waitFor();
  await visit("scrolled", page);
  await page.locator(".jump:visible").click();

  proxy.block();
  await page.locator(".state:visible").first().waitFor();
  await send(page, "I write this while the network is away.");
  await page.locator(".message-pending").waitFor();
  for (let i = 1; i <= 40; i++) await say("ben", `Nobody sees line ${i}.`);
  await page.locator(".state:visible").first().waitFor();
  await visit("reconnecting", page);
  proxy.unblock();
  await page.locator(".gap").waitFor();
  await page.evaluate(`{
    document.querySelector("#status").textContent = "";
    document.querySelector(".gap").scrollIntoView();
  }`);
  await page.locator(".jump:visible").waitFor();
  await visit("gap", page);

  const guest = await context.newPage();
  await guest.goto(`${origin}/r/team#token=${await makeToken({ sub: "hugo" })}`);
  await guest.locator(".composer-box:visible").waitFor();
  await untilTrue(guest, "document.querySelector('.header-note')?.textContent");
  await put("mutes/hugo", { seconds: 600 });
  await guest.locator(".state:visible").waitFor();
  await visit("muted", guest);
  await put("bans/hugo", { seconds: 3_600 });
  await guest.locator(".state-error:visible").waitFor();
  await visit("banned", guest);
  await guest.close();

  const sender = await context.newPage();
  await sender.goto(`${origin}/r/team#token=${await makeToken({ sub: "jo" })}`);
  await sender.locator(".composer-box:visible").waitFor();
  await untilTrue(sender, "document.querySelector('.header-note')?.textContent");
  proxy.block();
  await sender.locator(".state:visible").waitFor();
  await send(sender, "Nobody will read this.");
  await put("bans/jo", { seconds: 3_600 });
  proxy.unblock();
  await sender.locator(".message-failed").waitFor();
  await visit("failed", sender);
  await sender.close();

  const reader = await context.newPage();
  await reader.goto(
    `${origin}/r/team#token=${await makeToken({ sub: "ida", publish: false })}`,
  );
  await reader.locator(".composer-box:visible").waitFor();
  await untilTrue(reader, "document.querySelector('.composer-box').disabled");
  await visit("listen-only", reader);
}

/** Sends with the button: on a phone, Enter makes a new line. */
async function send(page: Page, text: string): Promise<void> {
  await page.locator(".composer-box:visible").fill(text);
  await page.locator(".composer-send:visible").click();
}

/** Waits until a page shows a text. */
async function seeText(page: Page, text: string): Promise<void> {
  await untilTrue(
    page,
    `document.querySelector(".log")?.textContent.includes(${JSON.stringify(text)})`,
  );
}
