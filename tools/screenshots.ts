/**
 * Takes the screenshots of the page for README, into `docs/images/`. With `--all FOLDER` it takes
 * them of every state, in light and dark, on a phone and on a desktop, into that folder.
 */
import { type Browser, type Page, startChromium, untilTrue } from "../tests/support/browser.ts";
import { startHttpServer } from "../tests/support/http_server.ts";
import { JsonClient } from "../tests/support/json_client.ts";
import { visitAllStates } from "../tests/support/page_states.ts";

const IMAGES = new URL("../docs/images/", import.meta.url);

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

const THEMES = ["light", "dark"] as const;

/** What is said in README's picture. */
const CONVERSATION: readonly (readonly [user: string, text: string])[] = [
  ["Noor", "Good morning! Who is in for the release today?"],
  ["Tomás", "Me. The notes are ready: https://example.org/notes/2.4"],
  ["Tomás", "Two things are open:\n• the German texts\n• a last look at the dark colours"],
  ["anna", "I can do the German texts before lunch."],
  ["Mei", "And I look at the colours. @anna, do you have the screenshots from yesterday?"],
  ["anna", "Yes, all of them: https://example.org/files/screenshots"],
  ["Mei", "Perfect, thank you!"],
  ["Noor", "Then let’s ship at three. I’ll tell support."],
];

async function takeReadmePictures(browser: Browser): Promise<void> {
  await using server = await startHttpServer();
  await using context = await browser.newContext({
    viewport: DESKTOP,
    locale: "en-GB",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  await page.goto(`${server.origin}/r/release`);
  await page.locator("#join-name").fill("anna");
  await page.keyboard.press("Enter");
  const box = page.locator(".composer-box:visible");
  await box.waitFor();
  const others = new Map<string, JsonClient>();
  for (const user of ["Noor", "Tomás", "Mei", "Jonas", "Priya", "Luca"]) {
    others.set(user, await JsonClient.join(server.port, user, { room: "release" }));
  }
  await untilTrue(page, "document.querySelector('.header-note')?.textContent?.includes('7')");
  for (const [user, text] of CONVERSATION) {
    if (user === "anna") {
      await box.fill(text);
      await page.keyboard.press("Enter");
      await untilTrue(page, "!document.querySelector('.message-pending')");
    } else {
      await others.get(user)!.publish(text);
      const start = JSON.stringify(text.split("\n")[0]);
      await untilTrue(page, `document.querySelector(".log").textContent.includes(${start})`);
    }
  }
  for (const room of ["design", "lunch", "release"]) {
    const field = page.locator("#rooms input");
    if (room !== "release") {
      await field.fill(room);
      await page.keyboard.press("Enter");
    } else await page.locator(".room >> text=release").click();
    await page.locator(`h1:visible >> text=${room}`).waitFor();
  }
  for (const text of ["Soup or noodles?", "Noodles!"]) {
    const guest = await JsonClient.join(server.port, "Jonas", { room: "lunch" });
    await guest.publish(text);
    await guest.leave();
  }
  await page.locator(".badge:visible").first().waitFor();
  others.get("Tomás")!.send({ type: "typing" });
  await page.locator(".typing:not(:empty):visible").waitFor();
  await Deno.mkdir(IMAGES, { recursive: true });
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: new URL(`page-${colorScheme}.png`, IMAGES).pathname });
  }
  for (const client of others.values()) await client.leave();
}

async function takeAllPictures(browser: Browser, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    const isMobile = device === "phone";
    const options = { viewport, isMobile, hasTouch: isMobile, reducedMotion: "reduce" } as const;
    await visitAllStates(browser, options, async (state: string, page: Page) => {
      await page.setViewportSize(viewport);
      for (const colorScheme of THEMES) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: `${folder}/${state}-${device}-${colorScheme}.png` });
      }
    });
  }
}

if (import.meta.main) {
  const [flag, folder] = Deno.args;
  await using browser = await startChromium();
  if (flag === undefined) await takeReadmePictures(browser);
  else if (flag === "--all" && folder) await takeAllPictures(browser, folder);
  else {
    console.error("deno task screenshots [--all FOLDER]");
    Deno.exit(2);
  }
}
